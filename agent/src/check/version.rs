//! Is containerd new enough?

use containerd_client::tonic::transport::Channel;

use super::Finding;
use crate::containerd::{ContainerdError, Version, release};

const NAME: &str = "version";

/// The first release with CRI v1 and `hosts.toml` in the order of its tables.
const OLDEST: Version = Version(1, 6);

/// What containerd says that it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Release {
    /// In its own words; empty when it does not say.
    pub(super) text: String,
    /// Where these name a release.
    pub(super) version: Option<Version>,
}

pub(super) async fn check(channel: &Channel) -> (Finding, Release) {
    let text = match release(channel.clone()).await {
        Ok(text) => text,
        Err(ContainerdError::TimedOut { .. }) => {
            let what = "containerd accepts connections, but does not answer";
            let todo = "look at containerd's log, or restart it";
            return (Finding::broken(NAME, what, todo), Release::default());
        }
        Err(error) => {
            let what = error.with_cause();
            return (Finding::broken(NAME, what, "look at containerd's log"), Release::default());
        }
    };
    let version = Version::parse(&text);
    (judge(&text, version), Release { text, version })
}

fn judge(text: &str, version: Option<Version>) -> Finding {
    match version {
        None => Finding::warning(
            NAME,
            format!("containerd says {text:?}, which names no release"),
            "make sure that it is 1.6 or newer",
        ),
        Some(version) if version < OLDEST => Finding::broken(
            NAME,
            format!("containerd {text} is too old"),
            "upgrade to 1.6 or newer: older releases have no CRI v1",
        ),
        Some(_) => Finding::ok(NAME, format!("containerd {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn what_is_older_than_1_6_is_a_problem() {
        let verdict = |text: &str| judge(text, Version::parse(text)).verdict;
        assert_eq!(verdict("1.5.18"), Verdict::Problem);
        assert_eq!(verdict("0.2.9"), Verdict::Problem);
        assert_eq!(verdict("1.10.0"), Verdict::Ok);
        assert_eq!(verdict("dev"), Verdict::Warning);
    }
}
