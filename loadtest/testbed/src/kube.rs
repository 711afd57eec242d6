//! A Kubernetes API server of a test: a real etcd and kube-apiserver, on loopback or in a host.
//!
//! Alone it has no scheduler and no controller manager: nothing gives namespaces a service account, deletes what a
//! deleted object owned, or finishes the deletion of a namespace. [`ControlPlane`] adds those, and each [`Node`] a kubelet
//! that runs pods; there is no kube-proxy and no name server for services. A [`Cluster`] is all of them together.

mod cluster;
mod control_plane;
mod credential;
mod flags;
mod kubectl;
mod node;
mod pki;
mod relay;
mod server;

pub use cluster::{CLUSTER, Cluster};
pub use control_plane::ControlPlane;
pub use credential::Credential;
pub use node::{HOSTS_DIR, Node, NodeOptions};
pub use server::{ApiServer, Options};
