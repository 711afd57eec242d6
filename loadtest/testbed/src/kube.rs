//! A Kubernetes API server of a test: a real etcd and kube-apiserver, on loopback or in a host.
//!
//! There is no scheduler and no controller manager: nothing gives namespaces a service account,
//! deletes what a deleted object owned, or finishes the deletion of a namespace.

mod credential;
mod flags;
mod kubectl;
mod pki;
mod relay;
mod server;

pub use credential::Credential;
pub use server::{ApiServer, Options};
