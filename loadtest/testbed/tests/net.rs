//! A lab's network: reachable from the hub, cut and mended, shaped, gone afterwards.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

use onepull_testbed::{Lab, Requirement, Shape, skip};

const NEEDS: [Requirement; 2] = [Requirement::Root, Requirement::Iproute];

#[tokio::test]
async fn a_future_in_the_hub_reaches_a_host_and_the_machine_gets_no_route() {
    if skip("a_future_in_the_hub_reaches_a_host_and_the_machine_gets_no_route", &NEEDS) {
        return;
    }
    let routes = std::fs::read_to_string("/proc/net/route").unwrap();
    let lab = Lab::new().unwrap();
    let host = lab.node("a", Shape::OPEN).unwrap();
    let address = SocketAddr::from((host.ip(), 80));
    let listener = host.call(move || TcpListener::bind(address)).unwrap().unwrap();
    let greeter = thread::spawn(move || listener.accept().unwrap().0.write_all(b"hello").unwrap());
    let answer = lab.enter(move || async move {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        let mut text = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut text).await?;
        std::io::Result::Ok(text)
    });
    assert_eq!(answer.await.unwrap().unwrap(), "hello");
    greeter.join().unwrap();
    assert_eq!(std::fs::read_to_string("/proc/net/route").unwrap(), routes);
}

#[test]
fn a_cut_host_is_reached_again_once_mended() {
    if skip("a_cut_host_is_reached_again_once_mended", &NEEDS) {
        return;
    }
    let lab = Lab::new().unwrap();
    let (a, b) = (lab.node("a", Shape::OPEN).unwrap(), lab.node("b", Shape::OPEN).unwrap());
    let address = SocketAddr::from((b.ip(), 80));
    let _listener = b.call(move || TcpListener::bind(address)).unwrap().unwrap();
    let limit = Duration::from_secs(2);
    let connect = || a.call(|| TcpStream::connect_timeout(&address, limit)).unwrap();
    connect().unwrap();
    b.cut().unwrap();
    connect().unwrap_err();
    b.mend().unwrap();
    connect().unwrap();
}

#[test]
fn what_a_host_sends_is_counted_as_sent_and_no_more_than_its_link_allows() {
    let name = "what_a_host_sends_is_counted_as_sent_and_no_more_than_its_link_allows";
    if skip(name, &NEEDS) {
        return;
    }
    const BYTES: usize = 5_000_000;
    let rate = 100_000_000;
    let lab = Lab::new().unwrap();
    let sender = lab.node("sender", Shape { up: Some(rate), down: None }).unwrap();
    let receiver = lab.node("receiver", Shape::OPEN).unwrap();
    let address = SocketAddr::from((receiver.ip(), 80));
    let listener = receiver.call(move || TcpListener::bind(address)).unwrap().unwrap();
    let mut stream = sender.call(move || TcpStream::connect(address)).unwrap().unwrap();
    let begin = tokio::time::Instant::now();
    let sending = thread::spawn(move || stream.write_all(&vec![0; BYTES]).unwrap());
    let mut received = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
    let seconds = begin.elapsed().as_secs_f64();
    sending.join().unwrap();

    assert_eq!(received.len(), BYTES);
    let traffic = sender.traffic().unwrap();
    assert!(traffic.tx >= BYTES as u64, "{traffic:?}");
    assert!(traffic.rx < traffic.tx / 10, "{traffic:?}");
    // A burst of 128 KiB passes at once; the rest cannot be faster than the link.
    let least = (BYTES - (1 << 17)) as f64 * 8.0 / rate as f64;
    assert!(seconds >= least, "{seconds} s instead of {least} s");
}

#[test]
fn the_lab_of_a_process_that_died_is_removed_by_the_next() {
    if skip("the_lab_of_a_process_that_died_is_removed_by_the_next", &NEEDS) {
        return;
    }
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let stale = format!("onepull-{}-0-hub", dead.id());
    let added = std::process::Command::new("ip").args(["netns", "add", &stale]).status().unwrap();
    assert!(added.success());
    let _lab = Lab::new().unwrap();
    assert!(!Path::new("/run/netns").join(stale).exists());
}

#[test]
fn a_blocked_port_is_lost_from_one_peer_and_back_once_unblocked() {
    let name = "a_blocked_port_is_lost_from_one_peer_and_back_once_unblocked";
    if skip(name, &[&NEEDS[..], &[Requirement::Iptables]].concat()) {
        return;
    }
    let lab = Lab::new().unwrap();
    let (a, b) = (lab.node("a", Shape::OPEN).unwrap(), lab.node("b", Shape::OPEN).unwrap());
    let addresses = [80, 81].map(|port| SocketAddr::from((b.ip(), port)));
    let _listeners = addresses.map(|address| b.call(move || TcpListener::bind(address)));
    let limit = Duration::from_secs(2);
    let connect = |address| a.call(move || TcpStream::connect_timeout(&address, limit)).unwrap();
    b.block(a.ip(), 80).unwrap();
    connect(addresses[0]).unwrap_err();
    connect(addresses[1]).unwrap();
    b.unblock().unwrap();
    connect(addresses[0]).unwrap();
}

#[test]
fn what_a_host_sends_to_one_peer_is_counted() {
    let name = "what_a_host_sends_to_one_peer_is_counted";
    if skip(name, &[&NEEDS[..], &[Requirement::Iptables]].concat()) {
        return;
    }
    const BYTES: usize = 100_000;
    let lab = Lab::new().unwrap();
    let (a, b) = (lab.node("a", Shape::OPEN).unwrap(), lab.node("b", Shape::OPEN).unwrap());
    a.count(b.ip()).unwrap();
    assert_eq!(a.sent().unwrap()[&b.ip()], 0);
    let address = SocketAddr::from((a.ip(), 80));
    let listener = a.call(move || TcpListener::bind(address)).unwrap().unwrap();
    let mut receiver = b.call(move || TcpStream::connect(address)).unwrap().unwrap();
    let mut sender = listener.accept().unwrap().0;
    sender.write_all(&vec![0; BYTES]).unwrap();
    receiver.read_exact(&mut vec![0; BYTES]).unwrap();
    assert!(a.sent().unwrap()[&b.ip()] > BYTES as u64);
}
