//! The ways in which an origin can be told to misbehave.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use hyper::StatusCode;

/// One misbehaviour, used up by one GET of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Ends the connection after this many bytes of the body.
    Truncate(u64),
    /// Answers with this status instead of the blob.
    Status(StatusCode),
    /// Flips a bit of the body's first byte.
    Corrupt,
}

/// What goes wrong next, in order; the rest goes right.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<VecDeque<Fault>>>);

// === impl Faults ===

impl Faults {
    /// These faults, one for each coming GET of a blob.
    pub fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self(Arc::new(Mutex::new(faults.into_iter().collect())))
    }

    /// How many have not happened yet.
    pub fn left(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn next(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}
