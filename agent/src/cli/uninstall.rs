//! `onepull-agent uninstall`.

use std::{path::Path, process::ExitCode};

use anyhow::Context;
use onepull_admin::{Admin, bind, serve};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{config::Config, uninstall::uninstall};

/// Fails when something is left: nobody should think that it is not.
pub(super) async fn run(
    config: &Config,
    stay: bool,
    data_dir_parent: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let removal = uninstall(config, data_dir_parent).await;
    print!("{removal}");
    if !removal.is_complete() {
        return Ok(ExitCode::FAILURE);
    }
    if stay {
        until_told(config).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Ready, and nothing else, until SIGTERM or Ctrl-C.
async fn until_told(config: &Config) -> anyhow::Result<()> {
    let cannot = "cannot listen for signals";
    let mut terminate = signal(SignalKind::terminate()).context(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).context(cannot)?;
    let listener = bind(config.admin_listen, "--admin-listen").await?;
    let running = CancellationToken::new();
    let ready = serve(listener, Admin::new(Registry::default(), || Ok(())), running.clone());
    let told = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        running.cancel();
    };
    tokio::join!(ready, told);
    Ok(())
}
