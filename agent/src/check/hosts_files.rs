//! Do the hosts files name the mirror, first?

use std::path::Path;

use super::Finding;
use crate::hosts::{HostsConfig, Standing, survey};

const NAME: &str = "hosts.toml";

pub(super) fn check(config: &HostsConfig) -> Vec<Finding> {
    let files = match survey(config) {
        Ok(files) => files,
        Err(error) => return vec![Finding::problem(NAME, &error)],
    };
    let findings: Vec<_> =
        files.iter().filter_map(|(file, standing)| judge(file, standing)).collect();
    if !findings.is_empty() {
        return findings;
    }
    let count = files.len();
    let dir = config.hosts_dir.display();
    vec![Finding::ok(NAME, format!("the mirror is first in all {count} below {dir}"))]
}

/// `None` when the mirror is first.
fn judge(file: &Path, standing: &Standing) -> Option<Finding> {
    let path = file.display();
    Some(match standing {
        Standing::First => return None,
        Standing::Missing => Finding::broken(
            NAME,
            format!("{path} does not exist"),
            "start the agent, which writes it",
        ),
        Standing::Bypassed => Finding::warning(
            NAME,
            format!("{path} does not name the mirror: pulls from there go past it"),
            "see in the agent's log why it leaves the file alone; it tries again every minute",
        ),
        Standing::Behind(first) => Finding::warning(
            NAME,
            format!("{path} names {first} before the mirror"),
            "move the mirror's table up: containerd asks in the order of the file",
        ),
        Standing::Unreadable(why) => Finding::broken(
            NAME,
            format!("{path}: {why}"),
            "correct the file; the agent looks again within a minute",
        ),
        Standing::Refused(why) => Finding::broken(
            NAME,
            format!("{path} is not made: {why}"),
            "do one of the two; the agent looks again within a minute",
        ),
    })
}
