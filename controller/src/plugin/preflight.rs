//! `kubectl onepull preflight`: can these nodes start an image now, without a pull?

use std::collections::HashMap;

use jiff::Timestamp;
use kube::ResourceExt;
use onepull_api::{ImageCache, NodeImageCache};

use super::{
    cluster::{Cluster, Scope},
    error::AskError,
    output::Output,
    pool::{Place, both, selector},
    wanted::Wanted,
};

mod verdict;

use verdict::Verdict;

/// What is to start where.
#[derive(Debug, clap::Args)]
pub(crate) struct Preflight {
    /// An image as in a pod, with its tag or digest (nginx:1.27, or image/nginx), or the name of an image cache.
    #[arg(value_name = "IMAGE|CACHE")]
    subject: String,
    /// Only nodes with these labels, as in kubectl: pool=gpu,zone in (a,b). Default: all nodes, or all that
    /// the cache selects.
    #[arg(long, short = 'l', value_name = "LABELS", default_value = "")]
    selector: String,
}

/// What a word on the command line means.
#[derive(Debug, PartialEq, Eq)]
enum Subject<'a> {
    Image(&'a str),
    Cache(&'a str),
}

// === impl Preflight ===

impl Preflight {
    /// The text to print, and whether all nodes are warm.
    pub(crate) async fn run(
        &self,
        cluster: &Cluster,
        output: Output,
    ) -> Result<(String, bool), AskError> {
        let verdict = match Subject::of(&self.subject) {
            Subject::Image(image) => self.image(cluster, image).await?,
            Subject::Cache(name) => self.cache(cluster, name).await?,
        };
        Ok((output.render(&verdict), verdict.all_warm()))
    }

    async fn image(&self, cluster: &Cluster, image: &str) -> Result<Verdict, AskError> {
        let wanted = Wanted::new(image);
        let places = cluster.places(std::slice::from_ref(&self.selector)).await?;
        let told = self.told(cluster, &places).await?;
        let caches = cluster.caches(Scope::All).await?;
        let caches: Vec<_> = caches.iter().filter(|cache| wanted.is_in(cache)).collect();
        let mut verdict = Verdict::new(&wanted.name, Timestamp::now());
        for place in &places {
            verdict.look(place, told.get(&place.name), &[&wanted], &caches);
        }
        Ok(verdict)
    }

    async fn cache(&self, cluster: &Cluster, name: &str) -> Result<Verdict, AskError> {
        let cache = cluster.cache(name).await?;
        let lists = &cache.spec.cache_spec;
        let selectors: Vec<_> =
            lists.iter().map(|list| both(&selector(&list.node_selector), &self.selector)).collect();
        let places = cluster.places(&selectors).await?;
        let told = self.told(cluster, &places).await?;
        let of = format!("the images of cache {}", cache.name_any());
        let mut verdict = Verdict::new(&of, Timestamp::now());
        for place in &places {
            let images = images(&cache, place);
            verdict.look(
                place,
                told.get(&place.name),
                &images.iter().collect::<Vec<_>>(),
                &[&cache],
            );
        }
        Ok(verdict)
    }

    async fn told(
        &self,
        cluster: &Cluster,
        places: &[Place],
    ) -> Result<HashMap<String, NodeImageCache>, AskError> {
        if places.is_empty() {
            let nodes = match self.selector.is_empty() {
                true => "no node is selected".to_owned(),
                false => format!("no node is selected by {}", self.selector),
            };
            return Err(AskError::Input(format!("{nodes}: see kubectl get nodes --show-labels")));
        }
        let names: Vec<_> = places.iter().map(|place| place.name.clone()).collect();
        cluster.told(Some(&names)).await
    }
}

/// The images that a cache wants on a node.
fn images(cache: &ImageCache, place: &Place) -> Vec<Wanted> {
    let lists = cache.spec.cache_spec.iter().filter(|list| place.has(&list.node_selector));
    lists.flat_map(|list| &list.images).map(|name| Wanted::new(name)).collect()
}

// === impl Subject ===

impl<'a> Subject<'a> {
    /// An image has a tag, a digest or a repository of several parts; the name of a cache has none of them.
    fn of(word: &'a str) -> Self {
        match word.split_once('/') {
            Some(("image", image)) => Self::Image(image),
            Some(("cache" | "imagecache", name)) => Self::Cache(name),
            _ if word.contains(['/', ':', '@']) => Self::Image(word),
            _ => Self::Cache(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_a_tag_or_a_slash_is_an_image_and_a_plain_one_a_cache() {
        for (word, subject) in [
            ("models", Subject::Cache("models")),
            ("cache/models", Subject::Cache("models")),
            ("nginx:1.27", Subject::Image("nginx:1.27")),
            ("team/app", Subject::Image("team/app")),
            ("image/nginx", Subject::Image("nginx")),
            ("image/r.example/app:v1", Subject::Image("r.example/app:v1")),
        ] {
            assert_eq!(Subject::of(word), subject, "{word}");
        }
    }
}
