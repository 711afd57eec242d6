//! Helm, built from its Go module.

use std::path::PathBuf;

use anyhow::Result;

use super::{Lock, cache, go_install};

/// The release of Helm that renders the chart.
pub const HELM: &str = "4.3.1";

/// The program, built or not.
pub fn helm_program() -> PathBuf {
    cache().join(format!("helm-{HELM}/helm"))
}

/// Whether it is there already.
pub fn helm_is_built() -> bool {
    helm_program().is_file()
}

/// Builds it where that has not been done; about 5 minutes on two cores.
///
/// # Errors
/// When Go is missing or the build fails.
pub fn build_helm() -> Result<PathBuf> {
    let _lock = Lock::take("helm")?;
    if !helm_is_built() {
        go_install(&format!("helm-{HELM}"), &[format!("helm.sh/helm/v4/cmd/helm@v{HELM}")])?;
    }
    Ok(helm_program())
}
