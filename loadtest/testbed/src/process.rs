//! A server process: started with its output in a file, ended by its own pid.

use std::{
    fs::{self, File},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::deadline::eventually;

/// A polite end gets this long before the kill: containerd takes up to 2 s to close its store.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// As much of a log as is worth printing in an error.
const TAIL_LINES: usize = 25;

/// A running child in a process group of its own. Dropping it kills the group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

// === impl Process ===

impl Process {
    /// Starts `command` with standard output and error appended to the file `log`.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn spawn(mut command: Command, log: impl Into<PathBuf>) -> Result<Self> {
        let log = log.into();
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot open the log {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child, log, ended: None })
    }

    /// The process id, which is also that of its group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The exit status, once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// The last lines of its output, for an error message.
    pub fn tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Waits until `ask` answers; an end of the process ends the wait too.
    ///
    /// # Errors
    /// When the process ends or the limit passes first, with the end of its log.
    pub async fn ready<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut ask: impl AsyncFnMut() -> Option<T>,
    ) -> Result<T> {
        let waited = eventually(what, limit, async || match self.ended() {
            Some(status) => Some(Err(status)),
            None => ask().await.map(Ok),
        });
        match waited.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(status)) => bail!("{what}: the process ended ({status}):\n{}", self.tail()),
            Err(error) => Err(error.context(self.tail())),
        }
    }

    /// Sends one signal to the process alone.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if let Some(status) = self.ended() {
            bail!("process {} has ended already ({status})", self.pid());
        }
        kill_process(Pid::from_child(&self.child), signal).context("cannot signal")
    }

    /// Stops it where it is, by SIGSTOP: its connections stay open, and nobody answers on them.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn freeze(&mut self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on, by SIGCONT.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn thaw(&mut self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Kills the group with SIGKILL and reaps the process; harmless after its end.
    pub fn kill(&mut self) -> ExitStatus {
        if let Some(status) = self.ended() {
            return status;
        }
        // A failure means that the process ended in between, which is what was asked for.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let status = self.child.wait().unwrap_or(ExitStatus::from_raw(Signal::KILL.as_raw()));
        self.ended = Some(status);
        status
    }

    /// Asks the process to end by SIGTERM, and kills it when it has not after 10 s.
    pub async fn stop(&mut self) -> ExitStatus {
        if self.signal(Signal::TERM).is_ok() {
            let end = eventually("the end", STOP_LIMIT, async || self.ended()).await;
            if let Ok(status) = end {
                return status;
            }
        }
        self.kill()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a program to its end and returns its standard output.
///
/// # Errors
/// When it cannot be started or fails, with what it wrote to standard error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed ({}): {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
