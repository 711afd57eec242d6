//! What a test may choose about its containerd, and the configuration file that follows.

use std::path::{Path, PathBuf};

use super::server::Version;
use crate::{machine::Machine, net::Host};

/// Choices for one containerd; the default is Debian's and upstream's.
#[derive(Clone, Debug, Default)]
pub struct Options<'a> {
    /// The host to run in; without one it runs in the machine's own network.
    pub host: Option<&'a Host>,
    /// The machine to run in, in the folders that a package has it use; it can run pods there.
    pub machine: Option<&'a Machine>,
    /// CRI's `config_path`, where `hosts.toml` is looked for; without one there is none.
    pub hosts_dir: Option<PathBuf>,
    /// Drop layer blobs once they are unpacked, as some managed clusters do.
    pub discard_unpacked_layers: bool,
    /// Several ranges of one layer at once, of this many bytes; containerd 2.2 only.
    pub parallel_fetch: Option<u64>,
    /// A folder to keep everything in, rather than one that is removed at the end. Unix sockets
    /// go there: at most about 80 bytes of path.
    pub folder: Option<PathBuf>,
    /// Added to the end of the configuration, for what is not named above.
    pub extra_toml: String,
}

/// The snapshotter that containerd takes by itself.
pub(super) const OVERLAY: &str = "overlayfs";

/// Where one containerd keeps what, in its own file system.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Where this process finds that file system.
    view: PathBuf,
    pub(super) config: PathBuf,
    root: PathBuf,
    state: PathBuf,
    socket: PathBuf,
    pub(super) snapshotter: &'static str,
}

/// Plugins that would use a place of the whole machine, or that nobody here asks for.
const DISABLED: &str = r#"["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing"]"#;

// === impl Places ===

impl Places {
    /// All below one folder of the machine itself.
    pub(super) fn below(base: &Path, snapshotter: &'static str) -> Self {
        Self {
            view: PathBuf::from("/"),
            config: base.join("config.toml"),
            root: base.join("root"),
            state: base.join("state"),
            socket: base.join("containerd.sock"),
            snapshotter,
        }
    }

    /// Those of a package.
    pub(super) fn of(machine: &Machine, snapshotter: &'static str) -> Self {
        Self {
            view: machine.see("/"),
            config: PathBuf::from("/etc/containerd/config.toml"),
            root: PathBuf::from("/var/lib/containerd"),
            state: PathBuf::from("/run/containerd"),
            socket: PathBuf::from("/run/containerd/containerd.sock"),
            snapshotter,
        }
    }

    /// Where this process finds it.
    pub(super) fn root(&self) -> PathBuf {
        self.seen(&self.root)
    }

    /// Where this process finds it.
    pub(super) fn socket(&self) -> PathBuf {
        self.seen(&self.socket)
    }

    /// Where this process finds a file of containerd.
    pub(super) fn seen(&self, path: &Path) -> PathBuf {
        self.view.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// The configuration file.
pub(super) fn render(version: Version, options: &Options, places: &Places) -> String {
    let common = format!(
        "root = {root:?}\nstate = {state:?}\ndisabled_plugins = {DISABLED}\n\
         [grpc]\n  address = {socket:?}\n[ttrpc]\n  address = {ttrpc:?}\n",
        root = places.root,
        state = places.state,
        socket = places.socket,
        ttrpc = places.socket.with_extension("sock.ttrpc"),
    );
    let plugins = match version {
        Version::V1_6 => plugins_1_6(options, places),
        Version::V2_2 => plugins_2_2(options, places),
    };
    format!("{}{common}{plugins}{}\n", schema(version), options.extra_toml)
}

fn schema(version: Version) -> &'static str {
    match version {
        Version::V1_6 => "version = 2\n",
        Version::V2_2 => "version = 3\n",
    }
}

fn plugins_1_6(options: &Options, places: &Places) -> String {
    format!(
        "[plugins.\"io.containerd.grpc.v1.cri\"]\n  stream_server_address = \"127.0.0.1\"\n  \
         stream_server_port = \"0\"\n  restrict_oom_score_adj = true\n\
         [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n  snapshotter = {snapshotter:?}\n  \
         discard_unpacked_layers = {discard}\n\
         [plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = {hosts:?}\n",
        snapshotter = places.snapshotter,
        discard = options.discard_unpacked_layers,
        hosts = options.hosts_dir.clone().unwrap_or_default(),
    )
}

fn plugins_2_2(options: &Options, places: &Places) -> String {
    let hosts = options.hosts_dir.clone().unwrap_or_default();
    let mut text = format!(
        "[plugins.'io.containerd.cri.v1.images']\n  snapshotter = {snapshotter:?}\n  \
         discard_unpacked_layers = {discard}\n\
         [plugins.'io.containerd.cri.v1.images'.registry]\n  config_path = {hosts:?}\n\
         [plugins.'io.containerd.cri.v1.runtime']\n  restrict_oom_score_adj = true\n\
         [plugins.'io.containerd.grpc.v1.cri']\n  disable_tcp_service = true\n  \
         stream_server_address = '127.0.0.1'\n  stream_server_port = '0'\n\
         [plugins.'io.containerd.nri.v1.nri']\n  disable = true\n\
         [plugins.'io.containerd.transfer.v1.local']\n  config_path = {hosts:?}\n",
        snapshotter = places.snapshotter,
        discard = options.discard_unpacked_layers,
    );
    if let Some(bytes) = options.parallel_fetch {
        text += &format!("  concurrent_layer_fetch_buffer = {bytes}\n");
    }
    if places.snapshotter != OVERLAY {
        text += &format!(
            "[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]\n  \
             platform = 'linux/amd64'\n  differ = 'walking'\n  snapshotter = {:?}\n",
            places.snapshotter
        );
    }
    text
}
