//! Does containerd keep layers after it has unpacked them? Only then can peers have them.

use super::{Finding, settings::Settings};

const NAME: &str = "layers";

pub(super) fn check(settings: &Settings) -> Finding {
    match &settings.discards_layers {
        Ok(false) => Finding::ok(NAME, "kept after unpacking"),
        Ok(true) => Finding::warning(
            NAME,
            "dropped after unpacking: this node can fetch from peers, but has little to give",
            "set discard_unpacked_layers = false in containerd's configuration and restart it",
        ),
        Err(reason) => Finding::warning(
            NAME,
            format!("not known whether they are kept after unpacking: {reason}"),
            "make sure that discard_unpacked_layers is not true in containerd's configuration",
        ),
    }
}
