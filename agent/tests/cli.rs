//! What a person reads who starts the agent with bad input.
#![allow(clippy::unwrap_used, reason = "test code: a panic is the report")]

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

/// Runs `serve` on free ports of loopback, with `flags` over that; it must end by itself.
fn serve(folder: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onepull-agent"));
    command.arg("serve").env("ONEPULL_MIRROR_LISTEN", "127.0.0.1:0");
    command.env("ONEPULL_PEER_LISTEN", "127.0.0.1:0").env("ONEPULL_P2P_LISTEN", "127.0.0.1:0");
    command.env("ONEPULL_ADMIN_LISTEN", "127.0.0.1:0");
    command.env("ONEPULL_CONTAINERD_SOCKET", folder.join("none.sock"));
    command.env("ONEPULL_HOSTS_DIR", folder.join("certs.d"));
    command.env("ONEPULL_DATA_DIR", folder.join("data"));
    command.args(flags).output().unwrap()
}

/// Asserts that it failed with one line that names all of `words`.
fn assert_says(output: &Output, words: &[&str]) {
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    let said = text.lines().rfind(|line| line.starts_with("onepull-agent: ")).unwrap_or(&text);
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in {said:?}");
    }
}

#[test]
fn a_port_in_use_is_named_with_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--mirror-listen", "--peer-listen", "--p2p-listen", "--admin-listen"] {
        assert_says(&serve(folder.path(), &[flag, &address]), &[&address, flag, "in use"]);
    }
}

#[test]
fn listening_for_everybody_has_to_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let output = serve(folder.path(), &["--mirror-listen", "0.0.0.0:0"]);
    assert_says(&output, &["--mirror-listen", "loopback"]);
    let output = serve(folder.path(), &["--peer-listen", "[::]:0"]);
    assert_says(&output, &["--peer-listen", "--insecure-peers"]);
}

#[test]
fn a_file_that_is_no_socket_is_refused_with_the_flag_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = serve(folder.path(), &["--containerd-socket", file.to_str().unwrap()]);
    assert_says(&output, &[file.to_str().unwrap(), "--containerd-socket"]);
}

#[test]
fn a_zone_or_a_data_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert_says(&serve(folder.path(), &["--zone", "a zone"]), &["a zone", "--zone"]);
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = serve(folder.path(), &["--data-dir", file.to_str().unwrap()]);
    assert_says(&output, &[file.to_str().unwrap(), "--data-dir"]);
}

#[test]
fn a_registry_or_a_peer_that_is_none_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, value) in [("--registry", "ftp://x"), ("--bootstrap", "node-1")] {
        let output = serve(folder.path(), &[flag, value]);
        assert_eq!(output.status.code(), Some(2), "{flag}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(value), "{flag}");
    }
}

#[test]
fn a_cluster_key_that_is_none_is_named_with_the_way_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let path = file.to_str().unwrap();
    let output = serve(folder.path(), &["--cluster-key-file", path]);
    assert_says(&output, &["cannot read", path, "--cluster-key-file"]);
    std::fs::write(&file, "secret").unwrap();
    let output = serve(folder.path(), &["--cluster-key-file", path]);
    assert_says(&output, &[path, "openssl rand -hex 32"]);
    let output = serve(folder.path(), &["--cluster-key-file", path, "--insecure-peers"]);
    assert_says(&output, &[path, "--insecure-peers"]);
}
