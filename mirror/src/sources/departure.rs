//! The order to leave a parent for a better one, on its way from the heartbeat to the fetch.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

/// Names the parent to leave, to whoever streams from it. Clones share the order; a new one replaces
/// one that nobody has taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Departure(Arc<Order>);

#[derive(Debug, Default)]
struct Order {
    given: Notify,
    from: Mutex<Option<SocketAddr>>,
}

// === impl Departure ===

impl Departure {
    pub(crate) fn order(&self, from: SocketAddr) {
        // A single assignment: whole even if a panic poisoned the lock.
        *self.0.from.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
        self.0.given.notify_one();
    }

    /// The parent to leave, once there is an order. Each is taken once.
    ///
    /// # Cancel safety
    /// An order is taken only by a call that returns it.
    pub(crate) async fn ordered(&self) -> SocketAddr {
        loop {
            self.0.given.notified().await;
            let from = self.0.from.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(from) = from {
                return from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn an_order_waits_for_who_fetches_is_replaced_by_the_next_and_taken_once() {
        let (departure, parent) = (Departure::default(), |port| ([10, 0, 0, 1], port).into());
        assert_eq!(departure.ordered().now_or_never(), None);
        departure.clone().order(parent(1));
        departure.order(parent(2));
        assert_eq!(departure.ordered().now_or_never(), Some(parent(2)));
        assert_eq!(departure.ordered().now_or_never(), None);
    }
}
