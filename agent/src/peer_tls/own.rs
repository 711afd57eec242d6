//! This node's certificate, made anew in good time.
//!
//! The time is looked at whenever a certificate is to be shown: a new one costs a tenth of a
//! millisecond, so nothing has to run beside, and a clock that jumps is noticed at once. Connections
//! that are open go on.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    time_provider::TimeProvider,
};
use tracing::{debug, warn};

use super::{Authority, PeerTlsError, validity::Validity};

/// The certificate of the moment.
pub(super) struct Own {
    authority: Authority,
    clock: Arc<dyn TimeProvider>,
    shown: Mutex<(Arc<CertifiedKey>, Validity)>,
}

// === impl Own ===

impl Own {
    pub(super) fn new(
        authority: Authority,
        clock: Arc<dyn TimeProvider>,
    ) -> Result<Self, PeerTlsError> {
        let validity = Validity::from(clock.current_time().ok_or(PeerTlsError::NoTime)?);
        let first = Arc::new(authority.issue(validity)?);
        Ok(Self { authority, clock, shown: Mutex::new((first, validity)) })
    }

    /// The one to show now. One that is late is better than none: the other end decides.
    fn current(&self) -> Arc<CertifiedKey> {
        // One assignment at a time: whatever panicked, it is whole.
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = self.clock.current_time()
            && shown.1.is_over(now)
        {
            let validity = Validity::from(now);
            match self.authority.issue(validity) {
                Ok(next) => {
                    debug!(?validity, "a new certificate");
                    *shown = (Arc::new(next), validity);
                }
                Err(error) => warn!(%error, "no new certificate; the old one is shown on"),
            }
        }
        Arc::clone(&shown.0)
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Own")
    }
}

impl ResolvesServerCert for Own {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
