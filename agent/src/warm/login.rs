//! A pull from a registry, with one login after the other.

use onepull_api::NodeReason;
use onepull_mirror::Digest;
use tracing::debug;

use super::obstacle::Obstacle;
use crate::{desired::ImageName, logins::Logins, runtime::Runtime};

/// Pulls as nobody if there is no login; else with each, until one is let in. As the kubelet does, it
/// does not ask as nobody when its logins are refused.
pub(super) async fn pull(
    runtime: &dyn Runtime,
    logins: &dyn Logins,
    name: &ImageName,
    digest: &Digest,
) -> Result<(), Obstacle> {
    let found = logins.of(name).await;
    let repository = name.repository();
    let mut logins = found.logins.iter();
    let mut login = logins.next();
    loop {
        let Err(error) = runtime.pull(&repository, digest, login).await else { return Ok(()) };
        let obstacle = Obstacle::from(error);
        if !may_be_refused(&obstacle) {
            return Err(obstacle);
        }
        login = logins.next();
        match login {
            Some(_) => debug!(%name, "{obstacle}; trying the next login"),
            None => return Err(with_problem(obstacle, found.problem)),
        }
    }
}

/// Registries say "not found" too of what a login may not see.
fn may_be_refused(obstacle: &Obstacle) -> bool {
    matches!(obstacle.reason(), NodeReason::CredentialRefused | NodeReason::ImageNotFound)
}

/// A refusal, where there may be a login that nobody could be asked for.
fn with_problem(obstacle: Obstacle, problem: Option<String>) -> Obstacle {
    let is_refused = obstacle.reason() == NodeReason::CredentialRefused;
    match (obstacle, problem) {
        (Obstacle::Runtime(refused), Some(problem)) if is_refused => {
            Obstacle::NoLogin { refused, problem }
        }
        (obstacle, _) => obstacle,
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use onepull_resolve::Login;

    use super::*;
    use crate::{
        logins::{Found, NoLogins},
        runtime::FakeRuntime,
    };

    const REFUSED: &str = "unexpected status from HEAD request: 401 Unauthorized";

    struct Users(&'static [&'static str], Option<&'static str>);

    #[async_trait]
    impl Logins for Users {
        async fn of(&self, _: &ImageName) -> Found {
            let login =
                |user: &&str| Login::Password { user: (*user).into(), password: "x".into() };
            Found {
                logins: self.0.iter().map(login).collect(),
                problem: self.1.map(ToOwned::to_owned),
            }
        }
    }

    async fn pulls(runtime: &FakeRuntime, logins: &dyn Logins) -> Result<(), Obstacle> {
        let name = "r.example/a:v1".parse().unwrap();
        pull(runtime, logins, &name, &Digest::sha256(b"a")).await
    }

    fn users(runtime: &FakeRuntime) -> Vec<String> {
        runtime.users().into_iter().map(|user| user.unwrap_or("nobody".into())).collect()
    }

    #[tokio::test]
    async fn logins_are_tried_until_one_is_let_in() {
        let runtime = FakeRuntime::default();
        pulls(&runtime, &NoLogins).await.unwrap();
        runtime.fail_pull(REFUSED);
        pulls(&runtime, &Users(&["a", "b", "c"], None)).await.unwrap();
        assert_eq!(users(&runtime), ["nobody", "a", "b"]);
    }

    #[tokio::test]
    async fn what_is_no_refusal_ends_it_and_what_could_not_be_asked_is_said() {
        let runtime = FakeRuntime::default();
        runtime.fail_pull("connection refused");
        let error = pulls(&runtime, &Users(&["a", "b"], Some("no controller"))).await.unwrap_err();
        assert_eq!(error.reason(), NodeReason::RegistryUnreachable);
        runtime.fail_pull(REFUSED);
        let error = pulls(&runtime, &Users(&[], Some("no controller"))).await.unwrap_err();
        assert_eq!(error.reason(), NodeReason::CredentialMissing);
        let said = error.to_string();
        assert!(said.contains("401") && said.contains("no controller"), "{said}");
        runtime.fail_pull("not found");
        let error = pulls(&runtime, &Users(&[], Some("no controller"))).await.unwrap_err();
        assert_eq!(error.reason(), NodeReason::ImageNotFound);
        runtime.fail_pull(REFUSED);
        let error = pulls(&runtime, &Users(&["a"], None)).await.unwrap_err();
        assert_eq!(error.reason(), NodeReason::CredentialRefused);
        assert_eq!(users(&runtime), ["a", "nobody", "nobody", "a"]);
    }
}
