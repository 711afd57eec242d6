//! The `kubectl onepull` command.

use std::process::ExitCode;

use clap::Parser;
use onepull_controller::plugin::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
