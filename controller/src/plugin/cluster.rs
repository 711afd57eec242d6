//! The way to a cluster, and reading of it: by name where few objects are needed, else in pages.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api, Client, Config, Resource, ResourceExt,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use onepull_api::{ImageCache, NodeImageCache};
use serde::de::DeserializeOwned;

use super::{
    error::{AskError, Asked},
    near::near,
};
use crate::world::PAGE;

/// An API server that is there takes a connection at once, also over half of the world.
const CONNECT: Duration = Duration::from_secs(10);

/// For the answer to one request: a page of large objects of a busy API server takes seconds.
const ANSWER: Duration = Duration::from_secs(60);

/// Up to so many objects are read one by one, by name, in place of all that there are.
const FEW: usize = 40;

/// Of these, so many at a time.
const AT_A_TIME: usize = 8;

/// Which cluster, and as whom.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Connection {
    /// The kubeconfig file. Default: those that KUBECONFIG names, else ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Which cluster")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig. Default: its current one.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Which cluster")]
    pub(crate) context: Option<String>,
    /// The namespace. Default: that of the context.
    #[arg(long, short, global = true, value_name = "NAME", help_heading = "Which cluster")]
    pub(crate) namespace: Option<String>,
}

/// A cluster that can be asked.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// The namespace that was asked for, else that of the context.
    pub(crate) namespace: String,
    url: String,
}

// === impl Connection ===

impl Connection {
    /// The way there; nothing is sent yet.
    pub(crate) async fn open(&self) -> Result<Cluster, AskError> {
        let config = self.config().await.map_err(AskError::Config)?;
        let url = config.cluster_url.to_string();
        let namespace = self.namespace.clone().unwrap_or(config.default_namespace.clone());
        let client =
            Client::try_from(config).map_err(|error| AskError::Config(error.to_string()))?;
        Ok(Cluster { client, namespace, url })
    }

    async fn config(&self) -> Result<Config, String> {
        let options = KubeConfigOptions { context: self.context.clone(), ..Default::default() };
        let mut config = match &self.kubeconfig {
            Some(file) => {
                let read = Kubeconfig::read_from(file).map_err(|error| error.to_string())?;
                let config = Config::from_custom_kubeconfig(read, &options).await;
                config.map_err(|error| error.to_string())?
            }
            None if self.context.is_some() => {
                Config::from_kubeconfig(&options).await.map_err(|error| error.to_string())?
            }
            // In a pod there is none, and its service account will do.
            None => Config::infer().await.map_err(|error| error.to_string())?,
        };
        config.connect_timeout = Some(CONNECT);
        Ok(config)
    }
}

// === impl Cluster ===

impl Cluster {
    /// Hands all objects of an API that a selector selects to `take`, page by page.
    pub(crate) async fn each<K>(
        &self,
        api: Scope<'_>,
        selector: Option<&str>,
        mut take: impl FnMut(K),
    ) -> Result<(), AskError>
    where
        K: Resource<DynamicType = (), Scope: Reach> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let asked = self.asked::<K>("list", api);
        let api: Api<K> = <K::Scope as Reach>::api(&self.client, api);
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector = selector.filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        loop {
            let page = self.in_time(asked.answer(api.list(&params))).await?;
            page.items.into_iter().for_each(&mut take);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(()),
            }
        }
    }

    /// One object, if it is there.
    pub(crate) async fn find<K>(&self, api: Scope<'_>, name: &str) -> Result<Option<K>, AskError>
    where
        K: Resource<DynamicType = (), Scope: Reach> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let asked = self.asked::<K>("get", api);
        let api: Api<K> = <K::Scope as Reach>::api(&self.client, api);
        self.in_time(asked.answer(api.get_opt(name))).await
    }

    /// The image caches of a namespace or of all, by name.
    pub(crate) async fn caches(&self, scope: Scope<'_>) -> Result<Vec<ImageCache>, AskError> {
        let mut caches = Vec::new();
        self.each(scope, None, |cache: ImageCache| caches.push(cache)).await?;
        caches.sort_by_key(|cache| (cache.namespace(), cache.name_any()));
        Ok(caches)
    }

    /// One cache of the namespace; where there is none, those with names like it.
    pub(crate) async fn cache(&self, name: &str) -> Result<ImageCache, AskError> {
        let scope = Scope::Namespace(&self.namespace);
        if let Some(cache) = self.find(scope, name).await? {
            return Ok(cache);
        }
        let of_namespace = self.caches(scope).await?;
        let near = near(name, of_namespace.iter().map(ResourceExt::name_any));
        Err(AskError::NoSuch {
            kind: "image cache",
            name: format!("{name} in namespace {}", self.namespace),
            near,
            otherwise: "`kubectl onepull status -A` shows all; write an image with its tag, as in nginx:latest",
        })
    }

    /// What these nodes are told and report, by name; without any names, what all are and do.
    pub(crate) async fn told(
        &self,
        nodes: Option<&[String]>,
    ) -> Result<HashMap<String, NodeImageCache>, AskError> {
        let Some(nodes) = nodes.filter(|nodes| nodes.len() <= FEW) else {
            let mut told = HashMap::new();
            let keep = |object: NodeImageCache| drop(told.insert(object.name_any(), slim(object)));
            self.each(Scope::All, None, keep).await?;
            return Ok(told);
        };
        let asking = nodes.iter().map(|name| self.find::<NodeImageCache>(Scope::All, name));
        let found: Vec<_> = stream::iter(asking).buffered(AT_A_TIME).try_collect().await?;
        Ok(found.into_iter().flatten().map(|object| (object.name_any(), slim(object))).collect())
    }

    /// What is asked, for whoever is told that it failed.
    pub(crate) fn asked<K: Resource<DynamicType = (), Scope: Reach>>(
        &self,
        verb: &'static str,
        scope: Scope<'_>,
    ) -> Asked {
        let (plural, group) = (K::plural(&()), K::group(&()));
        let resource = if group.is_empty() { plural.into() } else { format!("{plural}.{group}") };
        let namespace = match scope {
            Scope::Namespace(namespace) => Some(namespace.to_owned()),
            Scope::All => None,
        };
        let namespaced = <K::Scope as Reach>::NAMESPACED;
        Asked { url: self.url.clone(), verb, resource, namespace, namespaced }
    }

    /// An answer, unless none comes.
    pub(crate) async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, AskError>>,
    ) -> Result<T, AskError> {
        match tokio::time::timeout(ANSWER, answer).await {
            Ok(answer) => answer,
            Err(_) => {
                let cause = format!("nothing came for {} s", ANSWER.as_secs());
                Err(AskError::Unreachable { url: self.url.clone(), cause })
            }
        }
    }
}

/// Without what says who wrote which field, which is often larger than the rest.
fn slim(mut object: NodeImageCache) -> NodeImageCache {
    object.metadata.managed_fields = None;
    object
}

/// Where objects are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope<'a> {
    /// In one namespace.
    Namespace(&'a str),
    /// In all, or where there are none.
    All,
}

/// How objects of a kind are reached, by whether they are in namespaces.
pub(crate) trait Reach: Sized {
    /// Whether they are.
    const NAMESPACED: bool;

    /// Those in a scope.
    fn api<K: Resource<DynamicType = (), Scope = Self>>(
        client: &Client,
        scope: Scope<'_>,
    ) -> Api<K>;
}

impl Reach for kube::core::NamespaceResourceScope {
    const NAMESPACED: bool = true;

    fn api<K: Resource<DynamicType = (), Scope = Self>>(
        client: &Client,
        scope: Scope<'_>,
    ) -> Api<K> {
        match scope {
            Scope::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
            Scope::All => Api::all(client.clone()),
        }
    }
}

impl Reach for kube::core::ClusterResourceScope {
    const NAMESPACED: bool = false;

    fn api<K: Resource<DynamicType = (), Scope = Self>>(client: &Client, _: Scope<'_>) -> Api<K> {
        Api::all(client.clone())
    }
}
