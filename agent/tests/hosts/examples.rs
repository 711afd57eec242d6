//! One situation a test.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use crate::node::{Node, OURS};

#[test]
fn on_a_bare_node_the_default_is_created_and_then_nothing_is_left() {
    let node = Node::new(&[]);
    let before = node.tree();
    assert_eq!(node.install(), ["_default/hosts.toml Created"]);
    assert!(node.read("_default/hosts.toml").contains(OURS));
    assert_eq!(node.install(), ["_default/hosts.toml Unchanged"]);
    assert_eq!(node.uninstall(), ["_default/hosts.toml Removed"]);
    assert_eq!(node.tree(), before);
    assert_eq!(node.uninstall(), [] as [String; 0]);
}

#[test]
fn every_folder_that_would_hide_the_default_names_the_mirror_too() {
    let node = Node::new(&[]);
    let user = "server = \"https://ghcr.io\"\n\n[host.\"https://cache.example\"]\n";
    node.write("ghcr.io/hosts.toml", user);
    fs::create_dir(node.path("quay.io")).unwrap();
    let before = node.tree();
    let done =
        ["_default/hosts.toml Created", "ghcr.io/hosts.toml Merged", "quay.io/hosts.toml Created"];
    assert_eq!(node.install(), done);
    assert!(node.read("quay.io/hosts.toml").contains(OURS));
    let merged = node.read("ghcr.io/hosts.toml");
    assert!(merged.find(OURS).unwrap() < merged.find("cache.example").unwrap());
    node.uninstall();
    assert_eq!(node.tree(), before);
}

#[test]
fn a_named_registry_gets_a_folder_and_plain_http_is_spelled_out() {
    let node = Node::new(&["http://reg.example:5000", "ghcr.io"]);
    let before = node.tree();
    node.install();
    let text = node.read("reg.example:5000/hosts.toml");
    assert!(text.contains("server = \"http://reg.example:5000\"\n"));
    assert!(!node.read("ghcr.io/hosts.toml").contains("server"));
    assert!(!node.path("_default").exists());
    node.uninstall();
    assert_eq!(node.tree(), before);
}

#[test]
fn certificates_that_lay_in_a_folder_are_named_once_its_file_exists() {
    let node = Node::new(&[]);
    for name in ["ca.crt", "me.cert", "me.key"] {
        node.write(&format!("reg:5000/{name}"), "pem");
    }
    let before = node.tree();
    node.install();
    let text = node.read("reg:5000/hosts.toml");
    assert!(text.contains("ca = [\"ca.crt\"]\nclient = [[\"me.cert\", \"me.key\"]]\n\n[host"));
    node.uninstall();
    assert_eq!(node.tree(), before);
}

#[test]
fn a_new_mirror_address_replaces_the_old_one() {
    let mut node = Node::new(&[]);
    node.write("ghcr.io/hosts.toml", "# mine");
    let before = node.tree();
    node.install();
    node.config.mirror = "[::]:30000".parse().unwrap();
    assert_eq!(node.install(), ["_default/hosts.toml Merged", "ghcr.io/hosts.toml Merged"]);
    let text = node.read("ghcr.io/hosts.toml");
    assert!(text.contains("http://[::1]:30000") && !text.contains("29900"));
    node.uninstall();
    assert_eq!(node.tree(), before);
}

#[test]
fn files_that_are_no_longer_wanted_are_restored_at_the_next_install() {
    let mut node = Node::new(&["http://reg:5000", "ghcr.io"]);
    node.write("ghcr.io/hosts.toml", "# mine\n");
    node.install();
    node.config.registries = vec!["quay.io".parse().unwrap()];
    let done = node.install();
    assert_eq!(done[..2], ["ghcr.io/hosts.toml Restored", "reg:5000/hosts.toml Removed"]);
    assert!(!node.path("reg:5000").exists());
    node.config.registries.clear();
    node.install();
    assert!(!node.path("quay.io").exists(), "a folder that we made must not hide the default");
    assert!(node.read("ghcr.io/hosts.toml").contains(OURS));
}

#[test]
fn a_file_that_cannot_be_merged_is_left_alone_and_the_others_are_done() {
    let node = Node::new(&[]);
    node.write("ghcr.io/hosts.toml", "server = \n");
    node.write("quay.io/hosts.toml", "host = { \"https://a\" = {} }\n");
    let done = node.install();
    assert_eq!(done[0], "_default/hosts.toml Created");
    assert!(done[1].starts_with("ghcr.io/hosts.toml refused: it is not valid TOML"), "{done:?}");
    assert!(done[2].contains(OURS), "{done:?}");
    assert_eq!(node.read("ghcr.io/hosts.toml"), "server = \n");
    assert_eq!(node.read("quay.io/hosts.toml"), "host = { \"https://a\" = {} }\n");
    assert_eq!(node.uninstall(), ["_default/hosts.toml Removed"]);
}

#[test]
fn without_its_backup_uninstall_goes_by_the_markers() {
    for registries in [&[][..], &["ghcr.io", "http://reg:5000"]] {
        let node = Node::new(registries);
        node.write("ghcr.io/hosts.toml", "# no line break at the end");
        let before = node.tree();
        node.install();
        node.lose_backup();
        node.uninstall();
        assert_eq!(node.tree(), before);
    }
}

#[test]
fn a_damaged_manifest_counts_as_a_lost_backup() {
    let node = Node::new(&[]);
    node.write("ghcr.io/hosts.toml", "# mine");
    let before = node.tree();
    node.install();
    fs::write(node.root.path().join("data/hosts-backup/manifest.json"), "{").unwrap();
    node.uninstall();
    assert_eq!(node.tree(), before);
}

#[test]
fn a_file_whose_markers_were_torn_is_reported_and_left_alone() {
    let node = Node::new(&[]);
    node.install();
    let torn = node.read("_default/hosts.toml").replace("# <<< onepull\n", "");
    node.write("_default/hosts.toml", &torn);
    let done = node.uninstall();
    assert!(done[0].contains("refused: line 1 is a marker"), "{done:?}");
    assert_eq!(node.read("_default/hosts.toml"), torn);
}

#[test]
fn a_file_that_the_user_filled_since_stays_without_our_lines() {
    let node = Node::new(&[]);
    node.install();
    let text = node.read("_default/hosts.toml");
    node.write("_default/hosts.toml", format!("{text}[host.\"https://a\"]\n"));
    assert_eq!(node.install(), ["_default/hosts.toml Merged"]);
    assert_eq!(node.uninstall(), ["_default/hosts.toml Restored"]);
    assert_eq!(node.read("_default/hosts.toml"), "[host.\"https://a\"]\n");
}

#[test]
fn without_a_place_for_the_original_no_file_is_changed() {
    let node = Node::new(&[]);
    node.write("ghcr.io/hosts.toml", "# mine\n");
    fs::write(node.root.path().join("data"), "a file").unwrap();
    let before = node.tree();
    let done = node.install();
    assert!(done.iter().all(|line| line.contains("its original cannot be kept")), "{done:?}");
    assert_eq!(node.tree(), before);
}

#[test]
fn two_agents_do_not_change_the_files_at_the_same_moment() {
    let node = Node::new(&[]);
    fs::create_dir(&node.config.hosts_dir).unwrap();
    let other = fs::File::open(&node.config.hosts_dir).unwrap();
    other.lock().unwrap();
    let error = onepull_agent::hosts::install(&node.config).unwrap_err();
    assert!(error.to_string().starts_with("another onepull-agent is changing"), "{error}");
}

#[test]
fn a_certificate_with_another_name_is_named_at_the_next_look() {
    let node = Node::new(&[]);
    node.write("reg:5000/ca.crt", "pem");
    node.install();
    let manifest = node.root.path().join("data/hosts-backup/manifest.json");
    let written = |file: &Path| fs::metadata(file).unwrap().ino();
    let before = (written(&manifest), written(&node.path("_default/hosts.toml")));
    assert!(node.install_again().iter().flatten().all(|line| line.ends_with(" Unchanged")));
    let after = (written(&manifest), written(&node.path("_default/hosts.toml")));
    assert_eq!(after, before, "nothing is written anew");
    fs::rename(node.path("reg:5000/ca.crt"), node.path("reg:5000/ca-2027.crt")).unwrap();
    let done = ["_default/hosts.toml Unchanged", "reg:5000/hosts.toml Merged"];
    assert_eq!(node.install_again().unwrap(), done);
    assert!(node.read("reg:5000/hosts.toml").contains("ca = [\"ca-2027.crt\"]\n"));
}

#[test]
fn after_an_uninstall_nothing_is_put_back_and_what_somebody_deleted_is() {
    let node = Node::new(&[]);
    node.write("ghcr.io/hosts.toml", "# mine\n");
    let before = node.tree();
    node.install();
    fs::remove_file(node.path("_default/hosts.toml")).unwrap();
    node.lose_backup();
    assert!(node.install_again().is_some(), "one file still has our lines");
    assert!(node.read("_default/hosts.toml").contains(OURS));
    node.uninstall();
    assert_eq!(node.install_again(), None);
    let mut now = node.tree();
    // The backup that was lost knew that this folder was there for the file alone.
    now.remove(&node.path("_default"));
    assert_eq!(now, before);
}

#[test]
fn a_new_folder_of_a_registry_never_hides_what_somebody_wrote_into_the_default() {
    let node = Node::new(&["docker.io"]);
    node.write("_default/hosts.toml", "[host.\"https://proxy.internal\"]\n");
    let before = node.tree();
    let done = node.install();
    assert_eq!(done.len(), 1);
    assert!(done[0].starts_with("docker.io/hosts.toml refused: it would hide"), "{done:?}");
    assert!(done[0].contains("copy") && done[0].contains("--registry"), "{done:?}");
    assert_eq!(node.uninstall(), [""; 0]);
    assert_eq!(node.tree(), before);

    node.write("docker.io/hosts.toml", "[host.\"https://proxy.internal\"]\n");
    assert_eq!(node.install(), ["docker.io/hosts.toml Merged"], "copied, as told");
}

#[test]
fn a_folder_that_we_made_goes_when_somebody_writes_a_default_that_it_hides() {
    for default in ["_default/hosts.toml", "_default/ca.crt"] {
        let node = Node::new(&["docker.io"]);
        assert_eq!(node.install(), ["docker.io/hosts.toml Created"]);
        node.write(default, "server = \"https://proxy.internal\"\n");
        let done = node.install_again().unwrap();
        assert_eq!(done[0], "docker.io/hosts.toml Removed");
        assert!(done[1].contains("it would hide"), "{done:?}");
        assert!(!node.path("docker.io").exists());
        node.uninstall();
        assert!(node.path(default).exists());
    }
}

#[test]
fn a_default_that_says_nothing_is_not_hidden() {
    for default in ["", "# nothing yet\n"] {
        let node = Node::new(&["docker.io"]);
        node.write("_default/hosts.toml", default);
        assert_eq!(node.install(), ["docker.io/hosts.toml Created"]);
    }
    let mut node = Node::new(&[]);
    node.install();
    node.config.registries = vec!["docker.io".parse().unwrap()];
    assert_eq!(node.install(), ["_default/hosts.toml Removed", "docker.io/hosts.toml Created"]);
}
