//! What an image's tag stands for: the digest, and for each platform the bytes that a node needs.
//!
//! A [`Resolver`] asks the image's registry (OCI distribution) as a node's runtime would: same
//! names, same choice among platforms, same pull secrets in the same order. It does not retry: an
//! error says whether and when asking again is worth it. It never keeps an answer, so a credential
//! is checked by the registry each time; what it keeps is tokens, for the credential they came by.
//!
//! It knows nothing of Kubernetes but the bytes of a pull secret.

mod challenge;
mod credentials;
mod docker_config;
mod error;
mod image;
mod manifest;
mod options;
mod platform;
mod resolved;
mod resolver;
mod retry_after;
mod session;
mod size;
mod token;
mod transport;
mod turns;
mod walk;

pub use credentials::{Credential, Credentials, Login};
pub use docker_config::BadSecret;
pub use error::{Problem, ResolveError, Unreachable};
pub use image::{BadReference, ImageRef};
pub use oci_spec::image::Digest;
pub use options::{BadOptions, Options};
pub use platform::Platform;
pub use resolved::{PlatformImage, Resolved};
pub use resolver::Resolver;
pub use secrecy::ExposeSecret;
