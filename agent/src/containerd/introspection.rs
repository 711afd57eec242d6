//! Where containerd keeps its content, asked of containerd itself.
//!
//! Distributions move the root, so no path is assumed.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use containerd_client::{
    services::v1::{PluginsRequest, introspection_client::IntrospectionClient},
    tonic::transport::Channel,
};
use tokio::fs;

use super::{
    ContainerdError,
    namespace::{answer, in_namespace},
};

/// The answer comes from memory; the first after a start may wait for plugins to load.
const DEADLINE: Duration = Duration::from_secs(5);

/// The folder with `blobs/` and `ingest/`, checked to be readable here.
///
/// # Errors
/// When containerd does not say, or this process cannot read it.
pub async fn content_root(channel: Channel) -> Result<PathBuf, ContainerdError> {
    let filters = vec!["type==io.containerd.content.v1,id==content".to_owned()];
    let mut client = IntrospectionClient::new(channel);
    let call = client.plugins(in_namespace(PluginsRequest { filters }));
    let plugins = answer("name its plugins", DEADLINE, call).await?.plugins;
    let mut roots = plugins.into_iter().filter_map(|mut plugin| plugin.exports.remove("root"));
    let root = PathBuf::from(roots.next().ok_or(ContainerdError::NoContentFolder)?);
    match readable(&root).await {
        Ok(()) => Ok(root),
        Err(source) => Err(ContainerdError::ContentFolder { root, source }),
    }
}

/// A fresh 2.x makes its content folder only with the first blob; then the folder above counts.
async fn readable(root: &Path) -> io::Result<()> {
    match (fs::read_dir(root).await, root.parent()) {
        (Err(error), Some(above)) if error.kind() == io::ErrorKind::NotFound => {
            fs::read_dir(above).await.map(drop)
        }
        (listed, _) => listed.map(drop),
    }
}
