//! What is found before containerd can be asked anything.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    thread,
};

use onepull_agent::check::Verdict;
use onepull_testbed::{Requirement, net::free_addresses, skip};
use rustix::{
    process::{Gid, Uid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use tokio::{net::TcpListener, runtime};

use crate::node::Node;

/// Debian's `nobody`.
const NOBODY: u32 = 65534;

async fn complaint_about_socket(node: &Node) -> String {
    let complaints = node.complaints().await;
    let about = complaints.iter().find(|(_, name, _)| *name == "containerd").unwrap();
    assert_eq!(about.0, Verdict::Problem);
    about.2.clone()
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_found() {
    let node = Node::bare();
    assert!(complaint_about_socket(&node).await.contains("none.sock does not exist"));
}

#[tokio::test]
async fn a_file_instead_of_a_socket_is_found() {
    let node = Node::bare();
    fs::write(&node.config.containerd_socket, "").unwrap();
    assert!(complaint_about_socket(&node).await.contains("is not a socket"));
}

#[tokio::test]
async fn a_socket_that_nobody_serves_is_found() {
    let node = Node::bare();
    drop(UnixListener::bind(&node.config.containerd_socket).unwrap());
    assert!(complaint_about_socket(&node).await.contains("nobody answers"));
}

#[tokio::test]
async fn a_program_that_is_not_containerd_is_found() {
    let node = Node::bare();
    let listener = UnixListener::bind(&node.config.containerd_socket).unwrap();
    thread::spawn(move || {
        // Each is closed at once.
        while listener.accept().is_ok() {}
    });
    let complaints = node.complaints().await;
    assert!(complaints.iter().any(|(verdict, name, _)| {
        *verdict == Verdict::Problem && matches!(*name, "containerd" | "version")
    }));
}

#[test]
fn a_socket_without_permission_is_found() {
    if skip("a_socket_without_permission_is_found", &[Requirement::Root]) {
        return;
    }
    let node = Node::bare();
    let _listener = UnixListener::bind(&node.config.containerd_socket).unwrap();
    fs::set_permissions(node.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&node.config.containerd_socket, fs::Permissions::from_mode(0o660)).unwrap();
    let seen = as_nobody(&node, async |node| complaint_about_socket(node).await);
    assert!(seen.contains("no permission to connect"), "{seen}");
}

#[tokio::test]
async fn a_port_that_another_program_holds_is_found() {
    let node = Node::bare();
    let _other = TcpListener::bind(node.config.peer_listen).await.unwrap();
    let complaints = node.complaints().await;
    let ports: Vec<_> = complaints.iter().filter(|(_, name, _)| *name == "ports").collect();
    let expected =
        format!("{} (--peer-listen) is taken by another program", node.config.peer_listen);
    assert_eq!(ports, [&(Verdict::Problem, "ports", expected)]);
}

#[tokio::test]
async fn one_port_for_two_listeners_is_found() {
    let mut node = Node::bare();
    node.config.p2p_listen = node.config.peer_listen;
    let complaints = node.complaints().await;
    assert!(complaints.iter().any(|(_, name, what)| *name == "ports" && what.contains("--p2p")));
}

#[tokio::test]
async fn a_peer_that_cannot_be_reached_is_found() {
    let mut node = Node::bare();
    let [closed] = free_addresses().unwrap();
    node.config.bootstrap = vec![closed.into()];
    let complaints = node.complaints().await;
    let what = &complaints.iter().find(|(_, name, _)| *name == "peers").unwrap().2;
    assert!(what.starts_with(&format!("{closed} cannot be reached")), "{what}");
}

/// Runs `look` on a thread that has no rights. The node stays with its owner: only that may end
/// its processes.
pub(crate) fn as_nobody<T: Send>(node: &Node, look: impl AsyncFnOnce(&Node) -> T + Send) -> T {
    let unprivileged = move || {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        // Its blocking threads are born of this one, and have no more rights.
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(look(node))
    };
    thread::scope(|scope| scope.spawn(unprivileged).join().unwrap())
}
