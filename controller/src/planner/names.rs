//! The names of what a plan is about. Cheap to clone: a plan of 5,000 nodes repeats them often.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Eq, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl PartialEq for $name {
            /// Names are shared, so that most are seen to be the same without being read.
            fn eq(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.hash(state);
            }
        }

        impl $name {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<Arc<str>> for $name {
            fn from(text: Arc<str>) -> Self {
                Self(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// The digest of a manifest or an index, `sha256:e3b0c4…`. Checked by whoever made the inputs.
    Digest
}

name! {
    /// The name of an image, in full: `docker.io/library/nginx:1.27`.
    ImageRef
}

name! {
    /// The name of a node.
    NodeName
}

name! {
    /// What a node runs, as in an image's index: `linux/amd64`.
    Platform
}

/// The name of an image cache: `namespace/name`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheId {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name there.
    pub name: Arc<str>,
}

/// Hexadecimal digits of a digest that are enough for a person to tell it from others.
const SHORT: usize = 12;

// === impl Digest ===

impl Digest {
    /// The first digits of the hash, for people.
    pub fn short(&self) -> &str {
        let hex = self.0.split_once(':').map_or(&*self.0, |(_, hex)| hex);
        hex.get(..SHORT).unwrap_or(hex)
    }
}

// === impl ImageRef ===

impl ImageRef {
    /// The name without tag and digest.
    pub fn repository(&self) -> &str {
        let name = self.0.split_once('@').map_or(&*self.0, |(name, _)| name);
        match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => name,
        }
    }

    /// The name that always means this digest.
    pub fn at(&self, digest: &Digest) -> Self {
        Self(format!("{}@{digest}", self.repository()).into())
    }
}

// === impl CacheId ===

impl CacheId {
    /// The cache `name` of `namespace`.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for CacheId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for CacheId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_the_name_without_tag_and_digest_and_a_port_is_no_tag() {
        for (name, repository) in [
            ("r.example/a/b:v1", "r.example/a/b"),
            ("r.example:5000/a", "r.example:5000/a"),
            ("r.example:5000/a:v1@sha256:00", "r.example:5000/a"),
        ] {
            assert_eq!(ImageRef::from(name).repository(), repository);
        }
        let at = ImageRef::from("r.example:5000/a:v1").at(&"sha256:00".into());
        assert_eq!(at.as_str(), "r.example:5000/a@sha256:00");
    }
}
