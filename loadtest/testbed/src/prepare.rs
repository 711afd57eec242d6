//! Installs and builds what the tests need, and says what is ready and what is not.

use std::{fs, io::Write, path::Path, process::Command};

use anyhow::Result;

use crate::{
    process::run,
    require::{Requirement, missing},
    tools,
};

/// Debian asks this script whether it may start a package's daemon; 101 means no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Makes ready what can be, and writes one line per requirement.
///
/// Returns whether everything is there. Nothing is installed without root.
///
/// # Errors
/// Only when the report cannot be written: what cannot be prepared is part of it.
pub fn prepare(mut report: impl Write) -> Result<bool> {
    if missing(&[Requirement::Root]).is_none()
        && let Err(error) = install_packages()
    {
        writeln!(report, "packages: {error:#}")?;
    }
    if !tools::containerd_2_is_built() {
        writeln!(report, "building containerd {}: about 2 minutes", tools::CONTAINERD_2)?;
    }
    let built = tools::build_containerd_2().err().map(|error| format!("{error:#}"));
    if !tools::kubernetes_is_built() {
        writeln!(report, "building Kubernetes {}: about 9 minutes", tools::KUBERNETES)?;
    }
    let kubernetes = tools::build_kubernetes().err().map(|error| format!("{error:#}"));
    if !tools::helm_is_built() {
        writeln!(report, "building helm {}: about 5 minutes", tools::HELM)?;
    }
    let helm = tools::build_helm().err().map(|error| format!("{error:#}"));
    let mut complete = true;
    for requirement in Requirement::ALL {
        let reason = match requirement {
            Requirement::Containerd22 => built.clone(),
            Requirement::Kubernetes => kubernetes.clone(),
            Requirement::Helm => helm.clone(),
            _ => requirement.lacking(),
        };
        match reason {
            None => writeln!(report, "ready    {requirement:?}")?,
            Some(reason) => {
                complete = false;
                let blocks = requirement.blocks();
                writeln!(report, "missing  {requirement:?}: {reason}; without it: no {blocks}")?;
            }
        }
    }
    Ok(complete)
}

fn install_packages() -> Result<()> {
    let wanted: Vec<_> = Requirement::ALL
        .into_iter()
        .filter(|requirement| requirement.lacking().is_some())
        .flat_map(|requirement| requirement.packages().iter().copied())
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let _no_daemons = NoDaemons::hold()?;
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet");
        apt
    };
    eprintln!("installing {}", wanted.join(" "));
    run(apt().arg("update"))?;
    run(apt().args(["install", "--yes", "--no-install-recommends"]).args(wanted))?;
    Ok(())
}

/// While it lives, installing a package starts no daemon.
struct NoDaemons {
    ours: bool,
}

impl NoDaemons {
    fn hold() -> Result<Self> {
        let ours = !Path::new(POLICY).exists();
        if ours {
            fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
            run(Command::new("chmod").args(["755", POLICY]))?;
        }
        Ok(Self { ours })
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
