//! The same image, however it is built.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use onepull_testbed::layout::sha256_file;

use crate::build::{Build, image, no_image, script};

/// Every file below a folder, and its hash.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let below = files(&path).into_iter();
            found.extend(below.map(|(file, hash)| (format!("{name}/{file}"), hash)));
        } else {
            found.insert(name, sha256_file(&path).unwrap().0.to_string());
        }
    }
    found
}

#[test]
fn two_builds_give_the_same_bytes_also_without_any_right_and_in_another_place() {
    let test = "two_builds_give_the_same_bytes_also_without_any_right_and_in_another_place";
    if no_image(test, &[]) {
        return;
    }
    // The same person with no capability, other habits and one core.
    let mut other = Command::new("setpriv");
    other.args(["--inh-caps=-all", "--bounding-set=-all", "taskset", "--cpu-list", "0"]);
    other.args(["sh", "-c", "umask 077; exec \"$@\"", "sh"]).arg(script());
    other.envs([("TZ", "Asia/Kathmandu"), ("LANG", "tr_TR.UTF-8"), ("GOMAXPROCS", "1")]);
    let other = Build::by(other);
    assert_eq!(files(&other.out()), files(&image().out()));
    assert_eq!(files(&other.out()).len(), 6, "layout, index, three blobs and the bill");
    assert_eq!(
        other.layout().manifest_digest(),
        image().layout().manifest_digest(),
        "what a registry calls it"
    );
}
