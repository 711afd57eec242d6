//! The command line of `kubectl onepull`.

use std::{
    io::{self, Write, stdout},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use super::{
    check::Check, cluster::Connection, error::AskError, explain::Explain, output::Output,
    preflight::Preflight, status::Status,
};

/// All is as it should be.
const YES: u8 = 0;
/// It is not: not all warm, or something is wrong.
const NO: u8 = 1;
/// There is no answer; clap's own for what makes no sense.
const ERROR: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  kubectl onepull status -A                   all image caches: nodes, warm, state, upstream
  kubectl onepull status models --watch       one cache with bars for each node, until it is Ready
  kubectl onepull explain node/gpu-3          why is it not warm, since when, what comes next
  kubectl onepull explain image/nginx:1.27    the same for an image on all its nodes
  kubectl onepull preflight nginx:1.27 -l pool=gpu && kubectl apply -f deployment.yaml
  kubectl onepull check                       controllers, agents, and what agents found on their nodes

Exit status:
  0  yes: shown, all warm (preflight), nothing wrong (check; warnings are none)
  1  no: not all warm (preflight), a problem (check)
  2  no answer: no cluster, a missing right, a name that does not exist, or a mistyped command

It reads, and changes nothing. It may be told where kubectl looks (KUBECONFIG), and needs these rights:
  status     list, watch, get imagecaches; list, watch, get nodeimagecaches
  explain    the same, and get, list nodes
  preflight  the same
  check      list nodes, nodeimagecaches; where onepull is installed: get deployments, daemonsets,
             leases, list pods";

/// Container images that are on nodes before pods ask for them: how far, why not, and what to do.
#[derive(Debug, Parser)]
#[command(name = "kubectl-onepull", bin_name = "kubectl onepull", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: Connection,
    /// How to print it.
    #[arg(long, short, global = true, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How far image caches are, and each node of one: bars, bytes from the registry and from other nodes.
    Status(Status),
    /// Why a node or an image is not warm: since when, what comes next, and what you can do.
    Explain(Explain),
    /// Can these nodes start this image now without a pull? Exit status 0 is yes, 1 is no, 2 is no answer.
    Preflight(Preflight),
    /// Are controllers and agents well, and what did agents find on their nodes? Exit status 1 is a problem.
    Check(Check),
}

// === impl Cli ===

impl Cli {
    /// Runs the command; what it has to say goes to standard output, and why it cannot, to standard error.
    pub async fn run(self) -> ExitCode {
        match self.answer().await {
            Ok((text, yes)) => match print(&text) {
                Ok(()) => ExitCode::from(if yes { YES } else { NO }),
                Err(error) => fails(&format!("cannot write to standard output: {error}")),
            },
            Err(error) => fails(&error.to_string()),
        }
    }

    async fn answer(self) -> Result<(String, bool), AskError> {
        let cluster = self.connection.open().await?;
        let output = self.output;
        match self.command {
            Command::Status(status) => Ok((status.run(&cluster, output).await?, true)),
            Command::Explain(explain) => Ok((explain.run(&cluster, output).await?, true)),
            Command::Preflight(preflight) => preflight.run(&cluster, output).await,
            Command::Check(check) => check.run(&cluster, output).await,
        }
    }
}

fn fails(sentence: &str) -> ExitCode {
    eprintln!("error: {sentence}");
    ExitCode::from(ERROR)
}

/// Whoever has read enough, as `head` does, need not hear more.
fn print(text: &str) -> io::Result<()> {
    let mut out = stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_make_sense() {
        Cli::command().debug_assert();
        let words = ["kubectl-onepull", "status", "models", "-w", "-n", "team", "-o", "wide"];
        let cli = Cli::try_parse_from(words).unwrap();
        assert_eq!(cli.output, Output::Wide);
        assert_eq!(cli.connection.namespace.as_deref(), Some("team"));
        assert!(Cli::try_parse_from(["kubectl-onepull", "explain"]).is_err());
    }
}
