//! Points containerd at the mirror when the agent starts and keeps it so, and says what became of it: a node
//! whose containerd goes past the mirror is not ready, or a rollout of such nodes would look healthy.

use std::collections::HashSet;

use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Duration, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::hosts::{self, FileReport, HostsConfig, HostsError, Outcome, Report};

/// Between two looks at the files. Pulls fail from when a certificate got another name until the block names it,
/// and go past the mirror where somebody made a folder; a look reads a few small files.
const AGAIN: Duration = Duration::from_secs(60);

/// Whether containerd is pointed at the mirror, or why not.
pub(super) type Pointed = Result<(), String>;

/// Keeps the mirror in hosts.toml.
pub(super) struct Pointing {
    hosts: HostsConfig,
    pointed: watch::Sender<Pointed>,
    /// Whether it ever was there: what is gone then was taken back.
    was_there: bool,
    /// What the last look said that was wrong.
    logged: HashSet<String>,
}

// === impl Pointing ===

impl Pointing {
    /// Puts the mirror into hosts.toml, or learns why that fails. The agent serves its peers even then.
    pub(super) async fn begin(hosts: HostsConfig) -> Self {
        let mut pointing = Self {
            hosts,
            pointed: watch::Sender::new(Ok(())),
            was_there: false,
            logged: HashSet::new(),
        };
        pointing.look().await;
        pointing
    }

    /// Whether containerd is pointed here, now and from now on.
    pub(super) fn pointed(&self) -> watch::Receiver<Pointed> {
        self.pointed.subscribe()
    }

    /// Looks again every minute. Ends with `running`, never in the middle of a change, and when the files were
    /// taken back meanwhile: nobody wants to see them again who uninstalled them.
    pub(super) async fn keep(mut self, running: CancellationToken) {
        while running.run_until_cancelled(sleep(AGAIN)).await.is_some() {
            if !self.look().await {
                info!(
                    "nothing of onepull is in hosts.toml files: they stay so until the agent starts"
                );
                return;
            }
        }
    }

    /// `false` when nothing of onepull is there any more.
    async fn look(&mut self) -> bool {
        let (hosts, was_there) = (self.hosts.clone(), self.was_there);
        let looked = spawn_blocking(move || match was_there {
            true => hosts::install_again(&hosts),
            false => hosts::install(&hosts).map(Some),
        });
        match looked.await {
            Ok(Ok(Some(report))) => self.looked(&report),
            Ok(Ok(None)) => return false,
            // Somebody takes them back, or another agent starts: the next look tells.
            Ok(Err(HostsError::Busy(_))) if was_there => {}
            Ok(Err(error)) => self.failed(error.to_string()),
            Err(error) => self.failed(error.to_string()),
        }
        true
    }

    fn looked(&mut self, report: &Report) {
        let refused: HashSet<_> = report.refused().map(ToString::to_string).collect();
        for line in refused.difference(&self.logged) {
            warn!("{line}");
        }
        for file in &report.files {
            match file.outcome {
                Outcome::Refused(_) | Outcome::Unchanged => {}
                _ => info!("{file}"),
            }
        }
        match pointed(report) {
            Ok(()) => {
                (self.logged, self.was_there) = (refused, true);
                let _ = self.pointed.send_replace(Ok(()));
            }
            Err(reason) => {
                self.failed(reason);
                self.logged.extend(refused);
            }
        }
    }

    /// Logged when it is another reason than at the last look.
    fn failed(&mut self, reason: String) {
        let reason = format!("containerd was not pointed at this mirror: {reason}");
        if !self.logged.contains(&reason) {
            error!("{reason}");
        }
        self.logged = [reason.clone()].into();
        let _ = self.pointed.send_replace(Err(reason));
    }
}

/// Whether any file names the mirror now; one registry's broken file does not unready the node.
fn pointed(report: &Report) -> Pointed {
    let names_mirror = |file: &FileReport| {
        matches!(file.outcome, Outcome::Created | Outcome::Merged | Outcome::Unchanged)
    };
    if report.files.iter().any(names_mirror) {
        return Ok(());
    }
    let refused: Vec<_> = report.refused().map(ToString::to_string).collect();
    Err(refused.join("; "))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::timeout;

    use super::*;
    use crate::hosts::FileError;

    fn report(outcomes: Vec<Outcome>) -> Report {
        let file = |outcome| FileReport { file: "certs.d/_default/hosts.toml".into(), outcome };
        Report { files: outcomes.into_iter().map(file).collect() }
    }

    fn config(root: &tempfile::TempDir) -> HostsConfig {
        HostsConfig {
            hosts_dir: root.path().join("certs.d"),
            data_dir: root.path().join("data"),
            mirror: "127.0.0.1:29900".parse().unwrap(),
            registries: Vec::new(),
        }
    }

    #[test]
    fn a_node_whose_containerd_goes_past_the_mirror_is_not_ready() {
        let refused = || Outcome::Refused(FileError::NotText);
        assert_eq!(pointed(&report(vec![refused(), Outcome::Unchanged])), Ok(()));
        let reason = pointed(&report(vec![Outcome::Removed, refused()])).unwrap_err();
        assert!(reason.contains("hosts.toml: left as it is"), "{reason}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_with_another_name_is_named_within_a_minute() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("certs.d/reg:5000");
        let text = || fs::read_to_string(folder.join("hosts.toml")).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("ca.crt"), "pem").unwrap();
        let (pointing, running) = (Pointing::begin(config(&root)).await, CancellationToken::new());
        let rotates = async {
            assert!(text().contains("\"ca.crt\""));
            fs::rename(folder.join("ca.crt"), folder.join("ca-2027.crt")).unwrap();
            sleep(AGAIN + Duration::from_secs(1)).await;
            assert!(text().contains("\"ca-2027.crt\"") && !text().contains("\"ca.crt\""));
            running.cancel();
        };
        tokio::join!(pointing.keep(running.clone()), rotates);
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_at_the_start_is_tried_again_until_it_works() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("certs.d"), "a file").unwrap();
        let (pointing, running) = (Pointing::begin(config(&root)).await, CancellationToken::new());
        let mut pointed = pointing.pointed();
        assert!(pointed.borrow_and_update().is_err());
        let mends = async {
            fs::remove_file(root.path().join("certs.d")).unwrap();
            timeout(2 * AGAIN, pointed.wait_for(Result::is_ok)).await.unwrap().unwrap();
            running.cancel();
        };
        tokio::join!(pointing.keep(running.clone()), mends);
        assert!(root.path().join("certs.d/_default/hosts.toml").exists());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_back_is_never_put_back() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("certs.d/_default/hosts.toml");
        let pointing = Pointing::begin(config(&root)).await;
        assert!(file.exists());
        hosts::uninstall(&config(&root)).unwrap();
        let ends = pointing.keep(CancellationToken::new());
        timeout(10 * AGAIN, ends).await.expect("it ends by itself");
        assert!(!file.exists());
    }
}
