//! The documents of a registry, by kind: an index, an image, or nothing that can run.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use oci_spec::image::{Digest, ImageIndex, ImageManifest};
use serde::{Deserialize, de::IgnoredAny};
use sha2::{Digest as _, Sha256};

use crate::{Platform, Problem};

/// As containerd has it: no runtime takes a larger one.
pub(crate) const LARGEST: usize = 4 << 20;

/// Asked for in this order. Anything else is taken too, so that it can be refused in words where
/// a registry would say "not found".
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, */*;q=0.1";

/// Configurations that a runtime can make a container of.
const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

const SCHEMA_1: &str = "it is in Docker's format of before 2016 (manifest schema 1), which \
                        runtimes have given up: build or push the image again";

/// What a manifest may be.
#[derive(Debug)]
pub(crate) enum Document {
    Index(Box<ImageIndex>),
    Image(Box<ImageManifest>),
}

/// As much as is needed to tell the kinds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

/// As much of a configuration as says what it is for.
#[derive(Deserialize)]
struct Configuration {
    os: String,
    architecture: String,
    variant: Option<String>,
}

// === impl Document ===

impl Document {
    /// Reads a body that has been verified. What it says of itself counts, else its structure.
    pub(crate) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, Problem> {
        let outline: Outline = serde_json::from_slice(body)
            .map_err(|_| Problem::NotAnImage("what is there is no manifest".to_owned()))?;
        let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let said = outline.media_type.as_deref().or(said).unwrap_or_default();
        if outline.schema_version == Some(1) || outline.fs_layers.is_some() {
            return Err(Problem::NotAnImage(SCHEMA_1.to_owned()));
        }
        let has_image = outline.layers.is_some() || outline.config.is_some();
        match (outline.manifests.is_some(), has_image) {
            (true, false) => Ok(Self::Index(Box::new(read(body, "index")?))),
            (false, true) => Ok(Self::Image(Box::new(image(body)?))),
            // Such a document is one thing to one client and another to the next (CVE-2021-41190).
            (true, true) => {
                Err(Problem::NotAnImage("it is an index and an image in one document".to_owned()))
            }
            (false, false) => {
                Err(Problem::NotAnImage(format!("it is of the type {}", quoted(said))))
            }
        }
    }
}

/// Whether a configuration makes a container.
fn image(body: &[u8]) -> Result<ImageManifest, Problem> {
    let manifest: ImageManifest = read(body, "image manifest")?;
    let config = manifest.config().media_type().to_string();
    match CONFIGS.contains(&config.as_str()) {
        true => Ok(manifest),
        false => Err(Problem::NotAnImage(format!(
            "its configuration is of the type {}, as of a chart or another artifact",
            quoted(&config)
        ))),
    }
}

/// For which platform a configuration is: it counts where no index says so.
pub(crate) fn platform(config: &[u8]) -> Result<Platform, Problem> {
    let Configuration { os, architecture, variant } = read(config, "image configuration")?;
    Ok(Platform::new(&os, &architecture, variant.as_deref()))
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8], kind: &str) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::NotAnImage(format!("its {kind} cannot be read ({error})")))
}

/// Somebody else's words, short and without control characters.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 100;
    format!("{:?}", text.chars().take(LONGEST).collect::<String>())
}

/// Checks bytes against the digest that they were asked by, or that the registry says they have.
pub(crate) fn verify(
    expected: Option<&str>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Digest, Problem> {
    let found = sha256(body);
    if let Some(other) = expected.filter(|expected| !expected.starts_with("sha256:")) {
        return Err(Problem::NotAnImage(format!("it is named by the digest {}", quoted(other))));
    }
    let said = headers.get("docker-content-digest").and_then(|value| value.to_str().ok());
    let said = said.filter(|said| said.starts_with("sha256:"));
    match expected.into_iter().chain(said).find(|expected| *expected != found) {
        Some(expected) => Err(Problem::ContentMismatch { expected: shown(expected), found }),
        None => {
            let unreadable = |_| Problem::Unusable("sent what has no digest");
            found.parse().map_err(unreadable)
        }
    }
}

fn shown(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 64).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(body: &str) -> String {
        match Document::parse(&HeaderMap::new(), body.as_bytes()) {
            Err(Problem::NotAnImage(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_run_is_named() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let chart = format!(
            r#"{{"schemaVersion":2,"layers":[],"config":{{"size":1,"digest":"{digest}",
               "mediaType":"application/vnd.cncf.helm.config.v1+json"}}}}"#
        );
        for (body, part) in [
            (r#"{"schemaVersion":1,"fsLayers":[]}"#, "manifest schema 1"),
            (r#"{"schemaVersion":1}"#, "push the image again"),
            (r#"{"manifests":[],"layers":[]}"#, "an index and an image"),
            (r#"{"mediaType":"a/b\u0007"}"#, r#"of the type "a/b\u{7}""#),
            ("<html>", "no manifest"),
            ("[]", "no manifest"),
            (r#"{"manifests":7}"#, "its index cannot be read"),
            (&chart, "application/vnd.cncf.helm.config.v1+json"),
        ] {
            let said = refused(body);
            assert!(said.contains(part), "{body}: {said}");
        }
    }

    #[test]
    fn bytes_have_to_have_the_digest_that_was_asked_and_that_was_said() {
        let body = Bytes::from_static(b"abc");
        let right = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let wrong = format!("sha256:{}", "0".repeat(64));
        let said = |digest: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("docker-content-digest", digest.parse().unwrap());
            headers
        };
        let ok = |expected, headers: &HeaderMap| verify(expected, headers, &body).is_ok();
        assert!(ok(None, &HeaderMap::new()) && ok(Some(right), &said(right)));
        assert!(ok(None, &said("sha512:00")));
        assert!(!ok(None, &said(&wrong)) && !ok(Some(&wrong), &said(right)));
        assert!(!ok(Some(right), &said(&wrong)));
    }

    proptest! {
        #[test]
        fn no_body_makes_the_parser_panic(body in "[ -~]{0,80}") {
            let _ = Document::parse(&HeaderMap::new(), body.as_bytes());
            let _ = platform(body.as_bytes());
        }
    }
}
