//! Do the nodes prove to each other who they are, and can this one?

use std::path::Path;

use super::{CheckConfig, Finding};
use crate::cluster_key::{ClusterKey, is_open_to_all};

const NAME: &str = "cluster-key";

const ONE_KEY: &str = "give all nodes one key, made by: openssl rand -hex 32 (--cluster-key-file)";

pub(super) fn check(config: &CheckConfig) -> Finding {
    let on_loopback =
        [config.peer_listen, config.p2p_listen].iter().all(|at| at.ip().is_loopback());
    match &config.cluster_key_file {
        Some(path) => of_file(path),
        None if on_loopback => Finding::ok(NAME, "none: peers are served on loopback only"),
        None => Finding::warning(
            NAME,
            "none: everybody who reaches the peer port can read every image on this node",
            ONE_KEY,
        ),
    }
}

fn of_file(path: &Path) -> Finding {
    let at = path.display();
    match (ClusterKey::read(path), is_open_to_all(path)) {
        (Err(error), _) => Finding::problem(NAME, &error),
        (Ok(_), Ok(true)) => Finding::warning(
            NAME,
            format!("every user of this node can read {at}, and with it join the cluster's nodes"),
            &format!("chmod 0400 {at}; in a pod, defaultMode: 0400 of the secret's volume"),
        ),
        (Ok(_), _) => Finding::ok(NAME, format!("{at} holds one")),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{Permissions, set_permissions, write},
        os::unix::fs::PermissionsExt,
    };

    use super::*;
    use crate::check::Verdict;

    #[test]
    fn a_key_that_every_user_can_read_is_a_warning_and_one_that_is_none_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert_eq!(of_file(&path).verdict, Verdict::Problem, "there is no file");
        for (text, mode, verdict) in [
            (
                "6f1d8a3c5b7e9f02a4c6e8d0b2947f13358ac1ee07d94b26f80c61a57392be4d",
                0o400,
                Verdict::Ok,
            ),
            ("bx2KPFt+nwKkxujQspR/EzWKwe4H2Usm+AxhpXOSvk0=", 0o644, Verdict::Warning),
            ("change-me", 0o400, Verdict::Problem),
        ] {
            let _ = std::fs::remove_file(&path);
            write(&path, text).unwrap();
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(of_file(&path).verdict, verdict, "{text}");
        }
    }
}
