//! The name of a registry as an operator writes it: `HOST[:PORT]` or a URL.
//!
//! containerd looks a registry's folder up by the host part of an image reference, so a name that
//! can never be one is refused here, with the reason, rather than silently never matching.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use thiserror::Error;

/// A registry that pulls should come to the mirror for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Registry {
    authority: String,
    plain_http: bool,
}

/// Why a string names no registry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseRegistryError {
    /// A scheme that containerd does not speak.
    #[error("{0:?} is not http:// or https://: write HOST[:PORT], http://HOST or https://HOST")]
    UnknownScheme(String),
    /// There is something after the host and port.
    #[error("{0:?} has a path, query or user: a registry is only HOST[:PORT]")]
    NotOnlyHost(String),
    /// The host is empty or has characters that no host has.
    #[error("{0:?} is not a host name, IPv4 address or [IPv6 address]")]
    BadHost(String),
    /// The port is no number from 1 to 65535.
    #[error("{0:?} is not a port: use 1 to 65535")]
    BadPort(String),
    /// In `name/image` such a name is a folder on Docker Hub, not a host.
    #[error(
        "{0:?} has no dot and no port, so in an image reference it would be a path on docker.io; \
         use docker.io, or add the port"
    )]
    NotAHost(String),
    /// Docker Hub under one of its other names.
    #[error("{0:?} is Docker Hub, whose images are named docker.io: use docker.io")]
    DockerHub(String),
}

// === impl Registry ===

impl Registry {
    /// `HOST[:PORT]`, as in an image reference and in containerd's `ns=`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The URL to reach it, when the operator said that it speaks plain HTTP.
    pub fn plain_http_url(&self) -> Option<String> {
        self.plain_http.then(|| format!("http://{}", self.authority))
    }

    /// The folder names that containerd tries for this registry, the one that wins first.
    ///
    /// From `hostPaths` in containerd's `remotes/docker/config`: `host_port_` goes before
    /// `host:port`, and one that exists hides the other, and `_default`.
    pub fn folder_names(&self) -> Vec<String> {
        let underscored = match self.authority.rfind(':') {
            Some(colon) if colon > 0 => {
                Some(format!("{}_{}_", &self.authority[..colon], &self.authority[colon + 1..]))
            }
            _ => None,
        };
        underscored.into_iter().chain([self.authority.clone()]).collect()
    }
}

impl FromStr for Registry {
    type Err = ParseRegistryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest.strip_suffix('/').unwrap_or(rest)),
            None => (None, text),
        };
        let plain_http = match scheme.map(str::to_ascii_lowercase).as_deref() {
            None | Some("https") => false,
            Some("http") => true,
            Some(_) => return Err(ParseRegistryError::UnknownScheme(text.into())),
        };
        if rest.contains(['/', '?', '#', '@']) {
            return Err(ParseRegistryError::NotOnlyHost(text.into()));
        }
        check_authority(rest)?;
        Ok(Self { authority: rest.into(), plain_http })
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.plain_http {
            f.write_str("http://")?;
        }
        f.write_str(&self.authority)
    }
}

/// Whether a folder's name below certs.d can be a registry's, in either of its spellings.
pub(super) fn is_folder_name(name: &str) -> bool {
    let spelled_out = match name.strip_suffix('_').and_then(|name| name.rsplit_once('_')) {
        Some((host, port)) => format!("{host}:{port}"),
        None => name.to_owned(),
    };
    let (host, port) = split_port(&spelled_out);
    is_host(host) && port.is_none_or(is_port)
}

fn check_authority(authority: &str) -> Result<(), ParseRegistryError> {
    let (host, port) = split_port(authority);
    if !is_host(host) {
        return Err(ParseRegistryError::BadHost(host.into()));
    }
    if let Some(port) = port.filter(|port| !is_port(port)) {
        return Err(ParseRegistryError::BadPort(port.into()));
    }
    if matches!(host, "index.docker.io" | "registry-1.docker.io") {
        return Err(ParseRegistryError::DockerHub(host.into()));
    }
    if port.is_none() && !host.contains(['.', ':']) && host != "localhost" {
        return Err(ParseRegistryError::NotAHost(host.into()));
    }
    Ok(())
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    host.starts_with(|first: char| first.is_ascii_alphanumeric()) && host.split('.').all(label)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Registry, ParseRegistryError> {
        text.parse()
    }

    #[test]
    fn hosts_and_urls_are_read_as_the_registry_of_an_image_reference() {
        for (text, authority, url) in [
            ("docker.io", "docker.io", None),
            ("localhost", "localhost", None),
            ("registry:5000", "registry:5000", None),
            ("https://ghcr.io/", "ghcr.io", None),
            ("http://10.0.0.1:5000", "10.0.0.1:5000", Some("http://10.0.0.1:5000")),
            ("HTTP://[fd00::1]:5000/", "[fd00::1]:5000", Some("http://[fd00::1]:5000")),
        ] {
            let registry = parse(text).unwrap();
            assert_eq!(registry.authority(), authority);
            assert_eq!(registry.plain_http_url().as_deref(), url);
        }
    }

    #[test]
    fn what_can_never_match_an_image_is_refused_with_the_reason() {
        use ParseRegistryError::*;
        assert_eq!(parse("ftp://x.io"), Err(UnknownScheme("ftp://x.io".into())));
        assert_eq!(parse("x.io/library"), Err(NotOnlyHost("x.io/library".into())));
        assert_eq!(parse("https://me@x.io"), Err(NotOnlyHost("https://me@x.io".into())));
        assert_eq!(parse(""), Err(BadHost(String::new())));
        assert_eq!(parse("_default"), Err(BadHost("_default".into())));
        assert_eq!(parse("a..b"), Err(BadHost("a..b".into())));
        assert_eq!(parse("[::g]:5000"), Err(BadHost("[::g]".into())));
        assert_eq!(parse("x.io:0"), Err(BadPort("0".into())));
        assert_eq!(parse("x.io:+80"), Err(BadPort("+80".into())));
        assert_eq!(parse("registry"), Err(NotAHost("registry".into())));
        assert_eq!(parse("index.docker.io"), Err(DockerHub("index.docker.io".into())));
    }

    #[test]
    fn the_folder_with_underscores_goes_first_as_in_containerd() {
        assert_eq!(parse("ghcr.io").unwrap().folder_names(), ["ghcr.io"]);
        let names = parse("reg.example:5000").unwrap().folder_names();
        assert_eq!(names, ["reg.example_5000_", "reg.example:5000"]);
    }

    #[test]
    fn other_folders_are_not_taken_for_a_registry_s() {
        for name in ["ghcr.io", "reg:5000", "reg_5000_", "10.0.0.1:80", "[::1]:5000", "harbor"] {
            assert!(is_folder_name(name), "{name}");
        }
        for name in ["_default", "..data", ".git", "lost+found", "a b", ""] {
            assert!(!is_folder_name(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_registry_prints_as_what_parses_to_it_again(text in "(https?://)?[a-z0-9.\\[\\]:@/_-]{0,24}") {
            if let Ok(registry) = parse(&text) {
                prop_assert_eq!(parse(&registry.to_string()).unwrap(), registry.clone());
                for name in registry.folder_names() {
                    prop_assert!(!name.contains('/') && name != ".." && !name.is_empty());
                }
            }
        }
    }
}
