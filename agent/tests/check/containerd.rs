//! What is found by asking containerd.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use onepull_agent::check::{Finding, Verdict, exit_status, table};
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
        let all = "containerd version set-up config_path layers content hosts.toml cluster-key \
                   ports peers proof";
        assert_eq!(names.join(" "), all);
        let one_folder =
            "containerd with config_path; see docs/nodes.md#config_path-with-one-folder";
        assert_eq!(set_up(&findings), (one_folder, None));
        assert_eq!(exit_status(&findings), 0);
    }
}

#[tokio::test]
async fn a_config_path_that_is_not_set_is_found_and_proven() {
    for version in releases("a_config_path_that_is_not_set_is_found_and_proven") {
        let node = Node::with(version, |_, options| options.hosts_dir = None).await;
        let findings = node.check().await;
        let complaints = complaints(&findings);
        let seen: Vec<_> = complaints.iter().map(|found| (found.verdict, found.name)).collect();
        assert_eq!(seen, [(Verdict::Problem, "config_path"), (Verdict::Problem, "proof")]);
        let (what, section) = match version {
            Version::V1_6 => ("not set", "#no-config_path"),
            Version::V2_2 => {
                ("/etc/containerd/certs.d, not", "#config_path-with-a-list-of-folders")
            }
        };
        assert!(complaints[0].what.starts_with(what), "{complaints:?}");
        let (set_up, todo) = set_up(&findings);
        assert!(set_up.ends_with(section), "{set_up}");
        assert!(todo.unwrap().starts_with("set config_path"), "{todo:?}");
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

/// 2.2 reads a list only where it pulls without its transfer service, as when it drops layers.
#[tokio::test]
async fn a_list_of_folders_is_found_where_pulls_go_past_it_and_fine_where_they_do_not() {
    let name = "a_list_of_folders_is_found_where_pulls_go_past_it_and_fine_where_they_do_not";
    for version in releases(name) {
        for drops_layers in [false, true] {
            let node = Node::with(version, |node, options| {
                let certs_d = node.config.hosts.hosts_dir.display().to_string();
                options.hosts_dir = Some(format!("{certs_d}:/none/certs.d").into());
                options.discard_unpacked_layers = drops_layers;
            })
            .await;
            let findings = node.check().await;
            let complaints = complaints(&findings);
            let seen: Vec<_> = complaints.iter().map(|found| (found.verdict, found.name)).collect();
            let expected = match (version, drops_layers) {
                (Version::V2_2, false) => {
                    vec![(Verdict::Problem, "config_path"), (Verdict::Problem, "proof")]
                }
                (_, false) => vec![],
                (_, true) => vec![(Verdict::Warning, "layers")],
            };
            assert_eq!(seen, expected, "{version:?} {complaints:?}");
            let (set_up, _) = set_up(&findings);
            assert!(set_up.ends_with("#config_path-with-a-list-of-folders"), "{set_up}");
        }
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

/// Which set-up is named, and what to set there.
fn set_up(findings: &[Finding]) -> (&str, Option<&str>) {
    let found = findings.iter().find(|finding| finding.name == "set-up").unwrap();
    assert_eq!(found.verdict, Verdict::Ok);
    (&found.what, found.todo.as_deref())
}

fn complaints(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.verdict != Verdict::Ok).collect()
}

fn open(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}
