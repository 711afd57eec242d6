//! Is containerd new enough?

use std::time::Duration;

use containerd_client::{services::v1::version_client::VersionClient, tonic::transport::Channel};
use tokio::time::timeout;

use super::Finding;

const NAME: &str = "version";

/// The answer is a constant of the server.
const DEADLINE: Duration = Duration::from_secs(5);

/// The first release with CRI v1 and `hosts.toml` in the order of its tables.
const OLDEST: Version = Version(1, 6);

/// Major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32);

/// What containerd says that it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Release {
    /// In its own words; empty when it does not say.
    pub(super) text: String,
    /// Where these name a release.
    pub(super) version: Option<Version>,
}

// === impl Version ===

impl Version {
    /// From for example `1.6.20~ds1`, `v2.2.9+unknown`.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.');
        Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

pub(super) async fn check(channel: &Channel) -> (Finding, Release) {
    let mut client = VersionClient::new(channel.clone());
    let text = match timeout(DEADLINE, client.version(())).await {
        Ok(Ok(answer)) => answer.into_inner().version,
        Ok(Err(status)) => {
            let what = format!("containerd does not tell its version: {}", status.message());
            return (Finding::broken(NAME, what, "look at containerd's log"), Release::default());
        }
        Err(_) => {
            let what = "containerd accepts connections, but does not answer";
            let todo = "look at containerd's log, or restart it";
            return (Finding::broken(NAME, what, todo), Release::default());
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
    fn versions_of_distributions_and_modules_are_understood() {
        assert_eq!(Version::parse("1.6.20~ds1"), Some(Version(1, 6)));
        assert_eq!(Version::parse("v2.10.0-rc.1"), Some(Version(2, 10)));
        assert_eq!(Version::parse("unknown"), None);
    }

    #[test]
    fn what_is_older_than_1_6_is_a_problem() {
        let verdict = |text: &str| judge(text, Version::parse(text)).verdict;
        assert_eq!(verdict("1.5.18"), Verdict::Problem);
        assert_eq!(verdict("0.2.9"), Verdict::Problem);
        assert_eq!(verdict("1.10.0"), Verdict::Ok);
        assert_eq!(verdict("dev"), Verdict::Warning);
    }
}
