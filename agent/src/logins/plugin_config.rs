//! `CredentialProviderConfig`, the file that the kubelet's `--image-credential-provider-config` names.

use onepull_resolve::ImageRef;
use serde::Deserialize;

use crate::yaml::place;

/// Versions of the file.
const VERSIONS: [&str; 2] = ["kubelet.config.k8s.io/v1", "kubelet.config.k8s.io/v1beta1"];

/// The version in which plugins are spoken to.
pub(super) const PROTOCOL: &str = "credentialprovider.kubelet.k8s.io/v1";

/// All plugins.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    api_version: String,
    kind: String,
    #[serde(default)]
    providers: Vec<Plugin>,
}

/// One plugin.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plugin {
    /// The file in the folder of programs.
    pub(super) name: String,
    pub(super) match_images: Vec<String>,
    api_version: String,
    #[serde(default)]
    pub(super) args: Vec<String>,
    #[serde(default)]
    pub(super) env: Vec<Variable>,
    token_attributes: Option<serde::de::IgnoredAny>,
}

/// A variable of its environment.
#[derive(Debug, Deserialize)]
pub(super) struct Variable {
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: String,
}

// === impl Plugin ===

impl Plugin {
    /// Whether it may know a login for an image.
    pub(super) fn is_for(&self, image: &ImageRef) -> bool {
        self.match_images.iter().any(|pattern| image.is_for(pattern))
    }

    fn problem(&self) -> Option<String> {
        let Self { name, api_version, .. } = self;
        if name.is_empty() || name.contains(['/', ' ']) || [".", ".."].contains(&name.as_str()) {
            return Some(format!("{name:?} is no name of a file"));
        }
        if api_version != PROTOCOL {
            return Some(format!("{name} speaks {api_version}, and this agent {PROTOCOL} alone"));
        }
        self.token_attributes.as_ref().map(|_| {
            format!("{name} wants the token of a pod's service account, and here is no pod")
        })
    }
}

/// The plugins that can be used, and what is wrong with the others.
///
/// # Errors
/// When the file as a whole makes no sense: where, and nothing of what is in it, since its variables may be
/// secrets.
pub(super) fn parse(text: &str) -> Result<(Vec<Plugin>, Option<String>), String> {
    let config: Config = serde_saphyr::from_str(text).map_err(|error| {
        format!("it does not read as CredentialProviderConfig ({})", place(&error))
    })?;
    if config.kind != "CredentialProviderConfig" || !VERSIONS.contains(&&*config.api_version) {
        let Config { kind, api_version, .. } = config;
        return Err(format!("it is {kind} {api_version}, and no CredentialProviderConfig v1"));
    }
    let mut problem = None;
    let mut plugins = config.providers;
    plugins.retain(|plugin| {
        let wrong = plugin.problem();
        let is_usable = wrong.is_none();
        problem = problem.take().or(wrong);
        is_usable
    });
    Ok((plugins, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: ecr-credential-provider
  matchImages: ["*.dkr.ecr.*.amazonaws.com", "r.example:5000/team"]
  defaultCacheDuration: 12h
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  args: [get-credentials]
  env: [{name: AWS_PROFILE, value: node}]
- {name: ../evil, matchImages: ["*"], defaultCacheDuration: 1m, apiVersion: credentialprovider.kubelet.k8s.io/v1}
- {name: old, matchImages: ["*"], defaultCacheDuration: 1m, apiVersion: credentialprovider.kubelet.k8s.io/v1alpha1}
"#;

    #[test]
    fn the_kubelets_file_is_read_and_one_bad_plugin_keeps_nobody() {
        let (plugins, problem) = parse(CONFIG).unwrap();
        assert_eq!(plugins.len(), 1);
        assert_eq!(plugins[0].args, ["get-credentials"]);
        assert_eq!(plugins[0].env[0].value, "node");
        assert!(problem.unwrap().contains("../evil"));
        let is_for = |image: &str| plugins[0].is_for(&image.parse().unwrap());
        assert!(is_for("1.dkr.ecr.eu-west-1.amazonaws.com/app:v1"));
        assert!(is_for("r.example:5000/team/app"));
        assert!(!is_for("r.example:5000/other/app"));
        assert!(!is_for("nginx"));
    }

    #[test]
    fn another_file_is_named() {
        let said = parse("apiVersion: v1\nkind: Pod\n").unwrap_err();
        assert!(said.contains("Pod v1"), "{said}");
        assert!(parse("[").is_err());
    }

    #[test]
    fn what_makes_no_sense_is_told_by_its_place_and_never_quoted() {
        let secret = |entry: &str| {
            let text = CONFIG.replace("env: [{name: AWS_PROFILE, value: node}]", entry);
            parse(&text).unwrap_err()
        };
        for entry in [
            "env:\n  - {name: TOKEN, value: hunter2}\n  - {value: x}",
            "env: [{name: TOKEN, value: hunter2}, {name: [x]}]",
            "env: hunter2",
            "env: [{name: TOKEN, value: {hunter2: x}}]",
            "env: [hunter2]",
            "env: [{name: TOKEN, value: hunter2, value: hunter2}]",
            "env: [{name: TOKEN, value: *hunter2}]",
            "env: [{name: TOKEN, value: !hunter2 x}, {]",
            "env: [{name: TOKEN, value: \"hunter2\\q\"}]",
        ] {
            let said = secret(entry);
            assert!(!said.contains("hunter2"), "{entry}: {said}");
            assert!(said.contains("line ") && !said.contains('\n'), "{entry}: {said}");
        }
    }

    #[test]
    fn a_variable_without_a_value_is_empty_as_the_kubelet_has_it() {
        let text = CONFIG.replace(", value: node", "");
        let (plugins, _) = parse(&text).unwrap();
        assert_eq!(plugins[0].env[0].value, "");
    }
}
