//! The name that a login is for, and what it matches.
//!
//! As in the kubelet (`credentialprovider.URLsMatch`): the scheme does not count, nor does `/v1/`
//! or `/v2/` at the end; hosts have the same number of labels, each of which may hold `*` and `?`;
//! ports are equal; the path is a prefix, letter for letter.

/// A host, perhaps with wildcards, a port and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    key: String,
}

// === impl Pattern ===

impl Pattern {
    pub(crate) fn new(registry: &str) -> Self {
        let name = ["https://", "http://"].iter().find_map(|scheme| registry.strip_prefix(scheme));
        let name = name.unwrap_or(registry);
        let (host, path) = split(name);
        let path = ["/v1/", "/v2/"]
            .iter()
            .find_map(|api| path.strip_prefix(api))
            .map_or_else(|| path.to_owned(), |rest| format!("/{rest}"));
        let path = if path == "/" { "" } else { &path };
        Self { key: format!("{host}{path}") }
    }

    /// Without scheme and version of the API; secrets are sorted by it.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Whether it is for `REGISTRY/REPOSITORY`.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let ((glob, prefix), (host, path)) = (split(&self.key), split(name));
        let ((glob, glob_port), (host, port)) = (split_port(glob), split_port(host));
        let labels = glob.split('.').count() == host.split('.').count();
        labels
            && glob_port == port
            && path.starts_with(prefix)
            && glob.split('.').zip(host.split('.')).all(|(glob, label)| fits(glob, label))
    }
}

/// Host and path; the path begins with `/` or is empty.
fn split(name: &str) -> (&str, &str) {
    name.split_at(name.find('/').unwrap_or(name.len()))
}

fn split_port(host: &str) -> (&str, &str) {
    host.rsplit_once(':').unwrap_or((host, ""))
}

/// `*` is any text, `?` any character. Goes back to the last `*` only, so the time is bounded by
/// the product of both lengths.
fn fits(glob: &str, label: &str) -> bool {
    let (glob, label) = (glob.as_bytes(), label.as_bytes());
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < label.len() {
        match (glob.get(at), star) {
            (Some(b'*'), _) => {
                star = Some((at, seen));
                at += 1;
            }
            (Some(wanted), _) if *wanted == b'?' || *wanted == label[seen] => {
                at += 1;
                seen += 1;
            }
            (_, Some((star_at, from))) => {
                star = Some((star_at, from + 1));
                (at, seen) = (star_at + 1, from + 1);
            }
            (_, None) => return false,
        }
    }
    glob[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_login_is_for_what_the_kubelet_takes_it_for() {
        for (registry, image, expected) in [
            ("r.example", "r.example/app", true),
            ("https://r.example", "r.example/app", true),
            ("http://r.example/v2/", "r.example/app", true),
            ("https://r.example/v1/team", "r.example/team/app", true),
            ("r.example", "r.example:5000/app", false),
            ("r.example:5000", "r.example:5000/app", true),
            ("r.example:5000", "r.example/app", false),
            ("*.example", "r.example/app", true),
            ("*.example", "a.r.example/app", false),
            ("*.*.example", "a.r.example/app", true),
            ("r*.example", "registry.example/app", true),
            ("r?.example", "r1.example/app", true),
            ("r?.example", "r12.example/app", false),
            ("*.example:5000/team", "r.example:5000/team/app", true),
            ("r.example/team", "r.example/team/app", true),
            ("r.example/team", "r.example/team2/app", true),
            ("r.example/team", "r.example/other/app", false),
            ("r.example/team/app", "r.example/team", false),
            ("", "r.example/app", false),
        ] {
            assert_eq!(Pattern::new(registry).matches(image), expected, "{registry} {image}");
        }
    }

    proptest! {
        #[test]
        fn a_label_with_parts_left_out_fits(
            (start, middle, end) in ("[a-z]{0,4}", "[a-z]{0,4}", "[a-z]{0,4}"),
        ) {
            let (glob, label) = (format!("{start}*{end}"), format!("{start}{middle}{end}"));
            prop_assert!(fits(&glob, &label));
            prop_assert!(fits("*", &middle));
            prop_assert!(fits(&middle, &middle));
        }

        #[test]
        fn no_name_makes_matching_panic(registry in ".{0,20}", image in ".{0,20}") {
            let _ = Pattern::new(&registry).matches(&image);
        }
    }
}
