//! `onepull-agent uninstall`.

use std::process::ExitCode;

use tokio::task::spawn_blocking;

use crate::{
    config::Config,
    hosts::{self, HostsConfig},
};

pub(super) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let hosts = HostsConfig {
        hosts_dir: config.hosts_dir,
        data_dir: config.data_dir,
        mirror: config.node.mirror_listen,
        registries: config.registries,
    };
    let report = spawn_blocking(move || hosts::uninstall(&hosts)).await??;
    for file in &report.files {
        println!("{file}");
    }
    Ok(ExitCode::SUCCESS)
}
