//! A runtime in memory, for tests and for nodes without containerd.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use onepull_mirror::Digest;
use onepull_resolve::{ExposeSecret, Login};

use super::{Removal, Runtime, RuntimeError, Unpack};

/// Pulls succeed at once, except where a failure was scripted.
#[derive(Debug, Default)]
pub struct FakeRuntime {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, Digest>,
    failures: VecDeque<String>,
    pulls: Vec<String>,
    users: Vec<Option<String>>,
    used: BTreeSet<Digest>,
}

// === impl FakeRuntime ===

impl FakeRuntime {
    /// Lets the next pull that has no failure of its own yet fail for this reason.
    pub fn fail_pull(&self, reason: impl Into<String>) {
        self.lock().failures.push_back(reason.into());
    }

    /// Every pull so far, also those that failed: `repository@digest`.
    pub fn pulls(&self) -> Vec<String> {
        self.lock().pulls.clone()
    }

    /// As whom each pull asked: the user's name, nobody, or a token.
    pub fn users(&self) -> Vec<Option<String>> {
        self.lock().users.clone()
    }

    /// Everything that is listed, by name.
    pub fn names(&self) -> BTreeMap<String, Digest> {
        self.lock().names.clone()
    }

    /// Forgets a name, as when somebody removes the image.
    pub fn forget(&self, name: &str) {
        self.lock().names.remove(name);
    }

    /// Says whether a container uses an image.
    pub fn use_image(&self, digest: Digest, is_used: bool) {
        let mut state = self.lock();
        match is_used {
            true => state.used.insert(digest),
            false => state.used.remove(&digest),
        };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the state whole, even if a panic poisoned the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Runtime for FakeRuntime {
    async fn pull(
        &self,
        repository: &str,
        digest: &Digest,
        login: Option<&Login>,
    ) -> Result<(), RuntimeError> {
        let image = format!("{repository}@{digest}");
        let mut state = self.lock();
        state.pulls.push(image.clone());
        state.users.push(login.map(|login| match login {
            Login::Password { user, .. } => user.expose_secret().to_owned(),
            Login::IdentityToken(_) => "a token".to_owned(),
        }));
        if let Some(reason) = state.failures.pop_front() {
            return Err(RuntimeError::Pull { image, reason });
        }
        state.names.insert(image, *digest);
        Ok(())
    }

    async fn unpack(&self, _: &Unpack) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn find(&self, name: &str) -> Result<Option<Digest>, RuntimeError> {
        Ok(self.lock().names.get(name).copied())
    }

    async fn tag(&self, name: &str, digest: &Digest) -> Result<(), RuntimeError> {
        let mut state = self.lock();
        let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
        let pulled = format!("{repository}@{digest}");
        if !state.names.contains_key(&pulled) {
            let reason = format!("{pulled} was never pulled");
            return Err(RuntimeError::Unavailable { step: "name an image", reason });
        }
        state.names.insert(name.to_owned(), *digest);
        Ok(())
    }

    async fn remove(&self, names: &[String], digest: &Digest) -> Result<Removal, RuntimeError> {
        let mut state = self.lock();
        let is_unwanted = |name: &String, of: &Digest| of == digest && names.contains(name);
        let is_there = state.names.iter().any(|(name, of)| is_unwanted(name, of));
        if is_there && state.used.contains(digest) {
            return Ok(Removal::InUse);
        }
        state.names.retain(|name, of| !is_unwanted(name, of));
        Ok(Removal::Gone)
    }
}
