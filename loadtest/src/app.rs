//! What the program does with its command line.

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    cli::{Cli, Command, OutputArg, RunArgs},
    report::{Report, html, table},
    run::run,
    transfers::Transfers,
};

/// Parses the command line and carries it out.
///
/// # Errors
/// When there is nothing to report; a failed pull is an exit status, not an error.
pub async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let transfers = Transfers::default();
    start_tracing(&transfers)?;
    tokio::select! {
        done = carry_out(cli, &transfers) => done,
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
    }
}

async fn carry_out(cli: Cli, transfers: &Transfers) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Run(args) => run_command(&args, transfers).await,
    }
}

async fn run_command(args: &RunArgs, transfers: &Transfers) -> anyhow::Result<ExitCode> {
    let config = match args.build() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error}\n\nFor more information, try '--help'.");
            return Ok(ExitCode::from(2));
        }
    };
    let started = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    let report = run(&config, transfers, command, started).await?;
    let json = serde_json::to_string_pretty(&report).context("the report is not JSON")?;
    write(&config.out.join("report.json"), &json)?;
    write(&config.out.join("report.html"), &html::render(&report))?;
    match args.output {
        OutputArg::Json => println!("{json}"),
        OutputArg::Table => print!("{}", summary(&report, &config.out)),
    }
    Ok(if report.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn summary(report: &Report, out: &Path) -> String {
    format!("\n{}\nReport: {}\n", table::render(report), out.join("report.html").display())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Logs go to standard error; what mirrors tell of transfers is counted, not printed.
fn start_tracing(transfers: &Transfers) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,onepull_loadtest=info,onepull::transfer=off"));
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_filter(filter);
    tracing_subscriber::registry().with(transfers.clone()).with(log).try_init()?;
    Ok(())
}
