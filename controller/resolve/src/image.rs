//! The name of an image, parsed once.

use std::{fmt, str::FromStr};

use oci_spec::{
    distribution::{ParseError, Reference},
    image::{Digest, DigestAlgorithm},
};
use thiserror::Error;

use crate::credentials::Pattern;

/// As people know it.
const DOCKER_HUB: &str = "docker.io";

/// Where it answers, as containerd has it.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// Longest text that is looked at: a repository of 255 bytes, a host, a tag of 128, a digest.
const LONGEST: usize = 800;

/// `REGISTRY/REPOSITORY[:TAG][@DIGEST]` in full, read as Docker and containerd read it: `nginx` is
/// `docker.io/library/nginx:latest`. With a digest, the tag says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageRef {
    reference: Reference,
    digest: Option<Digest>,
}

/// Why a text is no image's name.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum BadReference {
    /// No runtime would accept it.
    #[error("`{text}` is no image reference ({source}); write REGISTRY/REPOSITORY:TAG as in a pod")]
    Form {
        /// The text, or how it begins.
        text: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Only SHA-256 is in use.
    #[error("`{0}` has no digest of the form sha256: and 64 characters out of 0-9 and a-f")]
    Digest(String),
}

// === impl ImageRef ===

impl ImageRef {
    /// The registry, `HOST[:PORT]`.
    pub fn registry(&self) -> &str {
        self.reference.registry()
    }

    /// The repository within the registry, such as `library/nginx`.
    pub fn repository(&self) -> &str {
        self.reference.repository()
    }

    /// The digest, if it has one: then nothing has to be resolved.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository by digest, `REGISTRY/REPOSITORY@DIGEST`.
    pub fn pinned(&self, digest: &Digest) -> String {
        format!("{}/{}@{digest}", self.registry(), self.repository())
    }

    /// Whether a login's or a plugin's name is for it, as the kubelet decides that: perhaps with
    /// wildcards, a port and a path.
    pub fn is_for(&self, pattern: &str) -> bool {
        Pattern::new(pattern).matches(&self.name())
    }

    /// `REGISTRY/REPOSITORY`, as pull secrets are matched with.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry(), self.repository())
    }

    /// What the registry is asked for: the digest, else the tag.
    pub(crate) fn wanted(&self) -> &str {
        self.reference.digest().or(self.reference.tag()).unwrap_or_default()
    }

    /// Where the registry answers, `HOST[:PORT]`.
    pub fn host(&self) -> &str {
        match self.registry() {
            DOCKER_HUB => DOCKER_HUB_HOST,
            registry => registry,
        }
    }

    pub(crate) fn is_on_docker_hub(&self) -> bool {
        self.registry() == DOCKER_HUB
    }
}

impl FromStr for ImageRef {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, BadReference> {
        let shown = || text.chars().take(LONGEST).collect::<String>();
        if text.len() > LONGEST {
            return Err(BadReference::Form { text: shown(), source: ParseError::NameTooLong });
        }
        let form = |source| BadReference::Form { text: shown(), source };
        let reference: Reference = text.parse().map_err(form)?;
        let digest = reference.digest().map(sha256).transpose();
        let digest = digest.map_err(|()| BadReference::Digest(shown()))?;
        Ok(Self { reference, digest })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reference.fmt(f)
    }
}

fn sha256(text: &str) -> Result<Digest, ()> {
    let digest: Digest = text.parse().map_err(|_| ())?;
    (*digest.algorithm() == DigestAlgorithm::Sha256).then_some(digest).ok_or(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn parse(text: &str) -> ImageRef {
        text.parse().unwrap()
    }

    #[test]
    fn a_short_name_is_that_of_docker_hub() {
        for (text, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("team/app:v1", "docker.io/team/app:v1"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("registry.example:5000/team/app:v1", "registry.example:5000/team/app:v1"),
            ("10.0.0.1:5000/app", "10.0.0.1:5000/app:latest"),
        ] {
            assert_eq!(parse(text).to_string(), full);
        }
        assert_eq!(parse("nginx").host(), "registry-1.docker.io");
        assert_eq!(parse("r.example:5000/app").host(), "r.example:5000");
    }

    #[test]
    fn a_digest_is_what_is_asked_for_whatever_the_tag() {
        let image = parse(&format!("r.example/app:v1@sha256:{HEX}"));
        assert_eq!(image.wanted(), format!("sha256:{HEX}"));
        assert_eq!(image.digest().map(ToString::to_string), Some(format!("sha256:{HEX}")));
        let digest = image.digest().unwrap().clone();
        assert_eq!(image.pinned(&digest), format!("r.example/app@sha256:{HEX}"));
        assert_eq!(parse("r.example/app").wanted(), "latest");
    }

    #[test]
    fn what_no_runtime_would_accept_is_refused_with_advice() {
        for text in ["", ":v1", "App", "a//b", "r.example/", "a:b c", "../a", "https://a/b"] {
            let said = text.parse::<ImageRef>().unwrap_err().to_string();
            assert!(said.contains("write REGISTRY/REPOSITORY:TAG"), "{said}");
        }
        let sha512 = format!("a@sha512:{HEX}{HEX}");
        let said = sha512.parse::<ImageRef>().unwrap_err().to_string();
        assert!(said.contains("sha256: and 64 characters"), "{said}");
        assert!(format!("a@sha256:{}", HEX.to_uppercase()).parse::<ImageRef>().is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,80}") {
            let _ = text.parse::<ImageRef>();
        }

        #[test]
        fn a_full_name_is_read_as_it_is_written(
            name in "[a-z0-9]{1,8}(\\.[a-z]{2,5}){1,2}(:[0-9]{2,5})?(/[a-z0-9]{1,9}){2,3}:[a-zA-Z0-9_]{1,9}",
        ) {
            prop_assert_eq!(parse(&name).to_string(), name);
        }
    }
}
