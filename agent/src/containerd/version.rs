//! Which release containerd is.

use std::time::Duration;

use containerd_client::{services::v1::version_client::VersionClient, tonic::transport::Channel};

use super::{ContainerdError, namespace::answer};

/// The answer is a constant of the server.
const DEADLINE: Duration = Duration::from_secs(5);

/// Major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32);

// === impl Version ===

impl Version {
    /// From for example `1.6.20~ds1`, `v2.2.9+unknown`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.');
        Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

/// What containerd says that it is, in its own words.
///
/// # Errors
/// When it does not answer.
pub(crate) async fn release(channel: Channel) -> Result<String, ContainerdError> {
    let mut client = VersionClient::new(channel);
    Ok(answer("tell its version", DEADLINE, client.version(())).await?.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_distributions_and_modules_are_understood() {
        assert_eq!(Version::parse("1.6.20~ds1"), Some(Version(1, 6)));
        assert_eq!(Version::parse("v2.10.0-rc.1"), Some(Version(2, 10)));
        assert_eq!(Version::parse("unknown"), None);
    }
}
