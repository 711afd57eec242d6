//! This controller's authority, where agents find it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use onepull_api::logins::AUTHORITIES;
use serde_json::{Map, Value, json};
use tokio::time::{Duration, sleep, timeout};
use tracing::{debug, warn};

/// Between two looks whether it is still there: somebody may delete the ConfigMap.
const LOOK: Duration = Duration::from_secs(60);

/// After a look that failed.
const SOON: Duration = Duration::from_secs(2);

/// For one question to the API server.
const LIMIT: Duration = Duration::from_secs(10);

/// Authorities that are kept. Those of controllers that died stay until there are more; one of a
/// controller that lives comes back with its next look.
const MOST: usize = 16;

/// One entry of the ConfigMap.
pub(super) struct Published {
    api: Api<ConfigMap>,
    key: String,
    pem: String,
}

// === impl Published ===

impl Published {
    pub(super) fn new(client: Client, namespace: &str, identity: &str, pem: String) -> Self {
        let key = format!("{identity}.pem");
        Self { api: Api::namespaced(client, namespace), key, pem }
    }

    /// Keeps it there, for ever.
    pub(super) async fn keep(&self) {
        loop {
            let wait = match timeout(LIMIT, self.put()).await {
                Ok(Ok(())) => LOOK,
                Ok(Err(error)) => {
                    warn!(%error, "cannot write the ConfigMap {AUTHORITIES}: agents do not trust this controller");
                    SOON
                }
                Err(_) => {
                    warn!("the API server does not answer; agents do not trust this controller");
                    SOON
                }
            };
            sleep(wait).await;
        }
    }

    async fn put(&self) -> kube::Result<()> {
        let Some(there) = self.api.get_opt(AUTHORITIES).await? else {
            return self.create().await;
        };
        let data = there.data.unwrap_or_default();
        match self.changes(&data) {
            Some(changes) => self.patch(changes).await,
            None => Ok(()),
        }
    }

    /// What to write into the ConfigMap; nothing if all is well.
    fn changes(&self, data: &BTreeMap<String, String>) -> Option<Map<String, Value>> {
        if data.get(&self.key) == Some(&self.pem) {
            return None;
        }
        let others = data.keys().filter(|key| **key != self.key);
        let surplus = (data.len() + 1).saturating_sub(MOST);
        let gone = others.take(surplus).map(|key| (key.clone(), Value::Null));
        Some(gone.chain([(self.key.clone(), self.pem.clone().into())]).collect())
    }

    async fn create(&self) -> kube::Result<()> {
        let metadata = ObjectMeta { name: Some(AUTHORITIES.to_owned()), ..Default::default() };
        let data = Some(BTreeMap::from([(self.key.clone(), self.pem.clone())]));
        let object = ConfigMap { metadata, data, ..Default::default() };
        match self.api.create(&PostParams::default(), &object).await {
            // Another controller was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                self.patch(Map::from_iter([(self.key.clone(), self.pem.clone().into())])).await
            }
            created => created.map(drop),
        }
    }

    async fn patch(&self, data: Map<String, Value>) -> kube::Result<()> {
        let patch = Patch::Merge(json!({ "data": data }));
        self.api.patch(AUTHORITIES, &PatchParams::default(), &patch).await.map(drop)
    }

    /// Takes it back, as far as the API server lets.
    pub(super) async fn withdraw(&self) {
        let gone = self.patch(Map::from_iter([(self.key.clone(), Value::Null)]));
        match timeout(LIMIT, gone).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "the authority stays in the ConfigMap"),
            Err(_) => debug!("the authority stays in the ConfigMap"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn dead_controllers_make_room_and_what_is_there_is_not_written_again() {
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = Client::try_from(config).unwrap();
        let own = Published::new(client, "onepull-system", "me", "PEM".into());
        let entry = |number: usize| (format!("c{number:02}.pem"), "other".to_owned());
        let mut data: BTreeMap<_, _> = (0..MOST).map(entry).collect();
        let changes = own.changes(&data).unwrap();
        assert_eq!(changes.len(), 2);
        assert_eq!(changes["c00.pem"], Value::Null);
        assert_eq!(changes["me.pem"], "PEM");
        data.remove("c00.pem");
        data.insert("me.pem".into(), "PEM".into());
        assert_eq!(own.changes(&data), None);
        data.insert("me.pem".into(), "of an earlier process".into());
        assert_eq!(own.changes(&data).unwrap()["me.pem"], "PEM");
    }
}
