//! Real servers for tests and for the load test: containerd, Kubernetes API servers,
//! registries, network namespaces.
//!
//! Everything started here ends when its value is dropped, also after a panic: processes by their
//! own pid, mounts and folders below a temporary folder, network namespaces with all that is left in
//! them. The network of the machine itself is never changed.
//!
//! A test says what it needs first, so that a machine without root or Debian still runs the rest:
//!
//! ```no_run
//! use onepull_testbed::{Requirement, skip};
//!
//! fn a_node_pulls() {
//!     if skip("a_node_pulls", &[Requirement::Root, Requirement::Containerd16]) {
//!         return;
//!     }
//! }
//! ```

pub mod containerd;
pub mod deadline;
pub mod kube;
pub mod layout;
pub mod machine;
pub mod net;
pub mod podman;
pub mod prepare;
pub mod process;
pub mod registry;
pub mod require;
pub mod tools;

pub use containerd::{Containerd, Version};
pub use kube::ApiServer;
pub use layout::Layout;
pub use machine::Machine;
pub use net::{Host, Lab, Shape};
pub use oci_spec::image::Digest;
pub use podman::Podman;
pub use process::Process;
pub use registry::Registry;
pub use require::{Requirement, missing, skip, skip_without};
