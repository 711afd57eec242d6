//! Tokens that may be used again, each only for the credential that it was given for.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use secrecy::ExposeSecret;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::Token;
use crate::{Credential, ImageRef, Login, transport::Authorization};

/// Tokens that are kept: the repositories of a large cluster, some MiB at worst.
const MOST: usize = 1024;

/// A token is not used in its last seconds: it has to live until the registry looks at it.
const MARGIN: Duration = Duration::from_secs(10);

/// Whose token for what. Two namespaces with different secrets never share one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    host: String,
    repository: String,
    /// Instead of the credential itself, which need not be here.
    credential: Option<[u8; 32]>,
}

/// The tokens, bounded in number.
#[derive(Default)]
pub(crate) struct Tokens {
    kept: Mutex<HashMap<Key, (Authorization, Instant)>>,
}

// === impl Key ===

impl Key {
    pub(crate) fn new(image: &ImageRef, credential: Option<&Credential>) -> Self {
        Self {
            host: image.host().to_owned(),
            repository: image.repository().to_owned(),
            credential: credential.map(|one| fingerprint(one.login())),
        }
    }
}

/// Parts are told apart by their lengths.
fn fingerprint(login: &Login) -> [u8; 32] {
    let (kind, parts) = match login {
        Login::Password { user, password } => {
            ("password", [user.expose_secret(), password.expose_secret()])
        }
        Login::IdentityToken(token) => ("token", [token.expose_secret(), ""]),
    };
    let mut hash = Sha256::new_with_prefix(kind);
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

// === impl Tokens ===

impl Tokens {
    /// A token that lives yet.
    pub(crate) fn get(&self, key: &Key, now: Instant) -> Option<Authorization> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (authorization, end) = kept.get(key)?;
        (*end > now).then(|| authorization.clone())
    }

    /// Keeps a token, for which the one that would expire first may have to go.
    pub(crate) fn put(&self, key: Key, token: Token, now: Instant) {
        let end = now + token.life.saturating_sub(MARGIN);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (_, end)| *end > now);
        if kept.len() >= MOST {
            let first = kept.iter().min_by_key(|(_, (_, end))| *end).map(|(key, _)| key.clone());
            first.and_then(|first| kept.remove(&first));
        }
        kept.insert(key, (token.authorization, end));
    }

    /// Forgets one that the registry refused.
    pub(crate) fn remove(&self, key: &Key) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Tokens").field("kept", &kept).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Credentials;

    fn key(image: &str, password: Option<&str>) -> Key {
        let mut credentials = Credentials::default();
        if let Some(password) = password {
            let entry = format!(r#"{{"username":"u","password":"{password}"}}"#);
            let json = format!(r#"{{"auths":{{"r.example":{entry}}}}}"#);
            credentials.add("s", json.as_bytes()).unwrap();
        }
        let image = image.parse().unwrap();
        Key::new(&image, credentials.matching(&image).first().copied())
    }

    fn token(text: &str, seconds: u64) -> Token {
        let authorization = Authorization::new(text).unwrap();
        Token { authorization, life: Duration::from_secs(seconds) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_for_one_credential_and_one_repository_until_shortly_before_its_end() {
        let (tokens, start) = (Tokens::default(), Instant::now());
        let own = key("r.example/a", Some("one"));
        tokens.put(own.clone(), token("t", 60), start);
        let known =
            |key: &Key, after| tokens.get(key, start + Duration::from_secs(after)).is_some();
        assert!(known(&own, 0) && known(&own, 49) && !known(&own, 50));
        assert!(known(&key("r.example/a:other", Some("one")), 0));
        assert!(!known(&key("r.example/a", Some("other")), 0));
        assert!(!known(&key("r.example/a", None), 0));
        assert!(!known(&key("r.example/b", Some("one")), 0));
        tokens.remove(&own);
        assert!(!known(&own, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_expire_makes_room_for_another() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        let nth = |at: usize| key(&format!("r.example/a{at}"), None);
        for at in 0..=MOST {
            let life = if at == 7 { 20 } else { 100 };
            tokens.put(nth(at), token("t", life), now);
        }
        assert_eq!(tokens.kept.lock().unwrap().len(), MOST);
        assert!(tokens.get(&nth(7), now).is_none());
        assert!(tokens.get(&nth(0), now).is_some() && tokens.get(&nth(MOST), now).is_some());
    }
}
