//! The registry's own account of what it was asked: its access log.

use std::net::IpAddr;

/// One request that the registry has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who asked.
    pub client: IpAddr,
    /// For example `GET`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// HTTP status.
    pub status: u16,
    /// Bytes of body sent, also when the client hung up before the end.
    pub bytes: u64,
}

/// Reads the lines in Apache's combined format; others, such as warnings, are left out.
///
/// Shape: `10.99.0.3 - - [date] "GET /v2/… HTTP/1.1" 200 733 "" "containerd/…"`.
pub(super) fn parse(log: &str) -> Vec<Access> {
    log.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Access> {
    let client = line.split(' ').next()?.parse().ok()?;
    let mut quoted = line.split('"').skip(1);
    let mut request = quoted.next()?.split(' ');
    let mut answer = quoted.next()?.split_ascii_whitespace();
    Some(Access {
        client,
        method: request.next()?.to_owned(),
        target: request.next()?.to_owned(),
        status: answer.next()?.parse().ok()?,
        bytes: answer.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_warnings_left_out() {
        let log = "time=\"2026-01-01T00:00:00Z\" level=warning msg=\"No HTTP secret provided\"\n\
                   10.99.0.3 - - [01/Jan/2026:00:00:00 +0000] \"GET /v2/a/blobs/sha256:0 HTTP/1.1\" \
                   206 733 \"\" \"containerd/2.2.9\"\n";
        let access = Access {
            client: [10, 99, 0, 3].into(),
            method: "GET".into(),
            target: "/v2/a/blobs/sha256:0".into(),
            status: 206,
            bytes: 733,
        };
        assert_eq!(parse(log), [access]);
    }
}
