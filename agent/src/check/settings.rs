//! The two settings of containerd that decide whether onepull works.
//!
//! 1.6 and 1.7 tell them through CRI's verbose status. 2.x no longer does (seen, 2.2.9), so its
//! configuration file is read, if this process can see it.

use std::{path::Path, time::Duration};

use containerd_client::tonic::{Status, transport::Channel};
use k8s_cri::v1::{StatusRequest, runtime_service_client::RuntimeServiceClient};
use serde_json::Value;
use thiserror::Error;
use tokio::time::timeout;

use super::{config_file, version::Version};

/// CRI answers from memory; while it starts it may take a few seconds.
const DEADLINE: Duration = Duration::from_secs(5);

/// From this release on, an unset `config_path` means these two folders (read, 2.0 to 2.2).
const DEFAULT_SINCE: Version = Version(2, 2);
const DEFAULT_PATH: &str = "/etc/containerd/certs.d:/etc/docker/certs.d";

/// What containerd runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// Where it looks for hosts files, a list separated by `:`, empty when nowhere.
    pub(super) config_path: Known<String>,
    /// Whether it drops layers once they are unpacked.
    pub(super) discards_layers: Known<bool>,
    /// The table in its configuration file that `config_path` goes into.
    pub(super) table: &'static str,
}

/// A setting, or why it is not known.
pub(super) type Known<T> = Result<T, String>;

/// Why CRI could not be asked.
#[derive(Debug, Error)]
pub(super) enum CriError {
    #[error(
        "containerd's CRI plugin is off: take \"cri\" out of disabled_plugins in its configuration \
         and restart it"
    )]
    Off,
    #[error("containerd's CRI plugin does not answer: look at containerd's log")]
    Failed(#[source] Box<Status>),
    #[error("containerd's CRI plugin did not answer in time: look at containerd's log")]
    TimedOut,
}

// === impl Settings ===

impl Settings {
    pub(super) async fn ask(
        channel: &Channel,
        socket: &Path,
        version: Option<Version>,
    ) -> Result<Self, CriError> {
        let mut client = RuntimeServiceClient::new(channel.clone());
        let call = client.status(StatusRequest { verbose: true });
        let info = match timeout(DEADLINE, call).await {
            Ok(Ok(answer)) => answer.into_inner().info,
            Ok(Err(status)) if status.code() == containerd_client::tonic::Code::Unimplemented => {
                return Err(CriError::Off);
            }
            Ok(Err(status)) => return Err(CriError::Failed(Box::new(status))),
            Err(_) => return Err(CriError::TimedOut),
        };
        let config = info.get("config").and_then(|text| serde_json::from_str(text).ok());
        if let Some(settings) = config.as_ref().and_then(Self::told) {
            return Ok(settings);
        }
        let read = config_file::read(socket).await;
        Ok(Self::read(read, version.is_none_or(|version| version >= DEFAULT_SINCE)))
    }

    /// What 1.x tells.
    fn told(config: &Value) -> Option<Self> {
        let path = config.pointer("/registry/configPath")?.as_str()?;
        let discards = config.pointer("/containerd/discardUnpackedLayers").and_then(Value::as_bool);
        Some(Self {
            config_path: Ok(path.to_owned()),
            discards_layers: discards.ok_or_else(|| "containerd does not tell it".to_owned()),
            table: "[plugins.\"io.containerd.grpc.v1.cri\".registry]",
        })
    }

    fn read(file: Known<config_file::Found>, has_default: bool) -> Self {
        let path = |found: config_file::Found| match found.config_path {
            Some(path) if !path.is_empty() => path,
            _ if has_default && !found.has_mirrors => DEFAULT_PATH.to_owned(),
            _ => String::new(),
        };
        Self {
            config_path: file.clone().map(path),
            discards_layers: file.map(|found| found.discards_layers),
            table: "[plugins.\"io.containerd.cri.v1.images\".registry]",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_1_6_tells_its_settings() {
        let config = serde_json::json!({
            "registry": {"configPath": "/etc/containerd/certs.d"},
            "containerd": {"discardUnpackedLayers": true},
        });
        let settings = Settings::told(&config).unwrap();
        assert_eq!(settings.config_path, Ok("/etc/containerd/certs.d".to_owned()));
        assert_eq!(settings.discards_layers, Ok(true));
    }

    #[test]
    fn release_2_2_tells_nothing_and_has_a_default() {
        assert_eq!(Settings::told(&serde_json::json!({"containerd": {}})), None);
        let found = config_file::Found::default();
        let path = |found: &config_file::Found, since| {
            Settings::read(Ok(found.clone()), since).config_path.unwrap()
        };
        assert_eq!(path(&found, true), DEFAULT_PATH);
        assert_eq!(path(&found, false), "");
        let mirrors = config_file::Found { has_mirrors: true, ..found };
        assert_eq!(path(&mirrors, true), "");
    }
}
