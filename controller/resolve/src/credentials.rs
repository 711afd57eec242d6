//! Pull secrets, and which of their logins are for an image.
//!
//! Matching is the kubelet's: a login is for a host, perhaps with wildcards, a port and a path;
//! of several that match, all are tried, those for longer names first, then in the secrets' order.

mod pattern;

use std::fmt;

use secrecy::SecretString;

use crate::{BadSecret, ImageRef, docker_config};
pub(crate) use pattern::Pattern;

/// What Docker calls the credential of Docker Hub, after the kubelet has normalised it.
const DOCKER_HUB: &str = "index.docker.io";

/// Logins that are tried for one image: whoever has more has made a mistake, and each costs the
/// registry a failed login.
const MOST_TRIED: usize = 8;

/// The logins of an image's pull secrets.
#[derive(Clone, Default)]
pub struct Credentials {
    /// In the order in which they are tried.
    sorted: Vec<(Pattern, Credential)>,
}

/// One login, and where it is from.
#[derive(Clone)]
pub struct Credential {
    source: String,
    login: Login,
}

/// How to say who asks.
#[derive(Clone)]
pub enum Login {
    /// By name and password.
    Password {
        /// The name.
        user: SecretString,
        /// The password.
        password: SecretString,
    },
    /// By a token that an identity provider gave out, to be exchanged for one of the registry.
    IdentityToken(SecretString),
}

// === impl Credentials ===

impl Credentials {
    /// Adds the content of `.dockerconfigjson` of a pull secret; its name is for messages.
    ///
    /// # Errors
    /// When it cannot be read; the others are as they were.
    pub fn add(&mut self, secret: &str, dockerconfigjson: &[u8]) -> Result<(), BadSecret> {
        for (registry, login) in docker_config::parse(secret, dockerconfigjson)? {
            let credential = Credential { source: format!("secret {secret}"), login };
            self.sorted.push((Pattern::new(&registry), credential));
        }
        self.sort();
        Ok(())
    }

    /// Adds a login that did not come by a pull secret; messages call its source so: `plugin NAME`;
    /// `registry` may have wildcards and a path, as a plugin's answer may.
    pub fn add_login(&mut self, source: &str, registry: &str, login: Login) {
        let credential = Credential { source: source.to_owned(), login };
        self.sorted.push((Pattern::new(registry), credential));
        self.sort();
    }

    /// Stable, so logins for one name stay in the order of the secrets.
    fn sort(&mut self) {
        self.sorted.sort_by(|(a, _), (b, _)| b.key().cmp(a.key()));
    }

    /// The logins to try for an image, in this order; none means to ask as nobody.
    pub fn matching(&self, image: &ImageRef) -> Vec<&Credential> {
        let name = image.name();
        let all = |matches: &dyn Fn(&Pattern) -> bool| {
            let found = self.sorted.iter().filter(|(pattern, _)| matches(pattern));
            found.map(|(_, credential)| credential).take(MOST_TRIED).collect::<Vec<_>>()
        };
        let found = all(&|pattern| pattern.matches(&name));
        if found.is_empty() && image.is_on_docker_hub() {
            return all(&|pattern| pattern.key() == DOCKER_HUB);
        }
        found
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.sorted.iter().map(|(pattern, one)| (pattern.key(), &one.source));
        f.debug_map().entries(shown).finish()
    }
}

// === impl Credential ===

impl Credential {
    /// Where it is from: `secret NAME`, or what else was said.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The login itself.
    pub fn login(&self) -> &Login {
        &self.login
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("source", &self.source).finish_non_exhaustive()
    }
}

// === impl Login ===

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password(redacted)",
            Self::IdentityToken(_) => "IdentityToken(redacted)",
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    /// A secret with a login for each registry, whose user says which.
    fn secret(name: &str, registries: &[&str]) -> (String, String) {
        let entry = |registry: &&str| format!(r#""{registry}":{{"username":"{name} {registry}"}}"#);
        let entries: Vec<_> = registries.iter().map(entry).collect();
        (name.to_owned(), format!(r#"{{"auths":{{{}}}}}"#, entries.join(",")))
    }

    fn tried(secrets: &[(String, String)], image: &str) -> Vec<String> {
        let mut credentials = Credentials::default();
        for (name, json) in secrets {
            credentials.add(name, json.as_bytes()).unwrap();
        }
        let user = |credential: &&Credential| match credential.login() {
            Login::Password { user, .. } => user.expose_secret().to_owned(),
            Login::IdentityToken(_) => String::new(),
        };
        credentials.matching(&image.parse().unwrap()).iter().map(user).collect()
    }

    #[test]
    fn a_login_for_a_longer_name_is_tried_first_and_then_the_secrets_in_order() {
        let a = secret("a", &["r.example", "other.example"]);
        let b = secret("b", &["r.example/team", "*.example", "https://r.example"]);
        assert_eq!(
            tried(&[a, b], "r.example/team/app"),
            ["b r.example/team", "a r.example", "b https://r.example", "b *.example"],
        );
    }

    #[test]
    fn docker_hub_has_several_names() {
        for key in
            ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "docker.io/library"]
        {
            let found = tried(&[secret("a", &[key])], "nginx");
            assert_eq!(found, [format!("a {key}")]);
        }
        let both = secret("a", &["https://index.docker.io/v1/", "docker.io"]);
        assert_eq!(tried(&[both], "nginx"), ["a docker.io"]);
        let hub = secret("a", &["https://index.docker.io/v1/"]);
        assert!(tried(&[hub], "r.example/app").is_empty());
    }

    #[test]
    fn no_more_logins_are_tried_than_is_reasonable() {
        let secrets: Vec<_> = (0..20).map(|at| secret(&at.to_string(), &["r.example"])).collect();
        assert_eq!(tried(&secrets, "r.example/app").len(), MOST_TRIED);
    }

    #[test]
    fn nothing_of_a_login_is_in_its_debug_output() {
        let mut credentials = Credentials::default();
        let json = br#"{"auths":{"r.example":{"username":"alice","password":"hunter2"}}}"#;
        credentials.add("creds", json).unwrap();
        let one = credentials.matching(&"r.example/a".parse().unwrap())[0].clone();
        let shown = format!("{credentials:?} {one:?} {:?} {:#?}", one.login(), one);
        assert!(!shown.contains("hunter2") && !shown.contains("alice"), "{shown}");
        assert!(shown.contains("creds"), "{shown}");
    }
}
