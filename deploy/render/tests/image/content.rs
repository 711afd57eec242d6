//! What is in the image.

use std::{fmt::Write, fs, process::Command};

use onepull_deploy::deploy;
use onepull_testbed::{Registry, Requirement, process::run, registry};
use serde_json::json;

use crate::build::{EPOCH, REVISION, image, no_image};

/// One line for each file: its mode, path, and where a link leads.
fn listing() -> String {
    let mut lines = String::new();
    for entry in image().layer().entries().unwrap() {
        let entry = entry.unwrap();
        let (header, path) = (entry.header(), entry.path().unwrap());
        let about = (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap());
        assert_eq!(about, (0, 0, EPOCH), "{}", path.display());
        write!(lines, "{:04o} {}", header.mode().unwrap(), path.display()).unwrap();
        if let Some(target) = entry.link_name().unwrap() {
            write!(lines, " -> {}", target.display()).unwrap();
        }
        lines.push('\n');
    }
    lines
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_image_holds_what_the_golden_file_lists_and_no_more() {
    if no_image("the_image_holds_what_the_golden_file_lists_and_no_more", &[]) {
        return;
    }
    let golden = deploy().join("render/tests/golden/image.txt");
    assert_eq!(listing(), fs::read_to_string(golden).unwrap());
}

#[test]
fn the_image_says_what_it_is_and_runs_as_nobody_by_default() {
    if no_image("the_image_says_what_it_is_and_runs_as_nobody_by_default", &[]) {
        return;
    }
    let mut config = image().config();
    let layers = config["rootfs"]["diff_ids"].take();
    assert_eq!(layers.as_array().unwrap().len(), 1);
    let labels = json!({
        "org.opencontainers.image.title": "onepull",
        "org.opencontainers.image.description": "One registry pull warms the whole cluster.",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
        "org.opencontainers.image.revision": REVISION,
    });
    let expected = json!({
        "created": "2026-01-02T03:04:05Z",
        "architecture": if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" },
        "os": "linux",
        "config": {
            "User": "65532:65532",
            "Env": ["PATH=/usr/bin"],
            "Cmd": ["/usr/bin/onepull-agent", "--help"],
            "WorkingDir": "/",
            "Labels": &labels,
        },
        "rootfs": {"type": "layers", "diff_ids": null},
        "history": [{"created": "2026-01-02T03:04:05Z", "created_by": "deploy/image/build.sh"}],
    });
    assert_eq!(config, expected);
    let annotations = serde_json::to_value(image().layout().manifest().annotations()).unwrap();
    assert_eq!(annotations, labels);
}

#[test]
fn the_authorities_are_those_of_debian_not_those_of_the_machine_that_builds() {
    let test = "the_authorities_are_those_of_debian_not_those_of_the_machine_that_builds";
    if no_image(test, &[Requirement::Root]) {
        return;
    }
    let root = image().unpacked();
    let bundle = fs::read_to_string(root.path().join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    let package = fs::read_dir("/usr/share/ca-certificates/mozilla").unwrap();
    let mut expected: Vec<_> =
        package.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let end = "-----END CERTIFICATE-----\n";
    let mut found: Vec<_> = bundle.split_inclusive(end).map(str::to_owned).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    assert!(found.len() > 100, "{}", found.len());
}

#[tokio::test]
async fn a_registry_takes_the_image_under_the_digest_that_the_build_prints() {
    let test = "a_registry_takes_the_image_under_the_digest_that_the_build_prints";
    if no_image(test, &[Requirement::Registry]) {
        return;
    }
    let registry = Registry::start(registry::Options::default()).await.unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let source = format!("oci:{}:{version}", image().out().join("layout").display());
    let target = format!("docker://{}/onepull/onepull:{version}", registry.name());
    let skopeo = |arguments: &[&str]| run(Command::new("skopeo").args(arguments)).unwrap();
    skopeo(&["copy", "--preserve-digests", "--dest-tls-verify=false", &source, &target]);
    let digest = skopeo(&["inspect", "--tls-verify=false", "--format={{.Digest}}", &target]);
    assert_eq!(digest.trim(), image().layout().manifest_digest().to_string());
    assert!(image().said.contains(&format!("digest        {digest}")), "{}", image().said);
}
