//! Does containerd look for hosts files where the agent writes them?

use std::path::{Path, PathBuf};

use super::{
    Finding,
    settings::{Pulls, Settings},
};

const NAME: &str = "config_path";

pub(super) fn check(settings: &Settings, hosts_dir: &Path, for_all: bool) -> Vec<Finding> {
    let list = match &settings.config_path {
        Ok(list) => list,
        Err(reason) => {
            return vec![Finding::warning(
                NAME,
                format!("not known: {reason}"),
                "see whether containerd asks the mirror, below; or run the check as root outside \
                 of a container",
            )];
        }
    };
    let roots: Vec<_> = settings.folders().map(PathBuf::from).collect();
    // `Path` compares by component: a slash at the end makes no difference.
    match roots.iter().position(|root| root == hosts_dir) {
        Some(_) if takes_for_one(settings, &roots) => {
            let what = format!("{list} is a list, which this containerd takes for one folder");
            vec![Finding::broken(NAME, what, &to_set(settings, hosts_dir))]
        }
        Some(at) => found(list, &roots[..at], &roots[at + 1..], hosts_dir, for_all),
        None => vec![elsewhere(settings, &roots, hosts_dir)],
    }
}

fn elsewhere(settings: &Settings, roots: &[PathBuf], hosts_dir: &Path) -> Finding {
    let set = to_set(settings, hosts_dir);
    match roots.first() {
        None => Finding::broken(NAME, "not set: containerd reads no hosts files", &set),
        Some(first) => {
            let what = format!("{}, not {}", first.display(), hosts_dir.display());
            let or_set = format!("give the agent --hosts-dir {}, or {set}", first.display());
            let todo = if takes_for_one(settings, roots) { set } else { or_set };
            Finding::broken(NAME, what, &todo)
        }
    }
}

/// Whether it finds no hosts file, as it takes the list of folders for the name of one.
fn takes_for_one(settings: &Settings, roots: &[PathBuf]) -> bool {
    roots.len() > 1 && settings.pulls == Pulls::ByTransfer
}

fn to_set(settings: &Settings, hosts_dir: &Path) -> String {
    let folder = hosts_dir.display().to_string();
    let lines = format!("{}\n  config_path = {folder:?}", settings.table);
    format!("set in containerd's configuration, and restart it:\n{lines}")
}

/// Per registry containerd stops at the first root that has a folder for it or a `_default`.
fn found(
    list: &str,
    before: &[PathBuf],
    after: &[PathBuf],
    hosts_dir: &Path,
    for_all: bool,
) -> Vec<Finding> {
    let mut findings: Vec<_> = before
        .iter()
        .filter(|root| has_folders(root))
        .map(|root| {
            let what = format!("{} goes before {}", root.display(), hosts_dir.display());
            Finding::warning(NAME, what, "what it has goes past the mirror: use it as --hosts-dir")
        })
        .collect();
    let hidden = after.iter().filter(|root| for_all && has_folders(root)).map(|root| {
        let (root, here) = (root.display(), hosts_dir.display());
        let what = format!("{root} is not read once there is {here}/_default");
        Finding::warning(NAME, what, &format!("move its folders to {here}, or name --registry"))
    });
    findings.extend(hidden);
    if findings.is_empty() {
        findings.push(Finding::ok(NAME, list));
    }
    findings
}

fn has_folders(root: &Path) -> bool {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.path().is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    fn settings(path: &str) -> Settings {
        Settings {
            config_path: Ok(path.to_owned()),
            has_mirrors: false,
            discards_layers: Ok(false),
            pulls: Pulls::Itself,
            table: "[plugins.\"x\".registry]",
        }
    }

    #[test]
    fn the_same_folder_in_another_spelling_is_the_same() {
        let found = check(&settings("/none/certs.d/"), Path::new("/none/certs.d"), true);
        assert_eq!(found, [Finding::ok(NAME, "/none/certs.d/")]);
    }

    #[test]
    fn unset_and_elsewhere_are_problems_that_name_the_lines_to_write() {
        for path in ["", "/elsewhere"] {
            let found = check(&settings(path), Path::new("/etc/containerd/certs.d"), true);
            assert_eq!(found[0].verdict, Verdict::Problem);
            let todo = found[0].todo.as_deref().unwrap();
            assert!(todo.contains("config_path = \"/etc/containerd/certs.d\""), "{todo}");
        }
    }

    #[test]
    fn folders_of_other_roots_that_go_first_or_get_hidden_are_named() {
        let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(other.path().join("ghcr.io")).unwrap();
        let (ours, other) = (ours.path(), other.path());
        let list = |a: &Path, b: &Path| settings(&format!("{}:{}", a.display(), b.display()));
        let first = check(&list(other, ours), ours, true);
        assert!(first[0].what.contains("goes before"), "{first:?}");
        let hidden = check(&list(ours, other), ours, true);
        assert!(hidden[0].what.contains("is not read once"), "{hidden:?}");
        assert_eq!(check(&list(ours, other), ours, false)[0].verdict, Verdict::Ok);
    }

    #[test]
    fn a_list_is_a_problem_where_it_is_taken_for_one_folder() {
        let list = settings("/etc/containerd/certs.d:/etc/docker/certs.d");
        let by_transfer = Settings { pulls: Pulls::ByTransfer, ..list };
        for hosts_dir in ["/etc/containerd/certs.d", "/elsewhere"] {
            let found = check(&by_transfer, Path::new(hosts_dir), true);
            let verdicts: Vec<_> = found.iter().map(|finding| finding.verdict).collect();
            assert_eq!(verdicts, [Verdict::Problem]);
            let todo = found[0].todo.as_deref().unwrap();
            assert!(todo.starts_with("set in containerd's configuration"), "{todo}");
            assert!(todo.ends_with(&format!("config_path = {hosts_dir:?}")), "{todo}");
        }
    }

    #[test]
    fn a_setting_that_cannot_be_seen_is_a_warning() {
        let unknown = Settings { config_path: Err("hidden".into()), ..settings("") };
        assert_eq!(check(&unknown, Path::new("/x"), true)[0].verdict, Verdict::Warning);
    }
}
