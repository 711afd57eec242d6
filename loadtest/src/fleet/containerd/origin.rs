//! A real registry in its namespace.

use std::{collections::BTreeMap, fs, net::IpAddr, path::Path};

use onepull_testbed::{
    Host, Lab, Registry, Shape,
    registry::{self, Auth},
};

use super::{FleetError, access};
use crate::{image::Image, origin::REPOSITORY, units::LinkRate};

/// A registry. Fields are in the order in which they have to go.
pub(crate) struct Origin {
    pub(crate) registry: Registry,
    pub(crate) host: Host,
}

// === impl Origin ===

impl Origin {
    /// Starts one with the given uplink; its storage below `scratch` is kept for the next.
    pub(crate) async fn start(
        lab: &Lab,
        number: u32,
        uplink: Option<LinkRate>,
        auth: Auth,
        scratch: &Path,
    ) -> Result<Self, FleetError> {
        let shape = Shape { up: uplink.map(LinkRate::bits_per_second), down: None };
        let host = lab.node(&format!("registry{number}"), shape);
        let host = host.map_err(FleetError::setup("connect the registry"))?;
        let options = registry::Options {
            host: Some(&host),
            storage: Some(scratch.join("registry")),
            auth,
            ..Default::default()
        };
        let registry = Registry::start(options).await;
        let registry = registry.map_err(FleetError::setup("start the registry"))?;
        Ok(Self { registry, host })
    }

    /// Fills the storage that it shares with the others.
    pub(super) async fn push(&self, image: &Image, tag: &str) -> Result<(), FleetError> {
        self.push_to(REPOSITORY, image, tag).await
    }

    /// The same, to a repository of another name.
    pub(crate) async fn push_to(
        &self,
        repository: &str,
        image: &Image,
        tag: &str,
    ) -> Result<(), FleetError> {
        let pushed = self.registry.push(image.layout(), repository, tag).await;
        pushed.map_err(FleetError::setup("push the image to the registry"))
    }

    /// What its images are called, without a tag.
    pub(super) fn repository(&self) -> String {
        format!("{}/{REPOSITORY}", self.registry.name())
    }

    /// Body bytes sent to each client, from the access log.
    pub(super) fn sent(&self) -> Result<BTreeMap<IpAddr, u64>, FleetError> {
        let log = fs::read(self.registry.log());
        let log = log.map_err(FleetError::setup("read the registry's access log"))?;
        Ok(access::sent(&String::from_utf8_lossy(&log)))
    }
}
