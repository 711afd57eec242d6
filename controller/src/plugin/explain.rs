//! `kubectl onepull explain`: why a node, or an image, is not warm; since when, and what comes next.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use onepull_api::ImageCache;

use super::{
    cluster::{Cluster, Scope},
    error::AskError,
    near::near,
    output::Output,
    pool::{Place, selector},
    wanted::Wanted,
};

mod image;
mod node;

use image::ImageExplained;
use node::NodeExplained;

/// What to explain.
#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    /// `node/NAME`, or `image/REFERENCE` as in a pod: image/registry.example/team/app:v1.
    #[arg(value_name = "node/NAME|image/REF")]
    subject: String,
}

// === impl Explain ===

impl Explain {
    /// The text to print.
    pub(crate) async fn run(&self, cluster: &Cluster, output: Output) -> Result<String, AskError> {
        match self.subject.split_once('/') {
            Some(("node" | "nodes" | "no", name)) if !name.is_empty() => {
                Ok(output.render(&node(cluster, name).await?))
            }
            Some(("image" | "images", reference)) if !reference.is_empty() => {
                Ok(output.render(&image(cluster, reference).await?))
            }
            _ => Err(AskError::Input(format!(
                "{} is neither node/NAME nor image/REFERENCE; for a cache, kubectl onepull status {0}",
                self.subject
            ))),
        }
    }
}

async fn node(cluster: &Cluster, name: &str) -> Result<NodeExplained, AskError> {
    let Some(node) = cluster.find::<Node>(Scope::All, name).await? else {
        return Err(no_such_node(cluster, name).await?);
    };
    let object = cluster.told(Some(&[name.to_owned()])).await?.remove(name);
    let caches = cluster.caches(Scope::All).await?;
    Ok(NodeExplained::of(&Place::of(&node), object.as_ref(), &caches, Timestamp::now()))
}

async fn no_such_node(cluster: &Cluster, name: &str) -> Result<AskError, AskError> {
    let mut names = Vec::new();
    cluster.each(Scope::All, None, |node: Node| names.extend(node.metadata.name)).await?;
    let otherwise = "kubectl get nodes shows all";
    Ok(AskError::NoSuch { kind: "node", name: name.to_owned(), near: near(name, names), otherwise })
}

async fn image(cluster: &Cluster, reference: &str) -> Result<ImageExplained, AskError> {
    let wanted = Wanted::new(reference);
    let all = cluster.caches(Scope::All).await?;
    let caches: Vec<_> = all.iter().filter(|cache| wanted.is_in(cache)).collect();
    if caches.is_empty() {
        let known = all.iter().flat_map(names);
        return Err(AskError::NoSuch {
            kind: "image cache with the image",
            name: wanted.name,
            near: near(reference, known),
            otherwise: "name it in one, and it is on its nodes before pods ask for it",
        });
    }
    let lists = caches.iter().flat_map(|cache| &cache.spec.cache_spec);
    let lists = lists.filter(|list| list.images.iter().any(|name| wanted.is(name)));
    let selectors: Vec<_> = lists.map(|list| selector(&list.node_selector)).collect();
    let places = cluster.places(&selectors).await?;
    let nodes: Vec<_> = places.iter().map(|place| place.name.clone()).collect();
    let told = cluster.told(Some(&nodes)).await?;
    Ok(ImageExplained::of(&wanted, &places, &told, &caches, Timestamp::now()))
}

fn names(cache: &ImageCache) -> impl Iterator<Item = String> {
    cache.spec.cache_spec.iter().flat_map(|list| list.images.iter().cloned())
}
