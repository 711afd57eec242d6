//! The seam to the container runtime's images: pull one, find one, name one, remove one.

use async_trait::async_trait;
use onepull_mirror::Digest;
use onepull_resolve::Login;
use thiserror::Error;

mod fake;

pub use fake::FakeRuntime;

/// What the warmer needs of a container runtime.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Pulls `repository@digest` as the kubelet does, and unpacks it. What is in the store already is
    /// not fetched. A login is shown to the image's registry and to nobody else. It may take as long as the image's bytes need; dropping it cancels the pull.
    ///
    /// # Errors
    /// When the runtime could not get it, or does not answer.
    async fn pull(
        &self,
        repository: &str,
        digest: &Digest,
        login: Option<&Login>,
    ) -> Result<(), RuntimeError>;

    /// Unpacks a layer that the store holds on those below it, which are unpacked already, so that the
    /// image's pull has less to do. What is unpacked stays until that pull has ended, or for ever if
    /// there is none. Dropping it, or doing nothing, costs no more than that time.
    ///
    /// # Errors
    /// When the runtime refuses, or the layer is not what its config says.
    async fn unpack(&self, layer: &Unpack) -> Result<(), RuntimeError>;

    /// What the runtime lists under a name (`repository:tag` or `repository@digest`): the digest that
    /// it points to, the image being unpacked. `None` when it lists nothing.
    ///
    /// # Errors
    /// When the runtime does not answer.
    async fn find(&self, name: &str) -> Result<Option<Digest>, RuntimeError>;

    /// Lets `repository:tag` point to a digest that the store holds, as a pull of that tag would have.
    ///
    /// # Errors
    /// When the digest is not in the store, or the runtime does not answer.
    async fn tag(&self, name: &str, digest: &Digest) -> Result<(), RuntimeError>;

    /// Takes away those of `names` that stand for `digest`; the image goes with its last name. None
    /// goes while a container uses the image, be it running or not.
    ///
    /// # Errors
    /// When the runtime does not answer; some names may be gone then.
    async fn remove(&self, names: &[String], digest: &Digest) -> Result<Removal, RuntimeError>;
}

/// What became of names that were to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// None of them stands for the digest any more.
    Gone,
    /// A container uses the image, so they stay.
    InUse,
}

/// A layer to be unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpack {
    /// The image that will be pulled.
    pub image: Digest,
    /// The layer as it is in the store.
    pub layer: Digest,
    /// Its size there in bytes.
    pub size: u64,
    /// How it is packed.
    pub media_type: String,
    /// The digests of the image's layers unpacked, from the lowest to this one.
    pub diffs: Vec<Digest>,
}

/// Why the runtime did not do it.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// The pull failed: what the runtime said.
    #[error("the runtime could not pull {image}: {reason}")]
    Pull {
        /// What was to be pulled.
        image: String,
        /// The runtime's words.
        reason: String,
    },
    /// It does not answer, or refused.
    #[error("the container runtime cannot {step}: {reason}")]
    Unavailable {
        /// What was asked of it, as in "list its images".
        step: &'static str,
        /// What it said.
        reason: String,
    },
}
