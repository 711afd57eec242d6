//! What containerd's own pulls call an unfinished blob.

use onepull_mirror::sink::{Part, Role};

/// The name that a pull of the blob would use: who has it open is the only one who writes.
pub(crate) fn name(blob: &Part) -> String {
    let role = match blob.role {
        Role::Index => "index",
        Role::Manifest => "manifest",
        Role::Config => "config",
        Role::Layer => "layer",
    };
    format!("{role}-{}", blob.digest)
}
