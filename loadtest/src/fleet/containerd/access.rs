//! The access log of docker-registry: who got how many bytes.

use std::{collections::BTreeMap, net::IpAddr};

/// Sums up the bodies of GET requests by client.
///
/// Shape of a line: `10.99.0.3 - - [date] "GET /v2/… HTTP/1.1" 200 1234 "" "containerd/…"`; other
/// lines are logs of another kind.
pub(super) fn sent(log: &str) -> BTreeMap<IpAddr, u64> {
    let mut sums = BTreeMap::new();
    for (client, bytes) in log.lines().filter_map(parse) {
        *sums.entry(client).or_default() += bytes;
    }
    sums
}

fn parse(line: &str) -> Option<(IpAddr, u64)> {
    let (client, rest) = line.split_once(" - ")?;
    let (_, request) = rest.split_once("\"GET ")?;
    let (_, outcome) = request.split_once("\" ")?;
    let bytes = outcome.split(' ').nth(1)?;
    Some((client.parse().ok()?, bytes.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_gets_are_summed_by_client() {
        let log = "time=\"2026\" level=warning msg=\"No HTTP secret provided - generated\"\n\
            10.99.0.3 - - [23/Nov/2026:21:00:00 +0000] \"HEAD /v2/a/manifests/b HTTP/1.1\" 200 700 \"\" \"c\"\n\
            10.99.0.3 - - [23/Nov/2026:21:00:00 +0000] \"GET /v2/a/blobs/b HTTP/1.1\" 200 5 \"\" \"c\"\n\
            10.99.0.3 - - [23/Nov/2026:21:00:00 +0000] \"GET /v2/a/blobs/c HTTP/1.1\" 206 6 \"\" \"c\"\n\
            10.99.0.4 - - [23/Nov/2026:21:00:00 +0000] \"GET /v2/a/blobs/c HTTP/1.1\" 200 7 \"\" \"c\"\n";
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let expected = BTreeMap::from([(address("10.99.0.3"), 11), (address("10.99.0.4"), 7)]);
        assert_eq!(sent(log), expected);
    }
}
