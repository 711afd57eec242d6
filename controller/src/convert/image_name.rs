//! The names of images, in full, as the runtime lists them.

use crate::planner::ImageRef;

const DOCKER_HUB: &str = "docker.io";

/// What Docker Hub also calls itself.
const INDEX: &str = "index.docker.io";

/// Where Docker Hub keeps what has a name of one part.
const OFFICIAL: &str = "library";

/// What a name without a tag means.
const DEFAULT_TAG: &str = "latest";

/// A reference as in a pod, in full: `nginx` is `docker.io/library/nginx:latest`, and a digest makes the
/// tag before it meaningless. What is no reference stays none: the registry says so.
pub fn full_name(written: &str) -> ImageRef {
    let (name, digest) = match written.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (written, None),
    };
    let (name, tag) = split_tag(name);
    let repository = repository(name);
    let full = match digest {
        Some(digest) => format!("{repository}@{digest}"),
        None => format!("{repository}:{}", tag.unwrap_or(DEFAULT_TAG)),
    };
    ImageRef::from(full.as_str())
}

/// A colon before a slash belongs to a port.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    }
}

/// Docker's rule for telling a registry from the first part of a repository.
fn repository(name: &str) -> String {
    match name.split_once('/') {
        Some((INDEX | DOCKER_HUB, rest)) if rest.contains('/') => format!("{DOCKER_HUB}/{rest}"),
        Some((INDEX | DOCKER_HUB, rest)) => format!("{DOCKER_HUB}/{OFFICIAL}/{rest}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("{DOCKER_HUB}/{name}"),
        None => format!("{DOCKER_HUB}/{OFFICIAL}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_those_that_the_runtime_lists() {
        for (written, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("team/app:v1", "docker.io/team/app:v1"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/team/app", "docker.io/team/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("10.0.0.1:5000/app", "10.0.0.1:5000/app:latest"),
            ("r.example/app:v1@sha256:00", "r.example/app@sha256:00"),
        ] {
            assert_eq!(full_name(written).as_str(), full, "{written}");
        }
    }

    proptest! {
        #[test]
        fn a_full_name_stays_as_it_is(
            name in "([a-z0-9]{1,8}\\.[a-z]{2,5}(:[0-9]{2,5})?/)?[a-z0-9]{1,9}(/[a-z0-9]{1,9}){0,2}",
            version in "(:[a-zA-Z0-9_]{1,9})?(@sha256:[0-9a-f]{64})?",
        ) {
            let full = full_name(&format!("{name}{version}"));
            prop_assert_eq!(full_name(full.as_str()), full);
        }

        #[test]
        fn what_is_no_name_gets_some_full_name_too(text in ".{0,60}") {
            prop_assert!(full_name(&text).as_str().contains([':', '@']));
        }
    }
}
