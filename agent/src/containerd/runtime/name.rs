//! Names of images in full, as containerd keeps them.
//!
//! The rules are those of Docker's reference grammar, which CRI applies to every name that it is given.

/// Where a name without a registry points to.
const REGISTRY: &str = "docker.io";

/// Another name of [`REGISTRY`].
const OLD_REGISTRY: &str = "index.docker.io";

/// Where [`REGISTRY`] keeps what has no owner.
const OWNER: &str = "library";

/// `nginx:1.27` becomes `docker.io/library/nginx:1.27`; names in full stay as they are. A tag beside
/// a digest says nothing and goes.
pub(super) fn normal(name: &str) -> String {
    let (registry, rest) = match name.split_once('/') {
        Some((OLD_REGISTRY, rest)) => (REGISTRY, rest),
        Some((first, rest)) if is_registry(first) => (first, rest),
        _ => (REGISTRY, name),
    };
    let owner = match registry == REGISTRY && !rest.contains('/') {
        true => format!("{OWNER}/"),
        false => String::new(),
    };
    let rest = match rest.split_once('@') {
        Some((tagged, digest)) => format!("{}@{digest}", repository(tagged)),
        None => rest.to_owned(),
    };
    format!("{registry}/{owner}{rest}")
}

/// A name without its tag or digest.
pub(super) fn repository(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_one_of_docker_hub() {
        assert_eq!(normal("nginx:1.27"), "docker.io/library/nginx:1.27");
        assert_eq!(normal("team/app:v1"), "docker.io/team/app:v1");
        assert_eq!(normal("index.docker.io/team/app:v1"), "docker.io/team/app:v1");
    }

    #[test]
    fn a_name_in_full_stays() {
        for name in ["localhost/a:1", "r.example/a/b:1", "10.0.0.1:5000/a@sha256:0", "h:1/a:b"] {
            assert_eq!(normal(name), name);
        }
    }

    #[test]
    fn a_tag_beside_a_digest_goes() {
        assert_eq!(normal("r.example:5000/a:v1@sha256:0"), "r.example:5000/a@sha256:0");
    }

    #[test]
    fn a_repository_has_neither_tag_nor_digest() {
        for name in ["h:5000/a/b", "h:5000/a/b:v1", "h:5000/a/b@sha256:0"] {
            assert_eq!(repository(name), "h:5000/a/b");
        }
    }
}
