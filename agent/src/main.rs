//! The `onepull-agent` command.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use onepull_agent::{cli::Cli, threads};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended =
        threads::start().context("cannot start threads").and_then(|it| it.block_on(cli.run()));
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("onepull-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}
