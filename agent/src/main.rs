//! The `onepull-agent` command.

use std::process::ExitCode;

use clap::Parser;
use onepull_agent::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("onepull-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}
