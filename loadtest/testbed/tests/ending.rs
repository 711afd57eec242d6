//! What was started ends: after a panic, with its host, and when it cannot start at all.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, process::Command, sync::mpsc, thread};

use onepull_testbed::{
    Containerd, Lab, Process, Requirement, Shape, Version, containerd::Options, process::run, skip,
};

const NEEDS: [Requirement; 2] = [Requirement::Root, Requirement::Iproute];

fn runs(pid: &str) -> bool {
    // A killed process that nobody has waited for yet is a zombie, which runs no more.
    let status = std::fs::read_to_string(Path::new("/proc").join(pid).join("status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

#[test]
fn a_panic_leaves_no_process_and_no_namespace() {
    if skip("a_panic_leaves_no_process_and_no_namespace", &NEEDS) {
        return;
    }
    let (told, tell) = mpsc::channel();
    let failing = thread::spawn(move || {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::new().unwrap();
        let host = lab.node("a", Shape::OPEN).unwrap();
        let mut sleep = host.command("sleep");
        sleep.arg("1000");
        let process = Process::spawn(sleep, folder.path().join("log")).unwrap();
        told.send((process.pid().to_string(), host.namespace().to_owned())).unwrap();
        panic!("the test fails");
    });
    let (pid, namespace) = tell.recv().unwrap();
    failing.join().unwrap_err();
    assert!(!runs(&pid));
    assert!(!Path::new("/run/netns").join(namespace).exists());
}

#[test]
fn a_daemon_that_left_its_parent_ends_with_its_host() {
    if skip("a_daemon_that_left_its_parent_ends_with_its_host", &NEEDS) {
        return;
    }
    let lab = Lab::new().unwrap();
    let host = lab.node("a", Shape::OPEN).unwrap();
    let mut shell = host.command("sh");
    shell.args(["-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"]);
    let pid = run(&mut shell).unwrap().trim().to_owned();
    assert!(runs(&pid));
    drop(host);
    let gone = (0..100).any(|_| {
        thread::sleep(std::time::Duration::from_millis(20));
        !runs(&pid)
    });
    assert!(gone, "process {pid} still runs");
}

#[test]
fn a_program_that_fails_is_named_with_what_it_said() {
    let error = run(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("exit status: 3") && error.ends_with(": why"), "{error}");
}

#[tokio::test]
async fn a_containerd_that_cannot_start_says_why_at_once() {
    let name = "a_containerd_that_cannot_start_says_why_at_once";
    if skip(name, &[Requirement::Root, Requirement::Containerd16]) {
        return;
    }
    let options = Options { extra_toml: "[[[".into(), ..Default::default() };
    let error = Containerd::start(Version::V1_6, options).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("the process ended (exit status: 1)"), "{error}");
    assert!(error.contains("failed to load TOML"), "{error}");
}
