//! The agent's log, on standard error.

use anyhow::Context;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use super::LogFormat;

pub(super) fn init(format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .with_env_var("ONEPULL_LOG")
        .with_default_directive(tracing::Level::INFO.into())
        .from_env()
        .context("ONEPULL_LOG is not a valid filter; try `info` or `onepull_mirror=debug`")?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(())
}
