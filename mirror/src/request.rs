//! Which part of the distribution API a request path names.
//!
//! Two forms are understood (DESIGN "Mirror"): containerd's `/v2/<repo>/blobs/<digest>?ns=<registry>`
//! and, for runtimes that send no `ns`, `/v2/<registry>/<repo>/blobs/<digest>`. Names are held to
//! the grammar of the OCI distribution specification, so `..`, empty segments and encoded slashes
//! never get past this file.

use http::Uri;
use percent_encoding::percent_decode_str;

use crate::{Digest, digest::ParseDigestError};

/// Docker Hub's name in references, and what a reference without a registry means.
const DEFAULT_REGISTRY: &str = "docker.io";

/// The repository that `onepull-agent check` pulls to see whether the runtime asks this mirror.
pub const PROBE_REPOSITORY: &str = "onepull/check";

/// Longest repository name, host included: the limit of the distribution specification.
const LONGEST_NAME: usize = 255;

/// A request for the pull API, without its method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/v2/`: is this a registry?
    Base,
    /// `/v2/<repository>/manifests/<reference>`.
    Manifest(Name, Reference),
    /// `/v2/<repository>/blobs/<digest>`.
    Blob(Name, Digest),
}

/// The repository that a request names, on the registry it really means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// `HOST[:PORT]` of the upstream registry.
    pub registry: String,
    /// The repository on it.
    pub repository: String,
    /// Whether the runtime named the registry by `ns`, as containerd does. Others keep what they
    /// pull where this node's store does not see it.
    pub by_containerd: bool,
}

/// What a manifest is asked by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// By tag. Never answered here: a tag belongs to its registry.
    Tag,
    /// By digest.
    Digest(Digest),
}

/// Why a path is none of the API's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// Not below `/v2/`, or nothing that can be pulled.
    NotPullApi,
    /// The repository or registry is not a valid name.
    Name,
    /// The digest is not valid.
    Digest(ParseDigestError),
}

impl Route {
    /// Reads the path and the `ns` parameter of a request.
    ///
    /// # Errors
    /// Why the path cannot be served.
    pub fn parse(uri: &Uri) -> Result<Self, BadRequest> {
        let path = decode(uri.path())?;
        if path == "/v2" || path == "/v2/" {
            return Ok(Self::Base);
        }
        let path = path.strip_prefix("/v2/").ok_or(BadRequest::NotPullApi)?;
        let (path, last) = path.rsplit_once('/').ok_or(BadRequest::NotPullApi)?;
        let (name, kind) = path.rsplit_once('/').ok_or(BadRequest::NotPullApi)?;
        let name = || Name::parse(name, namespace(uri)?);
        match kind {
            "manifests" => Ok(Self::Manifest(name()?, Reference::parse(last)?)),
            "blobs" => Ok(Self::Blob(name()?, last.parse().map_err(BadRequest::Digest)?)),
            _ => Err(BadRequest::NotPullApi),
        }
    }
}

impl Name {
    fn parse(name: &str, namespace: Option<String>) -> Result<Self, BadRequest> {
        let by_containerd = namespace.is_some();
        let (registry, repository) = match (namespace, name.split_once('/')) {
            (Some(registry), _) => (registry, name),
            (None, Some((first, rest))) if looks_like_host(first) => (first.to_owned(), rest),
            (None, _) => (DEFAULT_REGISTRY.to_owned(), name),
        };
        if name.len() > LONGEST_NAME || !is_registry(&registry) || !is_repository(repository) {
            return Err(BadRequest::Name);
        }
        Ok(Self { registry, repository: repository.to_owned(), by_containerd })
    }
}

impl Reference {
    fn parse(reference: &str) -> Result<Self, BadRequest> {
        if reference.contains(':') {
            reference.parse().map(Self::Digest).map_err(BadRequest::Digest)
        } else if is_tag(reference) {
            Ok(Self::Tag)
        } else {
            Err(BadRequest::NotPullApi)
        }
    }
}

/// Undoes percent-encoding once. An encoded slash would change what the segments are.
fn decode(path: &str) -> Result<String, BadRequest> {
    let decoded = percent_decode_str(path).decode_utf8().map_err(|_| BadRequest::Name)?;
    let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    if slashes(&decoded) == slashes(path) {
        Ok(decoded.into_owned())
    } else {
        Err(BadRequest::Name)
    }
}

/// The `ns` parameter: the registry that containerd means.
fn namespace(uri: &Uri) -> Result<Option<String>, BadRequest> {
    let parameters = uri.query().unwrap_or_default().split('&');
    let Some(value) = parameters.filter_map(|pair| pair.strip_prefix("ns=")).next() else {
        return Ok(None);
    };
    let decoded = percent_decode_str(value).decode_utf8().map_err(|_| BadRequest::Name)?;
    Ok(Some(decoded.into_owned()))
}

/// Docker's rule for telling `host/repository` from `repository/part`.
fn looks_like_host(segment: &str) -> bool {
    segment.contains(['.', ':']) || segment == "localhost"
}

fn is_registry(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
        && host.len() <= LONGEST_NAME
        && host.bytes().all(allowed)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` in each segment, a little laxer about runs of separators.
fn is_repository(repository: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    repository.split('/').all(|segment| {
        let bytes = segment.as_bytes();
        bytes.iter().all(|byte| alphanumeric(*byte) || b"._-".contains(byte))
            && bytes.first().is_some_and(|byte| alphanumeric(*byte))
            && bytes.last().is_some_and(|byte| alphanumeric(*byte))
            && !segment.contains("..")
    })
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || b".-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(path: &str) -> Result<Route, BadRequest> {
        Route::parse(&path.parse().unwrap())
    }

    fn name(registry: &str, repository: &str) -> Name {
        Name { registry: registry.into(), repository: repository.into(), by_containerd: true }
    }

    #[test]
    fn containerds_form_names_the_registry_in_ns() {
        assert_eq!(
            parse(&format!("/v2/team/app/blobs/{DIGEST}?ns=registry.example%3A5000")),
            Ok(Route::Blob(name("registry.example:5000", "team/app"), DIGEST.parse().unwrap()))
        );
    }

    #[test]
    fn without_ns_a_first_segment_like_a_host_is_the_registry() {
        let tag = |registry, repository| {
            let name = Name { by_containerd: false, ..name(registry, repository) };
            Ok(Route::Manifest(name, Reference::Tag))
        };
        assert_eq!(parse("/v2/ghcr.io/a/b/manifests/v1"), tag("ghcr.io", "a/b"));
        assert_eq!(parse("/v2/localhost/b/manifests/v1"), tag("localhost", "b"));
        assert_eq!(parse("/v2/10.0.0.1:5000/b/manifests/v1"), tag("10.0.0.1:5000", "b"));
        assert_eq!(parse("/v2/library/busybox/manifests/v1"), tag("docker.io", "library/busybox"));
        let with_ns = Route::Manifest(name("quay.io", "ghcr.io/a"), Reference::Tag);
        assert_eq!(parse("/v2/ghcr.io/a/manifests/v1?ns=quay.io"), Ok(with_ns));
    }

    #[test]
    fn an_encoded_colon_is_a_colon_and_an_encoded_slash_is_refused() {
        let encoded = DIGEST.replace(':', "%3A");
        assert!(matches!(parse(&format!("/v2/a/blobs/{encoded}")), Ok(Route::Blob(..))));
        assert_eq!(parse(&format!("/v2/a%2fb/blobs/{DIGEST}")), Err(BadRequest::Name));
    }

    #[test]
    fn path_tricks_name_nothing() {
        for path in ["/v2/../etc", "/v2/a/../b", "/v2//a", "/v2/a//b", "/v2/.a", "/v2/a.", "/v2/A"]
        {
            let result = parse(&format!("{path}/blobs/{DIGEST}"));
            assert_eq!(result, Err(BadRequest::Name), "{path}");
        }
        assert!(matches!(parse("/v2/a/blobs/..%2f..%2fetc"), Err(BadRequest::Name)));
        assert!(matches!(parse("/v2/a/blobs/..:x"), Err(BadRequest::Digest(_))));
        assert_eq!(parse("/v2/a/tags/list"), Err(BadRequest::NotPullApi));
        assert_eq!(parse("/etc/passwd"), Err(BadRequest::NotPullApi));
        assert_eq!(parse(&format!("/v2/a/blobs/{DIGEST}?ns=a/../b")), Err(BadRequest::Name));
    }

    #[test]
    fn the_base_is_recognised_with_and_without_a_slash() {
        assert_eq!(parse("/v2/"), Ok(Route::Base));
        assert_eq!(parse("/v2?ns=x"), Ok(Route::Base));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_names_stay_clean(path in "/v2/[a-zA-Z0-9./:%_-]{0,80}") {
            let Ok(uri) = path.parse::<Uri>() else { return Ok(()) };
            if let Ok(Route::Blob(name, _) | Route::Manifest(name, _)) = Route::parse(&uri) {
                prop_assert!(!name.repository.contains("..") && !name.repository.contains("//"));
                prop_assert!(!name.registry.contains('/'));
            }
        }
    }
}
