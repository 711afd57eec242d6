//! `crdgen` prints the CRDs, `crdgen FOLDER` writes each into a file there.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use onepull_api::crds;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    for crd in crds::all()? {
        let yaml = crds::yaml(&crd)?;
        match &folder {
            None => print!("---\n{yaml}"),
            Some(folder) => fs::write(folder.join(crds::file_name(&crd)), yaml)
                .with_context(|| format!("cannot write into {}", folder.display()))?,
        }
    }
    Ok(())
}
