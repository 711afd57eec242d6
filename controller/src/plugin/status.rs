//! `kubectl onepull status`: how far image caches are, and each node of one.

use std::io::{IsTerminal, stdout};

use jiff::Timestamp;

use super::{
    cluster::{Cluster, Scope},
    error::AskError,
    output::Output,
};

mod live;
mod of_cache;
mod of_caches;
mod watching;

use of_cache::OneCache;
use of_caches::Caches;

/// Nodes and images are shown with what they get from the registry and from each other.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// An image cache. Without it: all of the namespace, or with -A of the cluster.
    cache: Option<String>,
    /// The caches of all namespaces.
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Go on showing it: until the cache is Ready, or all caches until Ctrl-C.
    #[arg(long, short)]
    watch: bool,
}

// === impl Status ===

impl Status {
    /// The text to print, where it was not shown already.
    pub(crate) async fn run(&self, cluster: &Cluster, output: Output) -> Result<String, AskError> {
        match (&self.cache, self.all_namespaces) {
            (Some(_), true) => Err(AskError::Input(
                "-A shows all caches; for one, say its namespace with -n".to_owned(),
            )),
            (Some(name), false) => self.one(cluster, name, output).await,
            (None, all) => {
                let scope = if all { Scope::All } else { Scope::Namespace(&cluster.namespace) };
                self.all(cluster, scope, output).await
            }
        }
    }

    async fn one(&self, cluster: &Cluster, name: &str, output: Output) -> Result<String, AskError> {
        // Who mistypes it is told at once, also where it is watched.
        let cache = cluster.cache(name).await?;
        if self.watch {
            Box::pin(watching::one(cluster, &cache, output, stdout().is_terminal())).await?;
            return Ok(String::new());
        }
        let told = cluster.told(of_cache::nodes(&cache).as_deref()).await?;
        Ok(output.render(&OneCache::of(&cache, told.values(), Timestamp::now())))
    }

    async fn all(
        &self,
        cluster: &Cluster,
        scope: Scope<'_>,
        output: Output,
    ) -> Result<String, AskError> {
        if self.watch {
            Box::pin(watching::all(cluster, scope, output, stdout().is_terminal())).await?;
            return Ok(String::new());
        }
        let caches = cluster.caches(scope).await?;
        Ok(output.render(&Caches::of(&caches, scope, Timestamp::now())))
    }
}
