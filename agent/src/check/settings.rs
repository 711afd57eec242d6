//! The two settings of containerd that decide whether onepull works.
//!
//! 1.6 and 1.7 tell them through CRI's verbose status. 2.x no longer does (seen, 2.2.9), so its
//! configuration file is read, if this process can see it.

use std::time::Duration;

use containerd_client::tonic::{Status, transport::Channel};
use k8s_cri::v1::{StatusRequest, runtime_service_client::RuntimeServiceClient};
use serde_json::Value;
use thiserror::Error;
use tokio::time::timeout;

use super::{
    config_file::{self, Found},
    process::Process,
};
use crate::containerd::Version;

/// CRI answers from memory; while it starts it may take a few seconds.
const DEADLINE: Duration = Duration::from_secs(5);

/// From this release on, an unset `config_path` means these two folders (read, 2.0 to 2.2).
const DEFAULT_SINCE: Version = Version(2, 2);
const DEFAULT_PATH: &str = "/etc/containerd/certs.d:/etc/docker/certs.d";

/// From this release on, pulls go through the transfer service (containerd's own change log).
const TRANSFER_SINCE: Version = Version(2, 1);

/// What containerd runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// Where it looks for hosts files, a list separated by `:`, empty when nowhere.
    pub(super) config_path: Known<String>,
    /// Whether its configuration has mirrors of the old form, as far as is known.
    pub(super) has_mirrors: bool,
    /// Whether it drops layers once they are unpacked.
    pub(super) discards_layers: Known<bool>,
    /// How it pulls, as far as is known.
    pub(super) pulls: Pulls,
    /// The table in its configuration file that `config_path` goes into.
    pub(super) table: &'static str,
}

/// How containerd pulls: it decides in how many folders hosts files are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulls {
    /// By itself: it looks through all folders of a list.
    Itself,
    /// By itself only because it drops layers once they are unpacked.
    ItselfToDropLayers,
    /// Through its transfer service, which takes a list for the name of one folder (read, 2.1.4;
    /// seen, 2.2.9; containerd's issue 12808).
    ByTransfer,
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

/// What CRI tells of its configuration; `Null` for nothing.
pub(super) async fn told(channel: &Channel) -> Result<Value, CriError> {
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
    Ok(config.unwrap_or(Value::Null))
}

// === impl Settings ===

impl Settings {
    /// What CRI `told` of them; where that is nothing, what is in the files of the `process`.
    pub(super) fn of(told: &Value, process: &Known<Process>, version: Option<Version>) -> Self {
        let read = || process.as_ref().map_err(Clone::clone).and_then(config_file::read);
        Self::told(told).unwrap_or_else(|| Self::read(read(), version))
    }

    /// What 1.x tells.
    fn told(config: &Value) -> Option<Self> {
        let path = config.pointer("/registry/configPath")?.as_str()?;
        let mirrors = config.pointer("/registry/mirrors").and_then(Value::as_object);
        let discards = config.pointer("/containerd/discardUnpackedLayers").and_then(Value::as_bool);
        Some(Self {
            config_path: Ok(path.to_owned()),
            has_mirrors: mirrors.is_some_and(|mirrors| !mirrors.is_empty()),
            discards_layers: discards.ok_or_else(|| "containerd does not tell it".to_owned()),
            pulls: Pulls::Itself,
            table: "[plugins.\"io.containerd.grpc.v1.cri\".registry]",
        })
    }

    fn read(file: Known<Found>, version: Option<Version>) -> Self {
        let since = |first| version.is_none_or(|version| version >= first);
        let path = |found: &Found| match &found.config_path {
            Some(path) if !path.is_empty() => path.clone(),
            _ if since(DEFAULT_SINCE) && !found.has_mirrors => DEFAULT_PATH.to_owned(),
            _ => String::new(),
        };
        let found = file.as_ref();
        Self {
            config_path: found.map(path).map_err(Clone::clone),
            has_mirrors: found.is_ok_and(|found| found.has_mirrors),
            discards_layers: found.map(Found::discards).map_err(Clone::clone),
            pulls: match found {
                Ok(found) if since(TRANSFER_SINCE) => found.pulls(),
                _ => Pulls::Itself,
            },
            table: "[plugins.\"io.containerd.cri.v1.images\".registry]",
        }
    }

    /// The folders of `config_path`, none where it is not known.
    pub(super) fn folders(&self) -> impl Iterator<Item = &str> {
        let list = self.config_path.as_deref().unwrap_or_default();
        list.split(':').filter(|folder| !folder.is_empty())
    }
}

// === impl Found ===

impl Found {
    fn discards(&self) -> bool {
        self.discards_layers.unwrap_or(false)
    }

    fn pulls(&self) -> Pulls {
        match (self.pulls_itself, self.discards()) {
            (true, _) => Pulls::Itself,
            (false, true) => Pulls::ItselfToDropLayers,
            (false, false) => Pulls::ByTransfer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_1_6_tells_its_settings() {
        let config = serde_json::json!({
            "registry": {"configPath": "/etc/containerd/certs.d", "mirrors": null},
            "containerd": {"discardUnpackedLayers": true},
        });
        let settings = Settings::told(&config).unwrap();
        assert_eq!(settings.config_path, Ok("/etc/containerd/certs.d".to_owned()));
        assert_eq!(settings.discards_layers, Ok(true));
        assert!(!settings.has_mirrors);
    }

    #[test]
    fn release_2_2_tells_nothing_and_has_a_default() {
        assert_eq!(Settings::told(&serde_json::json!({"containerd": {}})), None);
        let path = |found: &Found, version| {
            Settings::read(Ok(found.clone()), Some(version)).config_path.unwrap()
        };
        let found = Found::default();
        assert_eq!(path(&found, DEFAULT_SINCE), DEFAULT_PATH);
        assert_eq!(path(&found, TRANSFER_SINCE), "");
        let mirrors = Found { has_mirrors: true, ..found };
        assert_eq!(path(&mirrors, DEFAULT_SINCE), "");
    }

    #[test]
    fn pulls_go_through_the_transfer_service_unless_a_setting_keeps_them_from_it() {
        let pulls = |found: Found, version| Settings::read(Ok(found), version).pulls;
        let plain = Found::default;
        let dropping = || Found { discards_layers: Some(true), ..plain() };
        let told = || Found { pulls_itself: true, ..dropping() };
        for (found, version, expected) in [
            (plain(), Some(Version(2, 0)), Pulls::Itself),
            (plain(), Some(TRANSFER_SINCE), Pulls::ByTransfer),
            (plain(), None, Pulls::ByTransfer),
            (dropping(), Some(TRANSFER_SINCE), Pulls::ItselfToDropLayers),
            (told(), Some(TRANSFER_SINCE), Pulls::Itself),
        ] {
            assert_eq!(pulls(found.clone(), version), expected, "{found:?} {version:?}");
        }
        let unseen = Settings::read(Err("hidden".into()), Some(TRANSFER_SINCE));
        assert_eq!((unseen.pulls, unseen.discards_layers), (Pulls::Itself, Err("hidden".into())));
    }
}
