//! The desired state as YAML: `images: [{ref, digest, source: Upstream|Peers}]`.

use std::collections::HashSet;

use onepull_mirror::{
    declared::MOST_DECLARED,
    digest::{Digest, ParseDigestError},
};
use serde::Deserialize;
use thiserror::Error;

use super::{BadName, DesiredImage, ImageName, Source};
use crate::yaml::one_line;

/// Why a document is no desired state. Each says where, and what to write instead.
#[derive(Debug, Error)]
pub enum BadDesired {
    /// It is no YAML, or not of this form.
    #[error("it does not read as `images: [{{ref, digest, source}}]`: {0}")]
    Form(String),
    /// A name is none.
    #[error("image {number}: {source}")]
    Name {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        source: BadName,
    },
    /// A digest is none.
    #[error("image {number}: `{digest}` is no digest: {source}")]
    Digest {
        /// Counted from 1.
        number: usize,
        /// The text.
        digest: String,
        /// What is wrong with it.
        source: ParseDigestError,
    },
    /// A name ends in another digest than the one beside it.
    #[error("image {number}: `ref` and `digest` name different digests")]
    TwoDigests {
        /// Counted from 1.
        number: usize,
    },
    /// A name can only stand for one digest.
    #[error("{0} is listed twice")]
    Duplicate(ImageName),
    /// More than a node is meant to hold.
    #[error("{0} images are listed; at most {MOST_DECLARED} are allowed")]
    TooMany(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    images: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "ref")]
    name: String,
    digest: String,
    source: Source,
}

/// Reads the images, in their order.
///
/// # Errors
/// When any part of it makes no sense: half a list is not what somebody wrote.
pub fn parse(yaml: &str) -> Result<Vec<DesiredImage>, BadDesired> {
    let document: Document =
        serde_saphyr::from_str(yaml).map_err(|error| BadDesired::Form(one_line(&error)))?;
    if document.images.len() > MOST_DECLARED {
        return Err(BadDesired::TooMany(document.images.len()));
    }
    let entries = document.images.into_iter().enumerate();
    let images = entries.map(|(index, entry)| entry.image(index + 1));
    let images = images.collect::<Result<Vec<_>, _>>()?;
    let mut names = HashSet::new();
    match images.iter().find(|image| !names.insert(image.names.first())) {
        Some(twice) => Err(BadDesired::Duplicate(twice.names.first().clone())),
        None => Ok(images),
    }
}

// === impl Entry ===

impl Entry {
    fn image(self, number: usize) -> Result<DesiredImage, BadDesired> {
        let Self { name, digest, source } = self;
        let name: ImageName = name.parse().map_err(|source| BadDesired::Name { number, source })?;
        let digest: Digest = match digest.parse() {
            Ok(digest) => digest,
            Err(source) => return Err(BadDesired::Digest { number, digest, source }),
        };
        if name.digest().is_some_and(|named| *named != digest) {
            return Err(BadDesired::TwoDigests { number });
        }
        Ok(DesiredImage { names: name.into(), digest, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, digest: &str) -> String {
        format!("- {{ref: \"{name}\", digest: \"{digest}\", source: Peers}}\n")
    }

    fn refusal(yaml: &str) -> String {
        parse(yaml).unwrap_err().to_string()
    }

    #[test]
    fn images_are_read_in_their_order() {
        let [one, two] = [b"1", b"2"].map(|bytes| Digest::sha256(bytes));
        let yaml = format!(
            "# written by hand\nimages:\n- ref: r.example/b:v1\n  digest: {one}\n  source: Upstream\n\
             - ref: a\n  digest: {two}\n  source: Peers\n"
        );
        let images = parse(&yaml).unwrap();
        let shown: Vec<_> =
            images.iter().map(|it| (it.names.first().to_string(), it.source)).collect();
        let b = ("r.example/b:v1".to_owned(), Source::Upstream);
        assert_eq!(shown, [b, ("docker.io/library/a:latest".to_owned(), Source::Peers)]);
        assert_eq!(images[1].digest, two);
        assert_eq!(parse("images: []").unwrap(), []);
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_a_sentence() {
        let digest = Digest::sha256(b"").to_string();
        let of = |entries: &str| format!("images:\n{entries}");
        for (yaml, expected) in [
            (String::new(), "does not read as"),
            (of("- {ref: a, digest: b, source: Nowhere}\n"), "Nowhere"),
            (of("- {ref: a, digest: b, source: Peers, pin: true}\n"), "pin"),
            (of(&entry("a", "latest")), "image 1: `latest` is no digest"),
            (of(&(entry("a", &digest) + &entry("B", &digest))), "image 2: `B` is no image name"),
            (of(&entry("a", &digest).repeat(2)), "docker.io/library/a:latest is listed twice"),
            (of(&entry(&format!("a@{}", Digest::sha256(b"x")), &digest)), "different digests"),
        ] {
            let refusal = refusal(&yaml);
            assert!(refusal.contains(expected), "{expected}: {refusal}");
        }
        let many: String = (0..=MOST_DECLARED).map(|n| entry(&format!("a{n}"), &digest)).collect();
        assert!(refusal(&of(&many)).contains("at most 256"), "too many");
    }
}
