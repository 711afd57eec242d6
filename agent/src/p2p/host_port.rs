//! The address of a bootstrap peer as its operator writes it: `HOST:PORT`.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use thiserror::Error;
use tokio::{net::lookup_host, time::timeout};

/// A name server that needs longer counts as unreachable; the next attempt asks again.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

/// Where a node can be reached: an IPv4 address, an IPv6 address in brackets or a DNS name, and a
/// port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

/// Why a string is no `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseHostPortError {
    /// There is no port.
    #[error("{0:?} has no port: expected HOST:PORT, for example 10.0.0.1:29902")]
    NoPort(String),
    /// The port is not one that can be connected to.
    #[error("{0:?} is not a port: expected a number from 1 to 65535")]
    BadPort(String),
    /// An IPv6 address must be told apart from its port.
    #[error("write an IPv6 address in brackets: [{0}]:PORT")]
    BareIpv6(String),
    /// Neither an address nor a DNS name.
    #[error("{0:?} is not an IPv4 address, an IPv6 address in brackets or a DNS name")]
    BadHost(String),
}

// === impl HostPort ===

impl HostPort {
    /// The addresses that it stands for now. DNS is asked each time, because a headless service
    /// answers with other pods after a rollout.
    ///
    /// # Errors
    /// The name does not resolve, or not in time.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let name = match &self.host {
            Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, self.port)]),
            Host::Name(name) => name.as_str(),
        };
        let addresses = timeout(RESOLVE_DEADLINE, lookup_host((name, self.port))).await??;
        Ok(addresses.map(|at| SocketAddr::new(at.ip().to_canonical(), at.port())).collect())
    }
}

impl FromStr for HostPort {
    type Err = ParseHostPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(ParseHostPortError::BareIpv6(text.into()));
        }
        let (host, port) =
            text.rsplit_once(':').ok_or_else(|| ParseHostPortError::NoPort(excerpt(text)))?;
        if host.parse::<Ipv6Addr>().is_ok() {
            return Err(ParseHostPortError::BareIpv6(host.into()));
        }
        let host = host.parse()?;
        // `u16::from_str` would take "+80".
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let number = port.parse().ok().filter(|number| digits && *number != 0);
        let port = number.ok_or_else(|| ParseHostPortError::BadPort(excerpt(port)))?;
        Ok(Self { host, port })
    }
}

impl From<SocketAddr> for HostPort {
    fn from(at: SocketAddr) -> Self {
        Self { host: Host::Ip(at.ip()), port: at.port() }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

// === impl Host ===

impl FromStr for Host {
    type Err = ParseHostPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseHostPortError::BadHost(excerpt(text));
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(bad)?;
            return inner.parse::<Ipv6Addr>().map(|ip| Self::Ip(ip.into())).map_err(|_| bad());
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        if is_dns_name(text) { Ok(Self::Name(text.to_owned())) } else { Err(bad()) }
    }
}

/// RFC 1123, with the underscore that some resolvers allow. A name whose last label is a number
/// would be a mistyped IPv4 address.
fn is_dns_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253
        && name.split('.').all(label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<HostPort, ParseHostPortError> {
        text.parse()
    }

    #[test]
    fn addresses_and_names_print_as_they_were_written() {
        for text in ["10.0.0.1:29902", "[fe80::1]:80", "node-1:1", "onepull.kube-system.svc.:65535"]
        {
            assert_eq!(parse(text).map(|at| at.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn each_mistake_is_named() {
        assert_eq!(parse("node-1"), Err(ParseHostPortError::NoPort("node-1".into())));
        assert_eq!(parse("::1"), Err(ParseHostPortError::BareIpv6("::1".into())));
        assert_eq!(parse("fe80::1:29902"), Err(bare("fe80::1")));
        assert_eq!(parse("fe80::1:80"), Err(bare("fe80::1:80")));
        assert_eq!(parse("1:2:3:4:5:6:7:8:29902"), Err(bare("1:2:3:4:5:6:7:8")));
        for port in ["", "0", "65536", "+80", "http"] {
            let error = ParseHostPortError::BadPort(port.into());
            assert_eq!(parse(&format!("node-1:{port}")), Err(error));
        }
        for host in ["", "a..b", "-a", "300.1.1.1", "a b", "http://a", "[node]", "[::1"] {
            let error = parse(&format!("{host}:80"));
            assert_eq!(error, Err(ParseHostPortError::BadHost(host.into())));
        }
    }

    fn bare(text: &str) -> ParseHostPortError {
        ParseHostPortError::BareIpv6(text.into())
    }

    #[tokio::test]
    async fn an_address_resolves_to_itself() {
        let resolved = parse("[::1]:7").unwrap().resolve().await.unwrap();
        assert_eq!(resolved, ["[::1]:7".parse().unwrap()]);
    }

    proptest! {
        #[test]
        fn every_socket_address_is_a_host_and_port(ip: IpAddr, port in 1u16..) {
            let at = SocketAddr::new(ip, port);
            prop_assert_eq!(parse(&at.to_string()), Ok(at.into()));
        }

        #[test]
        fn parsing_never_panics_and_round_trips(text in "\\PC{0,80}(:[0-9]{1,5})?") {
            if let Ok(at) = parse(&text) {
                prop_assert_eq!(parse(&at.to_string()), Ok(at));
            }
        }
    }
}
