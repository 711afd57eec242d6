//! Can the agent read the blobs that containerd has?

use containerd_client::tonic::transport::Channel;

use super::Finding;
use crate::containerd::content_root;

const NAME: &str = "content";

pub(super) async fn check(channel: &Channel) -> Finding {
    match content_root(channel.clone()).await {
        Ok(root) => Finding::ok(NAME, format!("{} can be read", root.display())),
        Err(error) => Finding::problem(NAME, &error),
    }
}
