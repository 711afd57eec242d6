//! How a node that pulls from a registry says who asks: the logins of the image's pull secrets, which the
//! controller hands out for that pull, and those of the node's own credential plugins.
//!
//! As the kubelet does, secrets come before plugins. Nothing is kept: the next pull asks again.

use async_trait::async_trait;
use onepull_resolve::{Credentials, ImageRef, Login};

use crate::{desired::ImageName, kube::Link};

mod controller;
mod lookup;
mod plugin;
mod plugin_config;
mod trust;

pub(crate) use controller::Controllers;
pub(crate) use lookup::Lookup;
pub(crate) use plugin::Plugins;

/// Knows the logins of an image.
#[async_trait]
pub trait Logins: Send + Sync + 'static {
    /// What to try for an image, within some seconds.
    async fn of(&self, image: &ImageName) -> Found;
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// To be tried in this order; none means to ask as nobody.
    pub logins: Vec<Login>,
    /// Why there may be more, in a sentence.
    pub problem: Option<String>,
}

/// Asks every registry as nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLogins;

/// The logins of a node: those of the controller, and of its plugins.
pub(crate) struct NodeLogins {
    controllers: Option<Controllers>,
    plugins: Option<Plugins>,
}

// === impl NoLogins ===

#[async_trait]
impl Logins for NoLogins {
    async fn of(&self, _: &ImageName) -> Found {
        Found::default()
    }
}

// === impl NodeLogins ===

impl NodeLogins {
    /// `link` is the way to the API server, for a node of a cluster.
    pub(crate) fn new(config: &Config, link: Option<Link>) -> Self {
        let controllers = link.map(|link| {
            Controllers::new(link, config.namespace.clone(), config.controller_token.clone())
        });
        Self { controllers, plugins: config.plugins.clone().map(Plugins::new) }
    }
}

#[async_trait]
impl Logins for NodeLogins {
    async fn of(&self, image: &ImageName) -> Found {
        let mut found = Found::default();
        if let Some(controllers) = &self.controllers {
            match controllers.ask(&image.to_string()).await {
                Ok(logins) => found.logins.extend(logins),
                Err(problem) => found.problem = Some(problem),
            }
        }
        if let Some(plugins) = &self.plugins
            && let Ok(image) = image.to_string().parse::<ImageRef>()
        {
            let mut credentials = Credentials::default();
            let problem = plugins.ask(&image, &mut credentials).await.err();
            let matching = credentials.matching(&image).into_iter();
            found.logins.extend(matching.map(|credential| credential.login().clone()));
            found.problem = found.problem.or(problem);
        }
        found
    }
}

/// Where logins come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The namespace that onepull is installed in.
    pub namespace: String,
    /// A file with a token for the controller.
    pub controller_token: std::path::PathBuf,
    /// The kubelet's plugins, if this node has any.
    pub plugins: Option<PluginFiles>,
    /// How the agent itself asks registries, where the controller is not let in.
    pub registries: Registries,
}

/// How registries are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registries {
    /// By plain HTTP: these, `HOST[:PORT]`.
    pub plain_http: Vec<String>,
    /// A file of authorities, beside those of the system. It is read when the agent serves.
    pub ca: Option<std::path::PathBuf>,
}

/// Where the kubelet's credential plugins are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFiles {
    /// Their configuration.
    pub config: std::path::PathBuf,
    /// Their programs.
    pub programs: std::path::PathBuf,
}
