//! A login in the words of CRI.

use k8s_cri::v1::AuthConfig;
use onepull_resolve::{ExposeSecret, ImageRef, Login};

/// A login for the registry of `repository`, and for no other host: containerd asks the mirror on this
/// node first, which is not to see it. `None` for what is no repository.
pub(super) fn config(repository: &str, login: &Login) -> Option<AuthConfig> {
    let image: ImageRef = repository.parse().ok()?;
    // containerd reads the host of a URL, whatever its scheme, and compares.
    let server_address = format!("https://{}", image.host());
    let config = AuthConfig { server_address, ..AuthConfig::default() };
    Some(match login {
        Login::Password { user, password } => AuthConfig {
            username: user.expose_secret().to_owned(),
            password: password.expose_secret().to_owned(),
            ..config
        },
        Login::IdentityToken(token) => {
            AuthConfig { identity_token: token.expose_secret().to_owned(), ..config }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_for_the_host_where_the_registry_answers() {
        let login = Login::Password { user: "alice".into(), password: "hunter2".into() };
        let of = |repository: &str| config(repository, &login).unwrap();
        assert_eq!(of("r.example:5000/team/app").server_address, "https://r.example:5000");
        assert_eq!(of("docker.io/library/nginx").server_address, "https://registry-1.docker.io");
        assert_eq!(of("r.example/app").username, "alice");
        assert!(config("//", &login).is_none());
    }
}
