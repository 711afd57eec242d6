//! Does containerd really come to the mirror?
//!
//! The only proof is a pull: of an image that cannot exist, by a random digest, through CRI as the
//! kubelet does it. It fails, and must; what counts is whether the mirror was asked on the way.

use std::time::Duration;

use containerd_client::tonic::{Status, transport::Channel};
use k8s_cri::v1::{ImageSpec, PullImageRequest, image_service_client::ImageServiceClient};
use onepull_mirror::{Digest, request::PROBE_REPOSITORY};
use tokio::time::{sleep, timeout};

use super::{CheckConfig, Finding, witness::Witness};

const NAME: &str = "proof";

/// RFC 6761 keeps `.invalid` from ever being a name, so no registry of anybody's is bothered.
const NO_REGISTRY: &str = "check.onepull.invalid";

/// containerd asks its first host within milliseconds. After that the pull may hang on a registry
/// that does not answer, which is not ours to judge.
const DEADLINE: Duration = Duration::from_secs(10);

/// What the mirror was asked last may still be on its way to the witness.
const GRACE: Duration = Duration::from_millis(500);

pub(super) async fn check(
    config: &CheckConfig,
    channel: &Channel,
    agent_runs: bool,
) -> Vec<Finding> {
    let mut registries: Vec<_> = config.hosts.registries.iter().map(|r| r.authority()).collect();
    if registries.is_empty() {
        registries.push(NO_REGISTRY);
    }
    let mut findings = Vec::new();
    for registry in registries {
        let digest = random_digest();
        let image = format!("{registry}/{PROBE_REPOSITORY}@{digest}");
        let admin = agent_runs.then_some(config.admin_listen);
        let called = Witness::call(config.hosts.mirror, admin, digest).await;
        findings.push(match called {
            Ok(witness) => judge(registry, Box::pin(witnessed(channel, image, witness)).await),
            Err(error) => Finding::warning(
                NAME,
                format!("nobody could watch {}: {error}", config.hosts.mirror),
                "free the port, see above, and check again",
            ),
        });
    }
    findings
}

fn random_digest() -> Digest {
    Digest::sha256(&rand::random::<[u8; 32]>())
}

/// How the pull ended without the mirror being asked; `None` when it was asked.
async fn witnessed(channel: &Channel, image: String, mut witness: Witness) -> Option<String> {
    let mut client = ImageServiceClient::new(channel.clone());
    let image = Some(ImageSpec { image, ..Default::default() });
    let pull = client.pull_image(PullImageRequest { image, ..Default::default() });
    let ended = async {
        let words = match timeout(DEADLINE, pull).await {
            Ok(Ok(_)) => "containerd says that it has pulled an image that does not exist".into(),
            Ok(Err(status)) => said(&status),
            Err(_) => format!("containerd was still busy after {} s", DEADLINE.as_secs()),
        };
        sleep(GRACE).await;
        words
    };
    tokio::select! {
        biased;
        () = witness.asked() => None,
        words = ended => Some(words),
    }
}

/// The end of containerd's message names the cause; what stands before repeats the image's name.
fn said(status: &Status) -> String {
    let message = status.message();
    let cause = message.find("failed to do request: ").map_or(message, |at| &message[at..]);
    format!("containerd said: {cause}")
}

fn judge(registry: &str, missed: Option<String>) -> Finding {
    match missed {
        None => Finding::ok(NAME, format!("containerd asks the mirror for images of {registry}")),
        Some(words) => Finding::broken(
            NAME,
            format!("containerd does not ask the mirror for images of {registry}; {words}"),
            "mend what is named above; if nothing is, look at containerd's log for hosts.toml",
        ),
    }
}
