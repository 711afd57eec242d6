//! Runs the kubelet's credential plugins (exec protocol, `credentialprovider.kubelet.k8s.io/v1`): the image's
//! name on standard input, logins on standard output.

use std::{collections::BTreeMap, process::Stdio};

use onepull_resolve::{Credentials, ImageRef, Login};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::{Duration, timeout},
};

use super::{
    PluginFiles,
    plugin_config::{PROTOCOL, Plugin, parse},
};

/// For one plugin; it asks a server of its cloud. The kubelet gives it a minute.
const LIMIT: Duration = Duration::from_secs(30);

/// Largest answer.
const MOST: u64 = 1024 * 1024;

/// What a plugin is asked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    api_version: &'a str,
    kind: &'a str,
    image: &'a str,
}

/// What it answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    api_version: String,
    kind: String,
    #[serde(default)]
    auth: Option<BTreeMap<String, Auth>>,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

/// The plugins of this node. Their configuration is read for each pull, as it may change.
pub(crate) struct Plugins {
    files: PluginFiles,
}

// === impl Plugins ===

impl Plugins {
    pub(crate) fn new(files: PluginFiles) -> Self {
        Self { files }
    }

    /// Adds what plugins know of an image.
    ///
    /// # Errors
    /// A sentence about the first that failed, when all others have been asked.
    pub(crate) async fn ask(
        &self,
        image: &ImageRef,
        credentials: &mut Credentials,
    ) -> Result<(), String> {
        let (plugins, mut problem) = self.read().await?;
        for plugin in plugins.iter().filter(|plugin| plugin.is_for(image)) {
            match self.run(plugin, image).await {
                Ok(logins) => {
                    let source = format!("plugin {}", plugin.name);
                    for (registry, login) in logins {
                        credentials.add_login(&source, &registry, login);
                    }
                }
                Err(error) => {
                    let said = format!("credential plugin {}: {error}", plugin.name);
                    problem = problem.or(Some(said));
                }
            }
        }
        problem.map_or(Ok(()), Err)
    }

    /// For which images there are plugins.
    ///
    /// # Errors
    /// A sentence, when the configuration cannot be used.
    pub(super) async fn patterns(&self) -> Result<Vec<String>, String> {
        let (plugins, _) = self.read().await?;
        Ok(plugins.into_iter().flat_map(|plugin| plugin.match_images).collect())
    }

    /// The plugins, and what is wrong with others.
    async fn read(&self) -> Result<(Vec<Plugin>, Option<String>), String> {
        let file = self.files.config.display();
        let text = tokio::fs::read_to_string(&self.files.config).await;
        let text = text.map_err(|error| format!("cannot read {file}: {error}"))?;
        let (plugins, problem) =
            parse(&text).map_err(|error| format!("{file} makes no sense: {error}"))?;
        Ok((plugins, problem.map(|problem| format!("{file}: {problem}"))))
    }

    async fn run(&self, plugin: &Plugin, image: &ImageRef) -> Result<Vec<(String, Login)>, String> {
        let mut command = Command::new(self.files.programs.join(&plugin.name));
        command.args(&plugin.args).kill_on_drop(true);
        command.envs(plugin.env.iter().map(|variable| (&variable.name, &variable.value)));
        // What it complains about goes to the agent's log, where its operator looks.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let answer = timeout(LIMIT, converse(command, &image.name())).await;
        let answer = answer.map_err(|_| format!("no answer within {} s", LIMIT.as_secs()))??;
        logins(&answer)
    }
}

async fn converse(mut command: Command, image: &str) -> Result<Vec<u8>, String> {
    let mut child = command.spawn().map_err(|error| format!("cannot be run: {error}"))?;
    let request = Request { api_version: PROTOCOL, kind: "CredentialProviderRequest", image };
    let request = serde_json::to_vec(&request).map_err(|error| error.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read knows what it knows; its answer counts.
        let _ = stdin.write_all(&request).await;
    }
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let read = stdout.take(MOST).read_to_end(&mut answer).await;
        read.map_err(|error| format!("cannot be read: {error}"))?;
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    match status.success() {
        true => Ok(answer),
        false => Err(format!("it ended with {status}; the agent's log has what it said")),
    }
}

/// Says where an answer is wrong, and nothing of what is in it.
fn logins(answer: &[u8]) -> Result<Vec<(String, Login)>, String> {
    let response: Response = serde_json::from_slice(answer).map_err(|error| {
        format!("its answer is no CredentialProviderResponse (column {})", error.column())
    })?;
    if response.kind != "CredentialProviderResponse" || response.api_version != PROTOCOL {
        return Err(format!("its answer is no CredentialProviderResponse of {PROTOCOL}"));
    }
    let login = |(registry, Auth { username, password })| {
        (registry, Login::Password { user: username.into(), password: password.into() })
    };
    Ok(response.auth.into_iter().flatten().map(login).collect())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path};

    use onepull_resolve::{Credential, ExposeSecret};

    use super::*;

    /// Says the image that it was asked for as the user, and its variable as the password.
    const PLUGIN: &str = r#"#!/bin/sh
image=$(sed 's/.*"image":"\([^"]*\)".*/\1/')
printf '{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse",'
printf '"cacheKeyType":"Image","cacheDuration":"1h","auth":{"*.example":{"username":"%s","password":"%s%s"}}}' \
  "$image" "$SALT" "$1"
"#;

    fn program(folder: &Path, name: &str, text: &str) {
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn plugins(folder: &Path, names: &[&str]) -> Plugins {
        let entry = |name: &&str| {
            format!(
                "- {{name: {name}, matchImages: ['*.example'], defaultCacheDuration: 1h, args: [b], \
                 env: [{{name: SALT, value: a}}], apiVersion: credentialprovider.kubelet.k8s.io/v1}}\n"
            )
        };
        let entries: String = names.iter().map(entry).collect();
        let head = "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\n";
        let config = folder.join("config.yaml");
        fs::write(&config, format!("{head}providers:\n{entries}")).unwrap();
        Plugins::new(PluginFiles { config, programs: folder.to_owned() })
    }

    fn shown(credential: &Credential) -> String {
        match credential.login() {
            Login::Password { user, password } => {
                format!("{} {}", user.expose_secret(), password.expose_secret())
            }
            Login::IdentityToken(_) => String::new(),
        }
    }

    #[tokio::test]
    async fn a_plugin_is_asked_for_images_that_it_is_for_and_one_that_fails_keeps_no_other() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), "good", PLUGIN);
        program(folder.path(), "bad", "#!/bin/sh\nexit 3\n");
        program(folder.path(), "chatty", "#!/bin/sh\necho hunter2\n");
        let plugins = plugins(folder.path(), &["bad", "chatty", "missing", "good"]);
        let image = "r.example/team/app:v1".parse().unwrap();
        let mut credentials = Credentials::default();
        let problem = plugins.ask(&image, &mut credentials).await.unwrap_err();
        assert!(problem.contains("plugin bad") && problem.contains("exit status: 3"), "{problem}");
        let found = credentials.matching(&image);
        assert_eq!(
            found.iter().map(|one| shown(one)).collect::<Vec<_>>(),
            ["r.example/team/app ab"]
        );

        let mut credentials = Credentials::default();
        let other = "r.other/app:v1".parse().unwrap();
        plugins.ask(&other, &mut credentials).await.unwrap();
        assert!(credentials.matching(&other).is_empty());
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_not_quoted() {
        let said = logins(b"hunter2").unwrap_err();
        assert!(!said.contains("hunter2"), "{said}");
        let empty = br#"{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse"}"#;
        assert!(logins(empty).unwrap().is_empty());
    }
}
