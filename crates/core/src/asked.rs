//! What people ask of a lock's candidates, by annotations on it: rules L25, L26 and F12.
//!
//! Whoever may change the lock can ask. Neither of these grants anything to anybody: all that they
//! can bring about is that a leader leaves in the ordinary way (L10), or that nobody takes a Lease.

use std::{fmt, sync::Arc};

use crate::version::Uid;

/// A request to the holder of one term to step down (L25, F12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepDown {
    /// Who is asked: on a Lease the `holderIdentity`, on a lock for life the nonce of the owner's
    /// term.
    pub holder: Arc<str>,
    /// Which term of a Lease is meant: its `leaseTransitions`. On a lock for life `holder` says it.
    pub transitions: Option<i64>,
    /// The uid of the lock that the request was written about.
    pub uid: Uid,
    /// Who is to lead next (L22).
    pub to: Option<Arc<str>>,
    /// Who asks, for people. It may be empty.
    pub by: Arc<str>,
}

/// A Lease that nobody of ours takes (L26).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Paused {
    /// Who paused it, for people. It may be empty.
    pub by: Arc<str>,
    /// Why, for people. It may be empty.
    pub reason: Arc<str>,
}

impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the lock is paused by {}", somebody(&self.by))?;
        if self.reason.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.reason)
    }
}

/// Who did something, for a message.
pub(crate) fn somebody(by: &str) -> &str {
    if by.is_empty() { "somebody" } else { by }
}
