//! The `onepull-controller` command.

use std::process::ExitCode;

use clap::Parser;
use onepull_controller::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("onepull-controller: {error:#}");
            ExitCode::FAILURE
        }
    }
}
