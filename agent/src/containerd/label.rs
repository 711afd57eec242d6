//! What an ingest folder says about itself.

use onepull_mirror::Digest;

use super::namespace::NAMESPACE;

/// Whose ingest it is, by its file `ref`: `<namespace>/<number>/<role>-<digest>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// Not written yet, or the name of something else than a blob.
    Unknown,
    /// Another namespace's.
    Foreign,
    /// A blob of ours.
    Blob(Digest),
}

// === impl Label ===

impl Label {
    /// Reads the text of the file `ref`.
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = text.trim().splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(NAMESPACE), Some(_), Some(name)) => {
                let digest = name.rsplit_once('-').map_or(name, |(_, digest)| digest);
                digest.parse().map_or(Self::Unknown, Self::Blob)
            }
            (Some(namespace), Some(_), _) if namespace != NAMESPACE => Self::Foreign,
            _ => Self::Unknown,
        }
    }
}

/// Reads the text of the file `total`, which says 0 when the size is not known.
pub(super) fn total(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|total| *total > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ref_names_its_blob_whatever_its_role() {
        let digest = Digest::sha256(b"x");
        for role in ["layer-", "manifest-", "config-", "index-", ""] {
            let label = Label::parse(&format!("k8s.io/17/{role}{digest}"));
            assert_eq!(label, Label::Blob(digest), "{role}");
        }
    }

    #[test]
    fn other_namespaces_are_foreign_and_other_names_unknown() {
        let digest = Digest::sha256(b"x");
        assert_eq!(Label::parse(&format!("moby/1/layer-{digest}")), Label::Foreign);
        for text in ["", "k8s.io", "k8s.io/1", "k8s.io/1/import-7", "k8s.io/1/layer-sha256:0"] {
            assert_eq!(Label::parse(text), Label::Unknown, "{text}");
        }
    }

    #[test]
    fn a_total_of_0_is_none() {
        assert_eq!(total("1048576"), Some(1_048_576));
        assert_eq!([total("0"), total(""), total("-1")], [None; 3]);
    }
}
