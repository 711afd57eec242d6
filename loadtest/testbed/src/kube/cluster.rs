//! A cluster of real nodes in a lab of its own: its control plane, a registry that is found by its name, and kubelets.

use std::net::Ipv4Addr;

use anyhow::Result;

use super::{
    control_plane::ControlPlane,
    node::{Node, NodeOptions},
    server::{ApiServer, Options},
};
use crate::{
    layout::Layout,
    net::{Host, Lab, Names, Shape},
    registry::{self, Registry},
    require::Requirement,
};

/// What a cluster needs.
pub const CLUSTER: [Requirement; 7] = [
    Requirement::Root,
    Requirement::Iproute,
    Requirement::Iptables,
    Requirement::Containerd22,
    Requirement::Kubernetes,
    Requirement::Pods,
    Requirement::Registry,
];

/// A running cluster; it has no node at first. Dropping it ends all of it.
#[derive(Debug)]
pub struct Cluster {
    /// Those that joined, in this order.
    pub nodes: Vec<Node>,
    /// Has no image at first, and no TLS: it answers at port 80.
    pub registry: Registry,
    _control_plane: ControlPlane,
    /// The API server.
    pub server: ApiServer,
    hosts_file: [String; 2],
    names: Names,
    store: Host,
    _control: Host,
    lab: Lab,
}

// === impl Cluster ===

impl Cluster {
    /// Starts one whose registry is called `registry`.
    ///
    /// # Errors
    /// When a part of it does not start, with the end of its log.
    pub async fn start(registry: &str) -> Result<Self> {
        let lab = Lab::new()?;
        let (control, store) = (lab.node("control", Shape::OPEN)?, lab.node("store", Shape::OPEN)?);
        let server = ApiServer::start_with(Options { host: Some(&control) }).await?;
        let control_plane = ControlPlane::start(&server)?;
        let names = Names::start(&lab, &[(registry, store.ip())]).await?;
        // What administrators have on their nodes for a registry without TLS.
        let text = format!("# Written by hand.\nserver = \"http://{registry}\"\n");
        let hosts_file = [registry.to_owned(), text];
        let options =
            registry::Options { host: Some(&store), port: Some(80), ..Default::default() };
        let registry = Registry::start(options).await?;
        Ok(Self {
            nodes: Vec::new(),
            registry,
            _control_plane: control_plane,
            server,
            hosts_file,
            names,
            store,
            _control: control,
            lab,
        })
    }

    /// Adds a node with `images` on its disk, each by a name; waits until it is Ready.
    ///
    /// # Errors
    /// When a part of it does not start, with the end of its log.
    pub async fn join(
        &mut self,
        name: &str,
        shape: Shape,
        images: &[(&Layout, &str)],
    ) -> Result<()> {
        let [registry, text] = self.hosts_file.each_ref().map(String::as_str);
        let hosts = [(registry, text)];
        let names = Some(self.names.address());
        let options = NodeOptions { name, shape, names, hosts: &hosts, images };
        let node = Node::join(&self.lab, &self.server, options).await?;
        self.nodes.push(node);
        Ok(())
    }

    /// Adds a host that is no node.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn host(&self, name: &str) -> Result<Host> {
        self.lab.node(name, Shape::OPEN)
    }

    /// Where the registry runs.
    pub fn store(&self) -> &Host {
        &self.store
    }

    /// Who answers questions for the registry's name.
    pub fn names(&self) -> Ipv4Addr {
        self.names.address()
    }
}
