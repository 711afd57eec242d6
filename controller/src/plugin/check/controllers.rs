//! Whether a controller runs and leads. Pure.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    finding::{Finding, Findings},
    seen::Seen,
};
use crate::uninstall::DEPLOYMENT;

/// A lease is renewed every few seconds; one that is older is nobody's, or the clocks of the two differ.
const STALE: SignedDuration = SignedDuration::from_secs(60);

const CHECK: &str = "controllers";

/// How the controllers are.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Controllers {
    ready: i32,
    wanted: i32,
    leader: Option<String>,
}

// === impl Controllers ===

impl Controllers {
    /// How they are, and what is wrong with them.
    pub(super) fn of(seen: &Seen, now: Timestamp, findings: &mut Findings) -> Self {
        let namespace = &seen.namespace;
        let Some(deployment) = &seen.deployment else {
            let what = format!("there is no Deployment {DEPLOYMENT} in namespace {namespace}");
            let todo = "install onepull, or say where it is with --installed-in: helm list -A";
            findings.insert(Finding::problem(CHECK, what, todo), Vec::new());
            return Self::default();
        };
        let wanted = deployment.spec.replicas.unwrap_or(1);
        let status = deployment.status.as_ref();
        let ready = status.and_then(|status| status.ready_replicas).unwrap_or(0);
        let todo = format!(
            "kubectl -n {namespace} describe deployment {DEPLOYMENT}; kubectl -n {namespace} logs \
             deployment/{DEPLOYMENT}"
        );
        let what = format!("{ready} of {wanted} are ready");
        if ready == 0 {
            findings.insert(Finding::problem(CHECK, what, &todo), Vec::new());
        } else if ready < wanted {
            findings.insert(Finding::warning(CHECK, what, &todo), Vec::new());
        }
        Self { ready, wanted, leader: leader(seen, now, &todo, findings) }
    }

    /// In a line.
    pub(super) fn line(&self) -> String {
        let Self { ready, wanted, leader } = self;
        let leads = leader.as_deref().map_or("nobody".to_owned(), ToOwned::to_owned);
        format!("{ready} of {wanted} ready; {leads} leads")
    }
}

/// Who leads, if somebody does.
fn leader(seen: &Seen, now: Timestamp, todo: &str, findings: &mut Findings) -> Option<String> {
    let lease = match &seen.lease {
        Ok(lease) => lease.as_ref().and_then(|lease| lease.spec.as_ref()),
        Err(why) => {
            let todo = "look for the leader in the controllers' logs";
            let finding = Finding::warning("leader", format!("not known: {why}"), todo);
            findings.insert(finding, Vec::new());
            return None;
        }
    };
    let renewed = lease.and_then(|lease| Some(lease.renew_time.as_ref()?.0));
    let holder = lease.and_then(|lease| lease.holder_identity.clone());
    let holder = holder.filter(|holder| !holder.is_empty());
    match (holder, renewed) {
        (Some(holder), Some(renewed)) if now.duration_since(renewed) < STALE => Some(holder),
        _ => {
            let what = "no controller holds the lease: nothing new is rolled out";
            findings.insert(Finding::problem("leader", what, todo), Vec::new());
            None
        }
    }
}
