//! A network of its own for a test: hosts in namespaces, joined by a bridge, each link shaped.
//!
//! ```text
//!   host a: eth0 10.99.0.2 ==veth== n1 \
//!                                       br0 10.99.0.1, in the hub namespace
//!   host b: eth0 10.99.0.3 ==veth== n2 /
//! ```
//! Each veth is shaped at both ends: the host's end limits what it sends, the hub's end what it
//! receives. The network of the machine itself gets no interface, address or rule. There is no way
//! from a host to the machine or the internet, so what a host receives came from another host.

use std::{ffi::OsStr, process::Command};

mod firewall;
pub(crate) mod inside;
mod lab;
mod loopback;
mod names;
mod namespace;
mod shape;
mod traffic;

pub use lab::{Host, Lab};
pub use loopback::free_addresses;
pub use names::Names;
pub use shape::Shape;
pub use traffic::Traffic;

/// A command that will run in a namespace, or as ever without one. `ip netns exec` replaces itself
/// by the program, so the child's pid is the program's.
pub(crate) fn command_in(namespace: Option<&str>, program: impl AsRef<OsStr>) -> Command {
    let Some(namespace) = namespace else { return Command::new(program) };
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}
