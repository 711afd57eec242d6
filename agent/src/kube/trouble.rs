//! What went wrong with the API server, in a sentence that says what to do. Pure.

use ::kube::{Error, core::Status, runtime::watcher};

/// The kind as RBAC calls it.
const KIND: &str = "nodeimagecaches.onepull.dev";

/// By these words server-side apply refuses a field that the definition does not have.
const UNDECLARED: &str = "field not declared in schema";

/// What the watch says; `None` where it only begins anew.
pub(super) fn of_watch(error: &watcher::Error) -> Option<String> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => of_question(error),
        watcher::Error::WatchError(status) => of_status(status, "get, list and watch"),
        watcher::Error::NoResourceVersion => Some(unreachable_for(error)),
    }
}

/// What a write of the status says; `None` when the object is gone, which the watch tells too.
pub(super) fn of_write(error: &Error) -> Option<String> {
    match error {
        Error::Api(status) if status.code == 404 => None,
        Error::Api(status) => of_status(status, "patch the status of"),
        error => Some(unreachable_for(error)),
    }
}

fn of_question(error: &Error) -> Option<String> {
    match error {
        Error::Api(status) => of_status(status, "get, list and watch"),
        error => Some(unreachable_for(error)),
    }
}

fn of_status(status: &Status, verbs: &str) -> Option<String> {
    let Status { code, message, .. } = status;
    match code {
        401 => Some(format!(
            "the API server does not accept this agent's credential: check its service account or \
             KUBECONFIG ({message})"
        )),
        403 => Some(format!(
            "the API server does not let this agent {verbs} {KIND}: give its service account a role \
             that does ({message})"
        )),
        404 => Some(format!("the cluster does not know {KIND}: apply onepull's CRDs")),
        // What was seen last is too old to go on from; the watch lists again.
        410 => None,
        500 if message.contains(UNDECLARED) => Some(format!(
            "the cluster's CRDs are older than this agent: apply those of its version ({message})"
        )),
        code => Some(format!("the API server answers {code}: {message}")),
    }
}

/// The words of a library end in what the system said.
fn unreachable_for(error: &dyn std::error::Error) -> String {
    let mut cause = error.to_string();
    let mut inner = error.source();
    while let Some(error) = inner {
        let words = error.to_string();
        if !cause.contains(&words) {
            cause = format!("{cause}: {words}");
        }
        inner = error.source();
    }
    format!("the API server does not answer; going on with what was known ({cause})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: u16) -> Error {
        let status = Status { code, message: "no".into(), ..Default::default() };
        Error::Api(Box::new(status))
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        for (code, words) in [(401, "KUBECONFIG"), (403, "a role"), (404, "CRDs"), (500, "500: no")]
        {
            let said = of_watch(&watcher::Error::InitialListFailed(refusal(code))).unwrap();
            assert!(said.contains(words), "{said}");
        }
        let said = of_write(&refusal(403)).unwrap();
        assert!(said.contains("patch the status of nodeimagecaches.onepull.dev"), "{said}");
        let status = Status { code: 500, message: UNDECLARED.into(), ..Default::default() };
        let said = of_write(&Error::Api(Box::new(status))).unwrap();
        assert!(said.contains("older than this agent"), "{said}");
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let said = of_write(&Error::Service(Box::new(broken))).unwrap();
        assert!(said.contains("does not answer") && said.contains("refused"), "{said}");
    }

    #[test]
    fn what_is_in_order_is_no_trouble() {
        let expired = Status { code: 410, ..Default::default() };
        assert_eq!(of_watch(&watcher::Error::WatchError(Box::new(expired))), None);
        assert_eq!(of_write(&refusal(404)), None, "the object is gone");
    }
}
