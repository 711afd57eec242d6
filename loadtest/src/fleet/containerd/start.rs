//! Starting the parts of a fleet, after looking whether all that they need is there.

use std::path::Path;

use futures::future::try_join_all;
use onepull_testbed::{
    Lab, Requirement, Shape, Version, containerd::SmallDisk, missing, registry::Auth,
};

use super::{ContainerdConfig, FleetError, node::Node, origin::Origin};
use crate::{arm::Arm, image::Image, origin::TAG};

/// Names what is missing on this machine.
pub(super) fn check_requirements(config: &ContainerdConfig) -> Result<(), FleetError> {
    let containerd = match config.version {
        Version::V1_6 => Requirement::Containerd16,
        Version::V2_2 => Requirement::Containerd22,
    };
    let needs = [Requirement::Root, Requirement::Iproute, Requirement::Registry, containerd];
    let step = "make nodes of real containerds";
    if let Some(reason) = missing(&needs) {
        return Err(FleetError::setup(step)(reason));
    }
    let (program, flag) = match config.arm {
        Arm::Onepull => (Some(&config.agent), "--agent-bin"),
        Arm::Spegel => (config.spegel.as_ref(), "--spegel-bin"),
        Arm::Direct | Arm::Ideal => (None, ""),
    };
    if let Some(program) = program.filter(|program| !program.is_file()) {
        let reason = format!("there is no program at {}: see {flag}", program.display());
        return Err(FleetError::setup(step)(reason));
    }
    Ok(())
}

/// One registry for all nodes, or one for each.
pub(super) async fn start_origins(
    config: &ContainerdConfig,
    lab: &Lab,
    image: &Image,
    scratch: &Path,
) -> Result<Vec<Origin>, FleetError> {
    let count = if config.arm == Arm::Ideal { config.nodes } else { 1 };
    let mut origins = Vec::new();
    for number in 1..=count {
        origins.push(Origin::start(lab, number, config.registry, Auth::Open, scratch).await?);
        if number == 1 {
            // They share a storage folder, which outlives them: one push is enough for all.
            origins[0].push(image, TAG).await?;
        }
    }
    Ok(origins)
}

/// Their containerds; agents come later.
pub(super) async fn start_nodes(
    config: &ContainerdConfig,
    lab: &Lab,
    origins: &[Origin],
    image: &Image,
    folder: &Path,
) -> Result<Vec<Node>, FleetError> {
    let nodes =
        (0..config.nodes + config.late).zip(origins.iter().cycle()).map(|(index, origin)| {
            let name = format!("node-{}", index + 1);
            let shape = config.nic.map_or(Shape::OPEN, |nic| Shape::both(nic.bits_per_second()));
            let host = lab.node(&format!("n{}", index + 1), shape);
            let host = host.map_err(FleetError::setup(format!("connect {name}")))?;
            let disk = (config.small_disk == Some(index as usize)).then(|| small_disk(image));
            let disk =
                disk.transpose().map_err(FleetError::setup(format!("mount {name}'s disk")))?;
            Ok((name, host, origin, disk))
        });
    let nodes = nodes.collect::<Result<Vec<_>, FleetError>>()?;
    let nodes = nodes.into_iter().map(|(name, host, origin, disk)| {
        let hosts_dir = folder.join(&name);
        Node::start(name, host, config.version, hosts_dir, origin, disk)
    });
    try_join_all(nodes).await
}

/// Room for the image, unpacked beside its blobs, and as much again: full only when it is filled.
fn small_disk(image: &Image) -> anyhow::Result<SmallDisk> {
    SmallDisk::mount(image.bytes() * 3 + (64 << 20))
}
