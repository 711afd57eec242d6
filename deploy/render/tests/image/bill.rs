//! The bill of materials, against what the programs themselves give away.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    process::Command,
};

use onepull_testbed::process::run;
use serde_json::{Value, json};

use crate::build::{image, no_image};

/// Cargo keeps the sources of crates in a folder of this name; where one can panic, its program says so by
/// the file's path.
const SOURCES: &str = "/registry/src/";

/// Crates, as `name-version`, that a program of the image names in its messages of panics.
fn named_by(program: &str) -> BTreeSet<String> {
    let mut text = Vec::new();
    let mut layer = image().layer();
    let mut files = layer.entries().unwrap().map(|file| file.unwrap());
    let mut file = files.find(|file| file.path().unwrap().ends_with(program)).unwrap();
    file.read_to_end(&mut text).unwrap();
    let text = String::from_utf8_lossy(&text);
    let paths = text.split(SOURCES).skip(1);
    paths.filter_map(|path| name_and_version(path.split_once('/')?.1)).collect()
}

/// The folder that a path begins with, if it is one of a crate.
fn name_and_version(path: &str) -> Option<String> {
    let (folder, _) = path.split_once('/')?;
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.+".contains(letter);
    folder.chars().all(fits).then(|| folder.to_owned())
}

fn components(bill: &Value) -> &[Value] {
    bill["components"].as_array().unwrap()
}

fn purl(component: &Value) -> &str {
    component["purl"].as_str().unwrap_or_default()
}

#[test]
fn the_bill_has_every_crate_that_the_programs_name_each_once_with_its_licence() {
    let test = "the_bill_has_every_crate_that_the_programs_name_each_once_with_its_licence";
    if no_image(test, &[]) {
        return;
    }
    let bill = image().bill();
    let crates = components(&bill).iter().filter(|one| purl(one).starts_with("pkg:cargo/"));
    let mut listed = BTreeMap::new();
    for one in crates {
        let name = one["name"].as_str().unwrap();
        let version = one["version"].as_str().unwrap();
        assert_ne!(one["licenses"][0]["expression"].as_str().unwrap_or_default(), "", "{one}");
        assert!(listed.insert(format!("{name}-{version}"), one).is_none(), "{one} is there twice");
    }
    for name in ["onepull-agent", "onepull-controller"] {
        let named = named_by(name);
        let missing: Vec<_> = named.iter().filter(|one| !listed.contains_key(*one)).collect();
        assert_eq!(missing, [""; 0], "{name}");
        assert!(named.len() > 50, "{name} names {named:?}");
    }
    for absent in ["proptest-", "insta-", "tonic-prost-build-", "serde_derive-", "clap_derive-"] {
        let there: Vec<_> = listed.keys().filter(|one| one.starts_with(absent)).collect();
        assert_eq!(there, [""; 0], "for tests, builds and macros only");
    }
}

#[test]
fn the_bill_has_the_debian_packages_in_the_versions_that_are_installed() {
    if no_image("the_bill_has_the_debian_packages_in_the_versions_that_are_installed", &[]) {
        return;
    }
    let bill = image().bill();
    let debian = components(&bill).iter().filter(|one| purl(one).starts_with("pkg:deb/debian/"));
    let found: BTreeMap<_, _> =
        debian.map(|one| (one["name"].as_str().unwrap(), &one["version"])).collect();
    let expected = ["base-files", "ca-certificates", "libc6", "libgcc-s1"];
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), expected);
    for (package, version) in found {
        let mut query = Command::new("dpkg-query");
        let installed = run(query.args(["--show", "--showformat=${Version}", package])).unwrap();
        assert_eq!(version, &installed, "{package}");
    }
}

#[test]
fn the_bill_says_what_it_is_the_bill_of() {
    if no_image("the_bill_says_what_it_is_the_bill_of", &[]) {
        return;
    }
    let (bill, digest) = (image().bill(), image().layout().manifest_digest().clone());
    let expected = json!({
        "type": "container",
        "name": "onepull",
        "version": env!("CARGO_PKG_VERSION"),
        "bom-ref": format!("onepull@{digest}"),
        "hashes": [{"alg": "SHA-256", "content": digest.digest()}],
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    });
    assert_eq!(bill["metadata"], json!({"component": expected}));
    let all = components(&bill);
    let references: BTreeSet<_> = all.iter().map(|one| one["bom-ref"].as_str().unwrap()).collect();
    assert_eq!(references.len(), all.len(), "each has a name of its own");
    let own =
        all.iter().filter(|one| purl(one).is_empty()).map(|one| one["name"].as_str().unwrap());
    let own: BTreeSet<_> = own.collect();
    let expected = [
        "onepull-admin",
        "onepull-agent",
        "onepull-api",
        "onepull-controller",
        "onepull-mirror",
        "onepull-resolve",
        "rust-std",
    ];
    assert_eq!(own, BTreeSet::from(expected), "what no registry has");
}
