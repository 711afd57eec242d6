//! What is found by asking containerd.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use onepull_agent::check::{Verdict, exit_status, table};
use onepull_testbed::Version;

use crate::{
    node::{Node, releases},
    socket::as_nobody,
};

#[tokio::test]
async fn a_node_in_order_is_without_complaint() {
    for version in releases("a_node_in_order_is_without_complaint") {
        let node = Node::healthy(version).await;
        let findings = node.check().await;
        println!("{}", table(&findings));
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{findings:#?}");
        let names: Vec<_> = findings.iter().map(|finding| finding.name).collect();
        let all = "containerd version config_path layers content hosts.toml cluster-key ports \
                   peers proof";
        assert_eq!(names.join(" "), all);
        assert_eq!(exit_status(&findings), 0);
    }
}

#[tokio::test]
async fn a_config_path_that_is_not_set_is_found_and_proven() {
    for version in releases("a_config_path_that_is_not_set_is_found_and_proven") {
        let node = Node::with(version, |_, options| options.hosts_dir = None).await;
        let complaints = node.complaints().await;
        let seen: Vec<_> = complaints.iter().map(|(verdict, name, _)| (*verdict, *name)).collect();
        assert_eq!(seen, [(Verdict::Problem, "config_path"), (Verdict::Problem, "proof")]);
        match version {
            Version::V1_6 => assert!(complaints[0].2.starts_with("not set")),
            Version::V2_2 => assert!(complaints[0].2.starts_with("/etc/containerd/certs.d, not")),
        }
    }
}

#[tokio::test]
async fn a_config_path_elsewhere_is_found_and_proven() {
    for version in releases("a_config_path_elsewhere_is_found_and_proven") {
        let elsewhere = |node: &Node| node.root.path().join("elsewhere");
        let node =
            Node::with(version, |node, options| options.hosts_dir = Some(elsewhere(node))).await;
        let complaints = node.complaints().await;
        let what = format!(
            "{}, not {}",
            elsewhere(&node).display(),
            node.config.hosts.hosts_dir.display()
        );
        assert_eq!(complaints[0], (Verdict::Problem, "config_path", what));
        assert_eq!((complaints[1].0, complaints[1].1), (Verdict::Problem, "proof"));
    }
}

#[tokio::test]
async fn layers_that_are_dropped_after_unpacking_are_a_warning() {
    for version in releases("layers_that_are_dropped_after_unpacking_are_a_warning") {
        let node = Node::with(version, |_, options| options.discard_unpacked_layers = true).await;
        let complaints = node.complaints().await;
        let seen: Vec<_> = complaints.iter().map(|(verdict, name, _)| (*verdict, *name)).collect();
        assert_eq!(seen, [(Verdict::Warning, "layers")]);
    }
}

#[tokio::test]
async fn a_cri_plugin_that_is_off_is_found() {
    for version in releases("a_cri_plugin_that_is_off_is_found") {
        // The testbed waits for CRI, so it is switched off behind its back.
        let mut node = Node::healthy(version).await;
        node.switch_cri_off().await;
        let complaints = node.complaints().await;
        let about = complaints.iter().find(|(_, name, _)| *name == "cri").unwrap();
        assert!(about.2.starts_with("containerd's CRI plugin is off"), "{about:?}");
    }
}

#[test]
fn a_content_folder_that_cannot_be_read_is_found() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for version in releases("a_content_folder_that_cannot_be_read_is_found") {
        let node = runtime.block_on(Node::healthy(version));
        // Anybody may talk to containerd, but its root is for itself.
        let socket = &node.config.containerd_socket;
        for path in [socket.as_path(), socket.parent().unwrap(), node.root.path()] {
            open(path);
        }
        let complaints = as_nobody(&node, async |node| node.complaints().await);
        let about = complaints.iter().find(|(_, name, _)| *name == "content").unwrap();
        assert_eq!(about.0, Verdict::Problem);
        assert!(about.2.contains("cannot read containerd's content folder"), "{about:?}");
    }
}

fn open(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}
