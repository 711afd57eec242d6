//! Writes what is rendered from the chart into `deploy`.

use std::fs;

use anyhow::{Context, Result};
use onepull_deploy::{RENDERINGS, deploy};

fn main() -> Result<()> {
    for rendering in RENDERINGS {
        let file = deploy().join(rendering.file);
        fs::write(&file, rendering.text()?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
