//! Reads the pull secrets that a cache names, and no others.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use onepull_resolve::Credentials;
use tokio::time::timeout;

/// For one secret: the API server is near.
const LIMIT: Duration = Duration::from_secs(15);

/// Where a pull secret has its logins.
const DOCKER_CONFIG: &str = ".dockerconfigjson";

/// Adds the logins of one secret.
///
/// # Errors
/// A sentence that names the secret and says what to do.
pub(crate) async fn read(
    client: &Client,
    namespace: &str,
    name: &str,
    credentials: &mut Credentials,
) -> Result<(), String> {
    let missing = |what: &str| {
        format!(
            "pull secret {namespace}/{name} {what}: create it with `kubectl create secret \
             docker-registry`, or take it out of imagePullSecrets"
        )
    };
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = timeout(LIMIT, api.get_opt(name))
        .await
        .map_err(|_| missing("cannot be read in time"))?
        .map_err(|error| missing(&format!("cannot be read ({error})")))?
        .ok_or_else(|| missing("does not exist"))?;
    let config = secret.data.as_ref().and_then(|data| data.get(DOCKER_CONFIG));
    let config = config.ok_or_else(|| missing("has no .dockerconfigjson"))?;
    credentials.add(name, &config.0).map_err(|error| error.to_string())
}
