//! Both lists that a warmer works through. Pure.

use tokio::time::Instant;

use super::{
    ledger::{Choice, Ledger},
    removals::Removals,
};
use crate::desired::{DesiredImage, DesiredState, UnwantedImage};

/// What is known of the images that are wanted, and of those that are not.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) images: Ledger,
    pub(crate) removals: Removals,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// See to this image.
    See(DesiredImage),
    /// Remove this one.
    Remove(UnwantedImage),
    /// Nothing before this instant; never, for `None`.
    Rest(Option<Instant>),
}

// === impl Books ===

impl Books {
    /// Makes place for what is declared now, and forgets the rest.
    pub(crate) fn adopt(&mut self, desired: &DesiredState, now: Instant) {
        self.images.adopt(&desired.images, now);
        self.removals.adopt(&desired.unwanted, now);
    }

    /// Removals come first: they take a moment, and make room.
    pub(crate) fn choose(&self, desired: &DesiredState, now: Instant) -> Next {
        if let Some(unwanted) = self.removals.choose(&desired.unwanted, now) {
            return Next::Remove(unwanted.clone());
        }
        match self.images.choose(&desired.images, now) {
            Choice::See(image) => Next::See(image),
            Choice::Rest(until) => {
                Next::Rest(until.into_iter().chain(self.removals.next_due()).min())
            }
        }
    }
}
