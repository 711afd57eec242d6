//! `onepull-agent serve`.

use std::process::ExitCode;

use crate::{config::Config, serve};

pub(super) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    serve::run(config).await?;
    Ok(ExitCode::SUCCESS)
}
