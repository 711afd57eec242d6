//! The hub with its bridge, and the hosts on it.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use anyhow::{Context, Result, bail};

use super::{
    inside,
    namespace::{Namespace, remove_stale},
    shape::{Shape, limit},
    traffic::{Traffic, parse},
};

/// The bridge's own address, the first of 10.99.0.0/16.
pub(super) const HUB: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

/// More hosts than this are beyond what one machine runs; it keeps addresses within one octet.
const MAX_HOSTS: u8 = 250;

/// A network of hosts. Its hosts go with it.
#[derive(Debug)]
pub struct Lab {
    hub: Arc<Namespace>,
    hosts: AtomicU8,
}

/// A namespace on the lab's bridge. Dropping it kills what still runs inside.
#[derive(Debug)]
pub struct Host {
    name: String,
    ip: Ipv4Addr,
    /// The hub's end of the veth.
    port: String,
    namespace: Namespace,
    hub: Arc<Namespace>,
}

// === impl Lab ===

impl Lab {
    /// Makes an empty network, after removing those of processes that died.
    ///
    /// # Errors
    /// Without root or iproute2.
    pub fn new() -> Result<Self> {
        remove_stale();
        let hub = Namespace::create("hub").context("cannot make a network namespace")?;
        hub.ip(&["link", "add", "br0", "type", "bridge"])?;
        hub.ip(&["addr", "add", &format!("{HUB}/16"), "dev", "br0"])?;
        hub.ip(&["link", "set", "br0", "up"])?;
        Ok(Self { hub: Arc::new(hub), hosts: AtomicU8::new(0) })
    }

    /// Adds a host; `name` appears in the namespace's name.
    ///
    /// # Errors
    /// When the kernel refuses, or the lab is full (250 hosts).
    pub fn node(&self, name: &str, shape: Shape) -> Result<Host> {
        let index = self.hosts.fetch_add(1, Ordering::Relaxed);
        if index >= MAX_HOSTS {
            bail!("a lab has at most {MAX_HOSTS} hosts");
        }
        let namespace = Namespace::create(name)?;
        let port = format!("n{}", index + 1);
        let ip = Ipv4Addr::new(10, 99, 0, index + 2);
        let host = Host { name: name.to_owned(), ip, port, namespace, hub: Arc::clone(&self.hub) };
        host.connect(shape).with_context(|| format!("cannot connect host {name}"))?;
        Ok(host)
    }

    /// Runs a future of this process in the hub, from where every host can be reached unshaped by a
    /// link of its own. See [`Host::enter`].
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub async fn enter<T, F>(&self, make: impl FnOnce() -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = T>,
    {
        inside::run(&self.hub.path(), make).await
    }

    /// Has packets for a network that is behind a host sent there, whoever sends them: `network` as in
    /// `10.98.2.0/24`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn route(&self, network: &str, host: &Host) -> Result<()> {
        forward(&self.hub)?;
        self.hub.ip(&["route", "add", network, "via", &host.ip.to_string()])?;
        Ok(())
    }

    /// A command that will run in the hub.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.hub.command(program)
    }

    /// The counters of several hosts at one moment, in their order.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn traffic<'a>(&self, hosts: impl IntoIterator<Item = &'a Host>) -> Result<Vec<Traffic>> {
        let counters = counters(&self.hub)?;
        hosts.into_iter().map(|host| host.among(&counters)).collect()
    }
}

// === impl Host ===

impl Host {
    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address in the lab.
    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// The name of its namespace, as `ip netns` lists it.
    pub fn namespace(&self) -> &str {
        self.namespace.name()
    }

    /// The file that stands for its namespace.
    pub(crate) fn namespace_path(&self) -> PathBuf {
        self.namespace.path()
    }

    /// A command that will run in the host: `ip netns exec` replaces itself by the program, so the
    /// child's pid is the program's. It sees the machine's files, but mounts stay its own, and it
    /// sees no cgroups: a containerd in a host pulls images, but cannot run pods.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.namespace.command(program)
    }

    /// Has it pass on packets that are not for itself.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn forward(&self) -> Result<()> {
        forward(&self.namespace)
    }

    /// Calls `work` on a thread inside the host, for example to bind a listener.
    ///
    /// # Errors
    /// When the namespace cannot be entered or `work` panics.
    pub fn call<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        inside::call(&self.namespace.path(), work)
    }

    /// Runs a future of this process inside the host, on a thread and runtime of its own.
    ///
    /// # Errors
    /// When the namespace cannot be entered or the future panics.
    ///
    /// # Cancel safety
    /// Dropping the returned future does not stop the one inside.
    pub async fn enter<T, F>(&self, make: impl FnOnce() -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = T>,
    {
        inside::run(&self.namespace.path(), make).await
    }

    /// What passed its link since it was made.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn traffic(&self) -> Result<Traffic> {
        self.among(&counters(&self.hub)?)
    }

    /// Unplugs the host: packets are lost silently, as with a pulled cable.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cut(&self) -> Result<()> {
        self.hub.ip(&["link", "set", &self.port, "down"])?;
        Ok(())
    }

    /// Plugs it in again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn mend(&self) -> Result<()> {
        self.hub.ip(&["link", "set", &self.port, "up"])?;
        Ok(())
    }

    /// Gives its link other rates; a direction that `shape` leaves open keeps the rate that it had.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn reshape(&self, shape: Shape) -> Result<()> {
        limit(&self.namespace, "eth0", shape.up)?;
        limit(&self.hub, &self.port, shape.down)
    }

    fn connect(&self, shape: Shape) -> Result<()> {
        let (hub, own) = (self.hub.name(), self.namespace.name());
        let veth = ["type", "veth", "peer", "name", "eth0", "netns", own];
        self.hub.ip(&[&["link", "add", &self.port, "netns", hub][..], &veth].concat())?;
        self.hub.ip(&["link", "set", &self.port, "master", "br0", "up"])?;
        self.namespace.ip(&["addr", "add", &format!("{}/16", self.ip), "dev", "eth0"])?;
        self.namespace.ip(&["link", "set", "eth0", "up"])?;
        self.namespace.ip(&["route", "add", "default", "via", &HUB.to_string()])?;
        self.reshape(shape)
    }

    /// What the hub's end receives is what the host sends.
    fn among(&self, counters: &HashMap<String, Traffic>) -> Result<Traffic> {
        let port = counters.get(&self.port).context("the host's link has no counters")?;
        Ok(Traffic { rx: port.tx, tx: port.rx })
    }
}

/// `/proc/sys/net` is that of the network namespace of who looks.
fn forward(namespace: &Namespace) -> Result<()> {
    let write = || fs::write("/proc/sys/net/ipv4/ip_forward", "1");
    inside::call(&namespace.path(), write)?.context("cannot have packets passed on")
}

/// `/proc/thread-self/net` shows the namespace of the thread that asks.
fn counters(hub: &Namespace) -> Result<HashMap<String, Traffic>> {
    let text = inside::call(&hub.path(), || fs::read_to_string("/proc/thread-self/net/dev"))?;
    Ok(parse(&text.context("cannot read the link counters")?))
}
