//! From Kubernetes objects to what the planner reads, and from plans to what is written.
//!
//! Pure and total: what makes no sense in an object that somebody else wrote becomes the least that can be
//! believed of it, never an error. Every list of reasons is matched in full, so a new one does not compile before it
//! has its word here. What nodes are told comes back from their objects as it was planned
//! ([`spec`], then [`Told`]).

mod cache;
mod disk;
mod gate;
mod image_name;
mod kind_of_node;
mod machine;
mod names;
mod node;
mod reason;
mod report;
mod spec;
mod status;
mod told;

pub use cache::{cache, id, images};
pub use disk::DiskPolicy;
pub use gate::gate;
pub use image_name::full_name;
pub use machine::Machine;
pub use names::Names;
pub use node::node;
pub use reason::{not_warm_reason, trouble_kind};
pub use spec::{says, spec};
pub use status::{condition_reason, status, upstream};
pub use told::{Said, Told};
