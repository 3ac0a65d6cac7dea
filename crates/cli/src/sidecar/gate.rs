//! Who may be told that this candidate leads, and until when what was told holds.
//!
//! The work is another program's: nobody here can see it end, as L10 wants before a release. So an
//! answer that says "leading" is a promise with an end, and the lock is given up only when the last
//! promise is over.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tenure::{Instant, LeadershipHandle};

/// The gate that every answer "leading" passes.
#[derive(Debug)]
pub(super) struct Gate {
    /// The longest that an answer holds.
    limit: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    term: Option<LeadershipHandle>,
    open: bool,
    /// When the last promise ends; none while nothing was promised in this term.
    promised: Option<Instant>,
}

/// That this candidate leads.
#[derive(Debug)]
pub(super) struct Lead {
    pub(super) handle: LeadershipHandle,
    /// For how long that was promised; none where it was only looked at.
    pub(super) valid_for: Option<Duration>,
}

impl Gate {
    /// No promise is longer than `limit`, nor than what is left of validity.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            inner: Mutex::default(),
        }
    }

    /// A term has begun.
    pub(super) fn open(&self, handle: LeadershipHandle) {
        *self.inner() = Inner {
            term: Some(handle),
            open: true,
            promised: None,
        };
    }

    /// From now on nobody is told "leading". When the last promise ends, if there is any.
    pub(super) fn close(&self) -> Option<Instant> {
        let mut inner = self.inner();
        inner.open = false;
        inner.promised
    }

    /// The term is over.
    pub(super) fn clear(&self) {
        *self.inner() = Inner::default();
    }

    /// For an answer by which somebody may act: the release waits for its end.
    pub(super) fn promise(&self) -> Option<Lead> {
        let mut inner = self.inner();
        let handle = inner.leading()?.clone();
        // Read before `is_leading` has its own reading: what is left can only be counted too short.
        let now = tenure::now();
        let left = handle.valid_until().map(|until| until.since(now));
        let valid_for = left.map_or(self.limit, |left| left.min(self.limit));
        if valid_for < LEAST || !handle.is_leading() {
            return None;
        }
        let until = now.after(valid_for);
        inner.promised = Some(inner.promised.map_or(until, |last| last.max(until)));
        Some(Lead {
            handle,
            valid_for: Some(valid_for),
        })
    }

    /// For what nobody may act by.
    pub(super) fn look(&self) -> Option<Lead> {
        let inner = self.inner();
        let handle = inner.leading()?.clone();
        Some(Lead {
            handle,
            valid_for: None,
        })
    }

    /// Whether a term is being left: nobody is told "leading", and the lock is still held.
    pub(super) fn is_leaving(&self) -> bool {
        let inner = self.inner();
        inner.term.is_some() && inner.leading().is_none()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Promises are told in whole milliseconds: what is shorter is none.
const LEAST: Duration = Duration::from_millis(1);

impl Inner {
    fn leading(&self) -> Option<&LeadershipHandle> {
        let term = self.term.as_ref().filter(|_| self.open)?;
        // One that was told to end is over for whoever asks only now (L10).
        (term.lost_reason().is_none() && term.is_leading()).then_some(term)
    }
}

#[cfg(test)]
mod tests {
    use tenure::Leadership;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    #[test]
    fn l10_what_was_promised_last_says_when_the_lock_may_be_released() {
        let gate = Gate::new(LIMIT);
        assert!(gate.promise().is_none());
        let leadership = Leadership::for_tests();
        gate.open(leadership.handle());
        assert!(gate.look().is_some());
        assert_eq!(gate.close(), None, "a look promises nothing");

        gate.open(leadership.handle());
        let before = tenure::now();
        let lead = gate.promise().unwrap();
        assert_eq!(lead.valid_for, Some(LIMIT));
        let until = gate.close().unwrap();
        assert!(until >= before.after(LIMIT) && until <= tenure::now().after(LIMIT));
    }

    #[test]
    fn nothing_is_promised_once_the_gate_is_closed() {
        let gate = Gate::new(LIMIT);
        let leadership = Leadership::for_tests();
        gate.open(leadership.handle());
        assert!(!gate.is_leaving());
        gate.close();
        assert!(gate.promise().is_none() && gate.look().is_none());
        assert!(gate.is_leaving());
        gate.clear();
        assert!(!gate.is_leaving());
    }

    #[test]
    fn l10_who_was_told_to_end_is_promised_nothing_more() {
        let gate = Gate::new(LIMIT);
        let leadership = Leadership::for_tests();
        gate.open(leadership.handle());
        assert!(gate.promise().is_some());
        leadership.step_down();
        assert!(leadership.is_leading(), "the work may still end");
        assert!(gate.promise().is_none() && gate.look().is_none());
        assert!(gate.close().is_some(), "what was promised still holds");
    }

    #[test]
    fn who_leads_no_more_is_promised_nothing() {
        let gate = Gate::new(LIMIT);
        let leadership = Leadership::for_tests();
        gate.open(leadership.handle());
        drop(leadership);
        assert!(gate.promise().is_none());
    }
}
