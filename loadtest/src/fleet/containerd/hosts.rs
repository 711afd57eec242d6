//! `hosts.toml` of a node before any agent: a registry that speaks plain HTTP.

use std::{fs, io, path::Path};

use onepull_testbed::Registry;

/// Writes it for `registry`, as an administrator would.
pub(super) fn write_plain(hosts_dir: &Path, registry: &Registry) -> io::Result<()> {
    let folder = hosts_dir.join(registry.name());
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("hosts.toml"), plain(registry))
}

/// Its text. containerd 1.6 uses a plain-HTTP server only when it has a table of its own.
pub(super) fn plain(registry: &Registry) -> String {
    format!("server = {url:?}\n\n[host.{url:?}]\n", url = registry.url())
}
