//! Telling agents what to hold, by the file that `--desired` names, and hearing how far they are.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use onepull_agent::{desired::Source, status::ImageStatus};
use onepull_mirror::Digest;

use super::{ContainerdFleet, FleetError, Steered};
use crate::origin::TAG;

/// Makes a node's file, and a folder for it alone: agents watch folders. It lists no image yet.
pub(super) fn write_nothing(folder: &Path, node: &str) -> Result<PathBuf, FleetError> {
    let folder = folder.join(format!("{node}.desired"));
    let path = folder.join("images.yaml");
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, "images: []\n"));
    written.map_err(FleetError::setup(format!("write what {node} is to hold")))?;
    Ok(path)
}

/// The file of a node that is to hold one image.
fn document(name: &str, digest: &Digest, source: Source) -> String {
    format!("images:\n- ref: {name:?}\n  digest: \"{digest}\"\n  source: {source:?}\n")
}

/// Nobody ever reads half of it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Out of the watched folder, so that the agent hears of one change and not of two.
    let aside = path.parent().unwrap_or(path).with_extension("new");
    fs::write(&aside, text)?;
    fs::rename(aside, path)
}

#[async_trait]
impl Steered for ContainerdFleet {
    async fn tell(&self, node: usize, source: Source) -> Result<(), FleetError> {
        let node = &self.nodes[node];
        let desired = node.agent.get().and_then(|agent| agent.desired.as_deref());
        let Some(desired) = desired else { return Ok(()) };
        let text = document(&node.reference(TAG), &self.image.manifest, source);
        let told = replace(desired, &text);
        told.map_err(FleetError::setup(format!("tell {} what to hold", node.name)))
    }

    async fn hear(&self, node: usize) -> Result<Option<ImageStatus>, FleetError> {
        let node = &self.nodes[node];
        let Some(agent) = node.agent.get() else { return Ok(None) };
        let silent = || format!("the agent of {} does not show its status", node.name);
        let status = agent.status(&node.host).await;
        let status = status.ok_or_else(|| FleetError::setup("ask for the image")(silent()))?;
        match status.problem {
            Some(problem) => Err(FleetError::setup("tell what to hold")(problem)),
            None => Ok(status.images.into_iter().next()),
        }
    }
}

#[cfg(test)]
mod tests {
    use onepull_agent::desired::{ImageName, parse};

    use super::*;

    #[test]
    fn what_a_node_is_told_is_what_an_agent_reads() {
        let digest = Digest::sha256(b"manifest");
        let name = "10.99.0.2:5000/team/app:v1";
        let folder = tempfile::tempdir().unwrap();
        let path = write_nothing(folder.path(), "node-1").unwrap();
        assert_eq!(parse(&fs::read_to_string(&path).unwrap()).unwrap(), []);
        for source in [Source::Upstream, Source::Peers] {
            replace(&path, &document(name, &digest, source)).unwrap();
            let images = parse(&fs::read_to_string(&path).unwrap()).unwrap();
            let [image] = images.as_slice() else { panic!("{images:?}") };
            assert_eq!(*image.names.first(), name.parse::<ImageName>().unwrap());
            assert_eq!((image.digest, image.source), (digest, source));
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
