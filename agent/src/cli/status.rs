//! `onepull-agent status`.

use std::process::ExitCode;

use anyhow::{Context, bail};

use super::Output;
use crate::{check::admin, config::Config, status};

pub(super) async fn run(config: &Config, output: Output) -> anyhow::Result<ExitCode> {
    let at = config.admin_listen;
    let Some((server, body)) = admin::get(at, "/status").await else {
        bail!(
            "no agent answers at {at}; start one with `onepull-agent serve`, or say --admin-listen"
        );
    };
    if !server.starts_with(admin::SIGNATURE) {
        bail!(
            "at {at} answers another program than the agent; say where it is with --admin-listen"
        );
    }
    let status: status::NodeStatus = serde_json::from_str(&body)
        .with_context(|| format!("the agent at {at} is of another version and shows no status"))?;
    match output {
        Output::Table => print!("{}", status::table(&status)),
        Output::Json => print!("{body}"),
    }
    Ok(ExitCode::SUCCESS)
}
