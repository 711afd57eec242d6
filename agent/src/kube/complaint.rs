//! What is wrong, for who asks, and in the log: once when it is new, then now and then.

use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant};
use tracing::{info, warn};

/// Between two lines that say the same: a person who looks at the log sees one, and a long outage
/// does not fill it.
const REPEAT: Duration = Duration::from_secs(300);

/// The present trouble, if there is one.
#[derive(Debug, Default)]
pub(super) struct Complaint(Mutex<Option<Said>>);

#[derive(Debug)]
struct Said {
    sentence: String,
    logged: Instant,
}

// === impl Complaint ===

impl Complaint {
    /// Something is wrong.
    pub(super) fn raise(&self, sentence: String) {
        let now = Instant::now();
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*said {
            Some(said) if said.sentence == sentence && now < said.logged + REPEAT => {}
            _ => {
                warn!("{sentence}");
                *said = Some(Said { sentence, logged: now });
            }
        }
    }

    /// It works; `news` says so in the log when it did not before.
    pub(super) fn settle(&self, news: &str) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            info!("{news}");
        }
    }

    pub(super) fn sentence(&self) -> Option<String> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.as_ref().map(|said| said.sentence.clone())
    }
}
