//! This program's own helpers as child processes, and what they cost.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::Path,
    process::Stdio,
    time::Duration,
};

use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child as Process, Command},
    time::timeout,
};

use super::{client::Fetched, hash::Hashed, node::Addresses};

/// A child says where it listens, or what it measured, within this time. A gigabyte through an
/// unoptimised build on a busy machine takes half a minute.
const ANSWER_LIMIT: Duration = Duration::from_secs(600);

/// `USER_HZ`, in which Linux counts the CPU time of a process; the same on all architectures.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running child; killed when dropped.
pub(super) struct Child {
    process: Process,
    pid: u32,
}

/// Why a child did not do its part.
#[derive(Debug, Error)]
pub enum ChildError {
    /// It could not be started.
    #[error("cannot start {program}")]
    Start {
        /// Which program.
        program: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// It ended, or said nothing that makes sense, or nothing in time.
    #[error("the child process `{0}` gave no answer")]
    NoAnswer(String),
    /// It delivered something else than the whole blob.
    #[error("{url} delivered {delivered} of {expected} bytes")]
    Incomplete {
        /// Where it fetched from.
        url: String,
        /// What arrived.
        delivered: u64,
        /// What should have.
        expected: u64,
    },
    /// Its CPU time cannot be read.
    #[error("cannot read the CPU time of process {0}")]
    Gone(u32),
}

// === impl Child ===

impl Child {
    /// Starts a node that serves `store`, and returns it with its addresses.
    pub(super) async fn node(
        ip: IpAddr,
        store: &Path,
        bootstrap: Option<SocketAddr>,
        key: Option<&Path>,
    ) -> Result<(Self, Addresses), ChildError> {
        let mut command = this_program(&["node", "--ip", &ip.to_string(), "--store"])?;
        command.arg(store).stdin(Stdio::piped());
        if let Some(bootstrap) = bootstrap {
            command.args(["--bootstrap", &bootstrap.to_string()]);
        }
        if let Some(key) = key {
            command.arg("--cluster-key-file").arg(key);
        }
        Self::spawn(command).await
    }

    /// Starts a command and reads its first line.
    async fn spawn<T: DeserializeOwned>(mut command: Command) -> Result<(Self, T), ChildError> {
        let name = format!("{:?}", command.as_std());
        let mut process = command
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| ChildError::Start { program: name.clone(), source })?;
        let (Some(pid), Some(stdout)) = (process.id(), process.stdout.take()) else {
            return Err(ChildError::NoAnswer(name));
        };
        let mut lines = BufReader::new(stdout).lines();
        let line = match timeout(ANSWER_LIMIT, lines.next_line()).await {
            Ok(Ok(Some(line))) => line,
            _ => return Err(ChildError::NoAnswer(name)),
        };
        let answer = serde_json::from_str(&line).map_err(|_| ChildError::NoAnswer(name))?;
        Ok((Self { process, pid }, answer))
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }
}

/// Fetches `url` in a child that throws the bytes away.
pub(super) async fn fetch(url: &str, expected: u64) -> Result<Fetched, ChildError> {
    let (mut child, fetched) = Child::spawn::<Fetched>(this_program(&["client", url])?).await?;
    let _ = child.process.wait().await;
    match fetched.bytes {
        delivered if delivered == expected => Ok(fetched),
        delivered => Err(ChildError::Incomplete { url: url.to_owned(), delivered, expected }),
    }
}

/// Hashes as many bytes in a child.
pub(super) async fn hash(bytes: u64) -> Result<Hashed, ChildError> {
    let command = this_program(&["hash", &bytes.to_string()])?;
    let (mut child, hashed) = Child::spawn(command).await?;
    let _ = child.process.wait().await;
    Ok(hashed)
}

/// The CPU time that processes have used so far, all their threads, user and system.
pub(crate) fn cpu_seconds(pids: &[u32]) -> Result<f64, ChildError> {
    let each = pids.iter().map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        stat.as_deref().and_then(parse_cpu).ok_or(ChildError::Gone(*pid))
    });
    each.sum()
}

/// `utime` and `stime` of proc(5), fields 14 and 15; the name before them may hold anything.
fn parse_cpu(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut ticks = after_name.split(' ').skip(11).map(str::parse::<f64>);
    Some((ticks.next()?.ok()? + ticks.next()?.ok()?) / TICKS_PER_SECOND)
}

fn this_program(arguments: &[&str]) -> Result<Command, ChildError> {
    let program = std::env::current_exe();
    let program = program
        .map_err(|source| ChildError::Start { program: "this program again".into(), source })?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_is_read_past_any_name() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 99\n";
        assert_eq!(parse_cpu(stat), Some(2.0));
        assert_eq!(parse_cpu("42 (a"), None);
    }

    #[test]
    fn the_cpu_time_of_this_process_can_be_read() {
        assert!(cpu_seconds(&[std::process::id()]).unwrap() >= 0.0);
        assert!(cpu_seconds(&[u32::MAX]).is_err());
    }
}
