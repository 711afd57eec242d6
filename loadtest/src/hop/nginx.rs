//! nginx with sendfile, the yardstick for serving a file.

use std::{
    fs, net::SocketAddr, os::unix::fs::symlink, path::Path, process::Command, time::Duration,
};

use onepull_testbed::{Process, Requirement, net::free_addresses, tools};

use super::HopError;
use crate::scrape;

/// It listens within milliseconds.
const READY_LIMIT: Duration = Duration::from_secs(10);

/// A running nginx of one process; killed when dropped.
pub(super) struct Nginx {
    process: Process,
    address: SocketAddr,
}

// === impl Nginx ===

impl Nginx {
    /// Serves `file` from a folder below `scratch`.
    pub(super) async fn start(scratch: &Path, file: &Path) -> Result<Self, HopError> {
        if let Some(reason) = Requirement::Nginx.lacking() {
            return Err(HopError::Nginx(reason));
        }
        let failed = |error: std::io::Error| HopError::Nginx(error.to_string());
        let program = tools::find("nginx").unwrap_or_else(|| "nginx".into());
        let folder = scratch.join("nginx");
        fs::create_dir_all(folder.join("root")).map_err(failed)?;
        symlink(file, folder.join("root/blob")).map_err(failed)?;
        let [address] = free_addresses().map_err(failed)?;
        let config = folder.join("nginx.conf");
        fs::write(&config, render(&folder, address)).map_err(failed)?;
        let mut command = Command::new(program);
        command.arg("-p").arg(&folder).arg("-c").arg(&config);
        let broken = |error: anyhow::Error| HopError::Nginx(format!("{error:#}"));
        let mut process = Process::spawn(command, folder.join("log")).map_err(broken)?;
        let ask = async || scrape::head(address, "/blob").await.ok().filter(|code| *code == 200);
        process.ready("nginx listened", READY_LIMIT, ask).await.map_err(broken)?;
        Ok(Self { process, address })
    }

    /// Where the file is.
    pub(super) fn url(&self) -> String {
        format!("http://{}/blob", self.address)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// One process that is master and worker, so that its CPU time is all there is.
fn render(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n  sendfile on;\n  tcp_nopush on;\n  access_log off;\n  \
         client_body_temp_path {folder}/body;\n  proxy_temp_path {folder}/proxy;\n  \
         fastcgi_temp_path {folder}/fastcgi;\n  uwsgi_temp_path {folder}/uwsgi;\n  \
         scgi_temp_path {folder}/scgi;\n  \
         server {{ listen {address}; root {folder}/root; }}\n}}\n"
    )
}
