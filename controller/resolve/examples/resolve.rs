//! Asks what an image's name stands for, as the controller does:
//! `cargo run -p onepull-resolve --example resolve -- IMAGE [DOCKERCONFIGJSON [PLAIN_HTTP_HOST]]`

use anyhow::{Context, Result};
use onepull_resolve::{Credentials, Options, Resolver};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let image = arguments.next().context("say which image")?.parse()?;
    let mut credentials = Credentials::default();
    if let Some(file) = arguments.next().filter(|file| !file.is_empty()) {
        credentials.add(&file, &std::fs::read(&file)?)?;
    }
    let plain_http = arguments.collect();
    let resolver = Resolver::new(Options { plain_http, ..Default::default() })?;
    let resolved = resolver.resolve(&image, &credentials).await?;
    println!("{}", resolved.pinned(&image));
    for one in resolved.images {
        let (fetched, disk) = (one.compressed_bytes, one.disk_bytes);
        println!("{} {}: {fetched} bytes, about {disk} on disk", one.platform, one.manifest);
    }
    Ok(())
}
