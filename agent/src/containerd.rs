//! The store seam over a real containerd, releases 1.6 to 2.2.
//!
//! containerd owns the content; this module follows it. One background task keeps a connection,
//! subscribes to events, lists what is there and keeps the list true; requests read blobs straight
//! from the content folder. Only namespace `k8s.io` counts, because that is where the kubelet's
//! images live. Only `sink.rs` writes content.
//!
//! What the servers tell was seen on 1.6.20 and 2.2.9:
//!
//! | what happens | 1.6 | 2.2 |
//! |---|---|---|
//! | a blob becomes complete | nothing | `/content/create` |
//! | a blob is deleted by a client | `/content/delete` | `/content/delete` |
//! | a blob is garbage collected | nothing | nothing |
//! | a pull ends, an image is removed | `/images/…` | `/images/…` |
//!
//! So image events and time lead to a new listing, and a file that turns out to be gone is taken
//! off the list when somebody asks for it.
//!
//! A second task, in `arrivals.rs`, watches the ingest folder, where downloads grow in order.
//!
//! `sink.rs` writes blobs ahead of any pull, and `runtime.rs` has CRI make images of them.

mod arrival;
mod arrivals;
mod connect;
mod due;
mod error;
mod events;
mod follow;
mod holdings;
mod ingests;
mod introspection;
mod label;
mod lease;
mod ledger;
mod link;
mod listing;
mod namespace;
mod relist;
mod reservation;
mod runtime;
mod sink;
mod store;
mod verdict;
mod version;
mod wire;

pub use connect::dial;
pub use error::ContainerdError;
pub use introspection::content_root;
pub use lease::end_leases;
pub use ledger::{Ledger, Upstream};
pub use namespace::NAMESPACE;
pub use relist::Pace;
pub use runtime::ContainerdRuntime;
pub use sink::ContainerdSink;
pub use store::ContainerdStore;
pub(crate) use version::{Version, release};
