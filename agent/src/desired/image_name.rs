//! The name of an image, as people write it and as the runtime lists it.

use std::{fmt, str::FromStr};

use onepull_mirror::{Digest, digest::ParseDigestError};
use thiserror::Error;

const DOCKER_HUB: &str = "docker.io";

/// Where Docker Hub keeps what has a name of one part.
const OFFICIAL: &str = "library";

/// What a name without a tag means.
const DEFAULT_TAG: &str = "latest";

/// Longest name: a repository of 255 bytes, a tag of 128, a digest and what stands between.
const LONGEST: usize = 600;

/// `REGISTRY/REPOSITORY:TAG` or `REGISTRY/REPOSITORY@DIGEST`, in full: `nginx` is
/// `docker.io/library/nginx:latest`, as for a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageName {
    registry: String,
    repository: String,
    version: Version,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Version {
    Tag(String),
    Digest(Digest),
}

/// Why a text is no image's name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadName {
    /// It has a part that no name can have.
    #[error("`{0}` is no image name; write REGISTRY/REPOSITORY:TAG")]
    Form(String),
    /// What follows the `@` is no digest.
    #[error("`{name}` names no digest after the @: {source}")]
    Digest {
        /// The text.
        name: String,
        /// What is wrong with it.
        source: ParseDigestError,
    },
}

// === impl ImageName ===

impl ImageName {
    /// The registry's `HOST[:PORT]`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// `REGISTRY/REPOSITORY`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Whether it ends in a tag, which somebody has to set.
    pub fn has_tag(&self) -> bool {
        matches!(self.version, Version::Tag(_))
    }

    /// The digest, if it ends in one.
    pub fn digest(&self) -> Option<&Digest> {
        match &self.version {
            Version::Tag(_) => None,
            Version::Digest(digest) => Some(digest),
        }
    }
}

impl FromStr for ImageName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let form = || BadName::Form(text.to_owned());
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.parse();
                let bad = |source| BadName::Digest { name: text.to_owned(), source };
                (name, Some(digest.map_err(bad)?))
            }
            None => (text, None),
        };
        let (name, tag) = split_tag(name);
        let (registry, repository) = split_registry(name);
        let is_name = repository.split('/').all(is_component) && is_host(&registry);
        if !is_name || text.len() > LONGEST || !tag.is_none_or(is_tag) {
            return Err(form());
        }
        let version = match digest {
            Some(digest) => Version::Digest(digest),
            None => Version::Tag(tag.unwrap_or(DEFAULT_TAG).to_owned()),
        };
        Ok(Self { registry, repository, version })
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, repository, version } = self;
        match version {
            Version::Tag(tag) => write!(f, "{registry}/{repository}:{tag}"),
            Version::Digest(digest) => write!(f, "{registry}/{repository}@{digest}"),
        }
    }
}

/// A colon before a slash belongs to a port.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    }
}

/// Docker's rule for telling a registry from the first part of a repository.
fn split_registry(name: &str) -> (String, String) {
    match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (first.to_owned(), rest.to_owned())
        }
        Some(_) => (DOCKER_HUB.to_owned(), name.to_owned()),
        None => (DOCKER_HUB.to_owned(), format!("{OFFICIAL}/{name}")),
    }
}

fn is_host(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    !host.starts_with(['.', '-', ':']) && !host.is_empty() && host.bytes().all(allowed)
}

fn is_component(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = |byte: Option<u8>| byte.is_some_and(allowed);
    let inside = |byte: u8| allowed(byte) || b"._-".contains(&byte);
    ends(part.bytes().next()) && ends(part.bytes().last()) && part.bytes().all(inside)
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let inside = |byte: u8| word(byte) || b".-".contains(&byte);
    tag.bytes().next().is_some_and(word) && tag.len() <= 128 && tag.bytes().all(inside)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full(text: &str) -> String {
        text.parse::<ImageName>().unwrap().to_string()
    }

    #[test]
    fn a_short_name_is_that_of_docker_hub() {
        assert_eq!(full("nginx"), "docker.io/library/nginx:latest");
        assert_eq!(full("team/app:v1"), "docker.io/team/app:v1");
        assert_eq!(full("localhost/app"), "localhost/app:latest");
        assert_eq!(full("10.0.0.1:5000/team/app:v1"), "10.0.0.1:5000/team/app:v1");
    }

    #[test]
    fn a_digest_makes_the_tag_before_it_meaningless() {
        let digest = Digest::sha256(b"");
        let name: ImageName = format!("r.example/app:v1@{digest}").parse().unwrap();
        assert_eq!(name.to_string(), format!("r.example/app@{digest}"));
        assert_eq!((name.digest(), name.has_tag()), (Some(&digest), false));
        assert_eq!(name.repository(), "r.example/app");
    }

    #[test]
    fn what_no_runtime_would_accept_is_refused() {
        for text in ["", ":v1", "App", "a//b", "r.example/", "a:b c", "a b", "../a", "a@sha256:1"] {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_full_name_is_read_as_it_is_written(
            name in "[a-z0-9]{1,8}(\\.[a-z]{2,5}){1,2}(:[0-9]{2,5})?(/[a-z0-9]{1,9}){1,3}:[a-zA-Z0-9_]{1,9}",
        ) {
            prop_assert_eq!(full(&name), name);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,60}") {
            let _ = text.parse::<ImageName>();
        }
    }
}
