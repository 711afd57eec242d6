//! What a node gets: the logins of the caches for which it pulls an image from its registry now.

use std::collections::BTreeSet;

use kube::{Api, Client, ResourceExt};
use onepull_api::{
    ImageCache, NodeImageCache, NodeImageCacheSpec, Source,
    logins::{Login, Logins, Question},
};
use onepull_resolve::{self as resolve, Credential, Credentials, ExposeSecret, ImageRef};
use tracing::{info, warn};

use super::refusal::Refusal;
use crate::{
    convert::{full_name, images},
    pull_secrets,
};

/// Reads objects as they are now: a node that is told something else since gets nothing.
pub(super) struct Granter {
    client: Client,
}

// === impl Granter ===

impl Granter {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// The logins of `question` for a node.
    pub(super) async fn logins(&self, node: &str, question: &Question) -> Result<Logins, Refusal> {
        let image: ImageRef = question
            .image
            .parse()
            .map_err(|error: resolve::BadReference| Refusal::BadQuestion(error.to_string()))?;
        let objects: Api<NodeImageCache> = Api::all(self.client.clone());
        let object = objects.get_opt(node).await?;
        let caches = object.and_then(|object| caches(&object.spec, &question.image));
        let not_told = || Refusal::NotTold { node: node.into(), image: image.to_string() };
        let caches = caches.ok_or_else(not_told)?;
        let mut credentials = Credentials::default();
        for cache in &caches {
            self.add(cache, &question.image, &mut credentials).await?;
        }
        let logins: Vec<_> = credentials.matching(&image).into_iter().map(login).collect();
        info!(node, image = %image, logins = logins.len(), "hands out logins");
        Ok(Logins { logins })
    }

    /// Adds the logins of one cache, NAMESPACE/NAME, if it wants the image. A secret that cannot be
    /// read is left out: the cache's own condition says so.
    async fn add(&self, cache: &str, image: &str, all: &mut Credentials) -> Result<(), Refusal> {
        let Some((namespace, name)) = cache.split_once('/') else { return Ok(()) };
        let caches: Api<ImageCache> = Api::namespaced(self.client.clone(), namespace);
        let Some(cache) = caches.get_opt(name).await? else { return Ok(()) };
        if !images(&cache).contains(&full_name(image)) {
            return Ok(());
        }
        for secret in &cache.spec.image_pull_secrets {
            let read = pull_secrets::read(&self.client, namespace, &secret.name, all).await;
            if let Err(said) = read {
                warn!(cache = cache.name_any(), "{said}");
            }
        }
        Ok(())
    }
}

/// The caches for which a node is told to pull an image from its registry, of all that name it so;
/// `None` if it is not.
fn caches(told: &NodeImageCacheSpec, image: &str) -> Option<BTreeSet<String>> {
    let name = full_name(image);
    let upstream = told.images.iter().filter(|told| told.source == Source::Upstream);
    let mut named = upstream.filter(|told| told.refs.iter().any(|one| full_name(one) == name));
    let first = named.next()?;
    Some(named.chain([first]).flat_map(|told| told.caches.iter().cloned()).collect())
}

fn login(credential: &Credential) -> Login {
    match credential.login() {
        resolve::Login::Password { user, password } => Login::Password {
            user: user.expose_secret().to_owned(),
            password: password.expose_secret().to_owned(),
        },
        resolve::Login::IdentityToken(token) => {
            Login::IdentityToken { token: token.expose_secret().to_owned() }
        }
    }
}

#[cfg(test)]
mod tests {
    use onepull_api::DesiredImage;

    use super::*;

    fn told(refs: &[&str], source: Source, caches: &[&str]) -> DesiredImage {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        DesiredImage { refs: words(refs), source, caches: words(caches), ..DesiredImage::default() }
    }

    #[test]
    fn only_what_a_node_is_told_to_pull_from_its_registry_is_granted() {
        let spec = NodeImageCacheSpec {
            images: vec![
                told(
                    &["r.example/a:v1", "docker.io/library/nginx:1"],
                    Source::Upstream,
                    &["n/one"],
                ),
                told(&["r.example/b:v1"], Source::Peers, &["n/two"]),
                told(&["r.example/a:v1"], Source::Upstream, &["n/three"]),
            ],
            ..NodeImageCacheSpec::default()
        };
        let all = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
        assert_eq!(caches(&spec, "r.example/a:v1"), all(&["n/one", "n/three"]));
        assert_eq!(caches(&spec, "nginx:1"), all(&["n/one"]));
        assert_eq!(caches(&spec, "r.example/b:v1"), None);
        assert_eq!(caches(&spec, "r.example/a:v2"), None);
    }
}
