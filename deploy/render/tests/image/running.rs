//! The programs, run in the image's file system and in nothing else.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    process::{Command, Output},
};

use onepull_testbed::{Host, Lab, Requirement, Shape};

use crate::{
    build::{image, no_image},
    name_server::answer_all,
};

/// A cluster whose API server has a name; nothing listens there.
const KUBECONFIG: &str = r"
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: 'https://api.onepull.test:1'}}]
users: [{name: u, user: {}}]
";

/// Of the image, as its own user or as root.
fn program(root: &Path, user: &str, name: &str) -> Command {
    let mut chroot = Command::new("chroot");
    chroot.arg(format!("--userspec={user}")).arg(root).arg(name);
    chroot.env_clear().env("PATH", "/usr/sbin:/usr/bin");
    chroot
}

#[test]
fn each_program_finds_all_its_libraries_as_nobody_and_as_root() {
    let test = "each_program_finds_all_its_libraries_as_nobody_and_as_root";
    if no_image(test, &[Requirement::Root]) {
        return;
    }
    let root = image().unpacked();
    for user in ["65532:65532", "0:0"] {
        for name in ["onepull-agent", "onepull-controller"] {
            let path = format!("/usr/bin/{name}");
            let output = program(root.path(), user, &path).arg("--version").output().unwrap();
            assert_eq!(said(&output), format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
        }
    }
}

/// All that it said.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// What the controller says when it looks for its API server from the image, on a host whose name server
/// answers.
fn controller(root: &Path, host: &Host) -> String {
    fs::write(root.join("kubeconfig"), KUBECONFIG).unwrap();
    let mut controller = host.command("chroot");
    controller.arg("--userspec=65532:65532").arg(root).arg("/usr/bin/onepull-controller");
    controller.arg("serve").env_clear();
    controller.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("KUBECONFIG", "/kubeconfig");
    let output = controller.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    said(&output)
}

#[test]
fn names_are_looked_up_in_the_hosts_file_and_by_the_name_server() {
    let test = "names_are_looked_up_in_the_hosts_file_and_by_the_name_server";
    if no_image(test, &[Requirement::Root, Requirement::Iproute]) {
        return;
    }
    let lab = Lab::new().unwrap();
    let host = lab.node("pod", Shape::default()).unwrap();
    let root = image().unpacked();
    let etc = root.path().join("etc");
    let unknown = controller(root.path(), &host);
    assert!(unknown.contains("failed to lookup address"), "{unknown}");

    fs::write(etc.join("hosts"), "127.0.0.1 api.onepull.test\n").unwrap();
    let by_file = controller(root.path(), &host);
    assert!(by_file.contains("Connection refused"), "{by_file}");

    fs::write(etc.join("hosts"), "").unwrap();
    let server = host.call(|| UdpSocket::bind((Ipv4Addr::LOCALHOST, 53))).unwrap().unwrap();
    answer_all(server, Ipv4Addr::LOCALHOST);
    fs::write(etc.join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    let by_server = controller(root.path(), &host);
    assert!(by_server.contains("Connection refused"), "{by_server}");
}

#[test]
fn the_authorities_are_where_the_controller_looks_for_them() {
    let test = "the_authorities_are_where_the_controller_looks_for_them";
    if no_image(test, &[Requirement::Root, Requirement::Iproute]) {
        return;
    }
    let lab = Lab::new().unwrap();
    let host = lab.node("pod", Shape::default()).unwrap();
    let root = image().unpacked();
    let with = controller(root.path(), &host);
    assert!(with.contains("failed to lookup address"), "{with}");
    assert!(!with.contains("CA root certificate"), "one cannot be read: {with}");
    fs::remove_file(root.path().join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    let without = controller(root.path(), &host);
    assert!(without.contains("No CA certificates were loaded"), "{without}");
}
