//! `onepull-agent uninstall`.

use std::process::ExitCode;

use tokio::task::spawn_blocking;

use crate::{config::Config, hosts};

/// Fails when a file could not be given back: nobody should think that it was.
pub(super) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let report = spawn_blocking(move || hosts::uninstall(&config.hosts())).await??;
    print!("{report}");
    let complete = report.refused().next().is_none();
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
