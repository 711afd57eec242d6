//! What the program does with its command line.

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use serde::Serialize;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    cli::{
        Cli, Command, ControlPlaneArgs, HopArgs, KubeArgs, MemoryArgs, NodeArgs, OutputArg,
        OverheadArgs, RunArgs, SimArgs, UsageError,
    },
    cluster, control_plane, hop, memory, overhead,
    report::{html, table},
    run::run,
    sim,
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
        done = carry_out(cli, &transfers) => match done {
            Err(error) if error.is::<UsageError>() => {
                eprintln!("error: {error}\n\nFor more information, try '--help'.");
                Ok(ExitCode::from(2))
            }
            done => done,
        },
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
    }
}

async fn carry_out(cli: Cli, transfers: &Transfers) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Run(args) => return Box::pin(run_command(&args, transfers)).await,
        Command::Overhead(args) => overhead_command(&args).await?,
        Command::Hop(args) => hop_command(&args).await?,
        Command::Memory(args) => Box::pin(memory_command(&args)).await?,
        Command::Kube(args) => return Box::pin(kube_command(&args)).await,
        Command::ControlPlane(args) => return Box::pin(control_plane_command(&args)).await,
        Command::Sim(args) => sim_command(&args)?,
        Command::Node(NodeArgs { ip, store, bootstrap, cluster_key_file }) => {
            hop::node::serve(ip, store, bootstrap, cluster_key_file).await?;
        }
        Command::Client { url } => print(&hop::client::fetch(&url)?)?,
        Command::Hash { bytes } => print(&hop::hash::hash(bytes))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_command(args: &RunArgs, transfers: &Transfers) -> anyhow::Result<ExitCode> {
    let config = args.build()?;
    let report = run(&config, transfers, command_line(), now()).await?;
    let json = write_json(&config.out.join("report.json"), &report)?;
    let page = config.out.join("report.html");
    write(&page, &html::render(&report))?;
    match args.output {
        OutputArg::Json => println!("{json}"),
        OutputArg::Table => println!("\n{}\nReport: {}", table::render(&report), page.display()),
    }
    Ok(if report.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn overhead_command(args: &OverheadArgs) -> anyhow::Result<()> {
    let config = args.build()?;
    let measured = overhead::measure(&config, command_line(), now()).await?;
    let json = write_json(&config.out.join("overhead.json"), &measured)?;
    match args.output {
        OutputArg::Json => println!("{json}"),
        OutputArg::Table => print!("\n{}", overhead::render(&measured)),
    }
    Ok(())
}

async fn hop_command(args: &HopArgs) -> anyhow::Result<()> {
    let config = args.build()?;
    let measured = hop::measure(&config, command_line(), now()).await?;
    let json = write_json(&config.out.join("hop.json"), &measured)?;
    match args.output {
        OutputArg::Json => println!("{json}"),
        OutputArg::Table => print!("\n{}", hop::render(&measured)),
    }
    Ok(())
}

async fn memory_command(args: &MemoryArgs) -> anyhow::Result<()> {
    let config = args.build()?;
    let measured = memory::measure(&config, command_line(), now()).await?;
    let json = write_json(&config.out.join("memory.json"), &measured)?;
    match args.output {
        OutputArg::Json => println!("{json}"),
        OutputArg::Table => print!("\n{}", memory::render(&measured)),
    }
    Ok(())
}

async fn kube_command(args: &KubeArgs) -> anyhow::Result<ExitCode> {
    let config = args.build()?;
    let report = cluster::measure(&config, command_line(), now()).await?;
    let json = write_json(&config.out.join("kube.json"), &report)?;
    match args.output {
        OutputArg::Json => println!("{json}"),
        OutputArg::Table => print!("\n{}", cluster::render(&report)),
    }
    Ok(if report.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn control_plane_command(args: &ControlPlaneArgs) -> anyhow::Result<ExitCode> {
    let config = args.build()?;
    let measured = control_plane::measure(&config, command_line(), now()).await?;
    let json = write_json(&config.out.join("control-plane.json"), &measured)?;
    match args.output {
        OutputArg::Json => println!("{json}"),
        OutputArg::Table => print!("\n{}", control_plane::render(&measured)),
    }
    Ok(if measured.misses().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn sim_command(args: &SimArgs) -> anyhow::Result<()> {
    let config = args.build()?;
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    let (json, table, page) = if args.claim_cost {
        let cost = sim::cost::measure(command_line(), now());
        let json = write_json(&args.out.join("report.json"), &cost)?;
        (json, sim::cost::render(&cost), sim::cost::render_page(&cost))
    } else {
        let report = sim::simulate(&config, command_line(), now())?;
        let json = write_json(&args.out.join("report.json"), &report)?;
        (json, sim::table::render(&report), sim::page::render(&report))
    };
    let path = args.out.join("report.html");
    write(&path, &page)?;
    match args.output {
        OutputArg::Json => println!("{json}"),
        OutputArg::Table => println!("\n{table}\nReport: {}", path.display()),
    }
    Ok(())
}

fn print(line: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(line)?);
    Ok(())
}

fn command_line() -> String {
    std::env::args().collect::<Vec<_>>().join(" ")
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn write_json(path: &Path, report: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string_pretty(report).context("the report is not JSON")?;
    write(path, &json)?;
    Ok(json)
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
