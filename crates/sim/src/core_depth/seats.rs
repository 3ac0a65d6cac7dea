//! Processes, with their calls, watches and work.

use tenure_core::{CallId, Elector, Status};

use crate::{
    clock::{MachineClock, Nanos},
    trace::{Believed, ProcessId},
};

use super::model::{Limits, Model};

/// A machine with the Pod of one candidate.
pub(super) struct Seat {
    pub(super) clock: MachineClock,
    /// The work does not end when it is told to, until then.
    pub(super) stubborn_until: Nanos,
}

/// One process.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Process<M: Model> {
    pub(super) id: ProcessId,
    pub(super) seat: usize,
    pub(super) elector: M::Elector,
    pub(super) limits: Limits,
    pub(super) sleep: Option<Sleep>,
    /// When its next tick is due, in true time.
    pub(super) tick_at: Option<Nanos>,
    /// Calls that it waits for, with when it gives each up.
    pub(super) calls: Vec<(CallId, Nanos)>,
    /// When its last call was answered, or given up.
    pub(super) heard: Option<Nanos>,
    /// How many messages it has sent.
    pub(super) sent: u64,
    pub(super) watch: Watch,
    pub(super) work: Option<Work>,
    /// It stops before the first byte of what it sends next, for so long.
    pub(super) stop_before_send: Option<(Nanos, u32)>,
    pub(super) cut_off: bool,
    /// It stands no more when its term ends.
    pub(super) leaving: bool,
    /// It was told that it stands no more, and not since that it does.
    pub(super) withdrawn: bool,
    pub(super) knows: bool,
    pub(super) shown: Option<Believed>,
    pub(super) status: Option<Status>,
}

/// A stretch of time in which a process does nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sleep {
    pub(super) since: Nanos,
    pub(super) until: Nanos,
    pub(super) kind: SleepKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SleepKind {
    /// The process alone: all clocks and timers go on.
    Frozen,
    /// The machine: timers stand still.
    Suspended,
    /// The virtual machine: everything stands still.
    Paused,
}

/// A watch: open or not, and what was sent on it last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    pub(super) open: bool,
    /// Events arrive in order: not before this.
    pub(super) last: Nanos,
    /// Events of a stream that was cut are not delivered.
    pub(super) stream: u64,
}

/// The work of a term.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) token: u64,
    pub(super) told: bool,
}

impl<M: Model> Process<M> {
    pub(super) fn is_asleep(&self, now: Nanos) -> bool {
        self.sleep.is_some_and(|sleep| now < sleep.until)
    }

    /// What it may believe, in true time.
    pub(super) fn belief(&self, clock: &MachineClock) -> Option<Believed> {
        let belief = self.elector.belief()?;
        Some(Believed {
            term: belief.term,
            token: belief.token.as_str().parse().unwrap_or(0),
            until: belief.valid_until.map(|until| clock.truth(until)),
        })
    }

    /// Whether `is_leading()` would be true.
    pub(super) fn leads(&self, clock: &MachineClock, now: Nanos) -> bool {
        self.elector.belief().is_some_and(|belief| {
            belief
                .valid_until
                .is_none_or(|until| clock.reads(now) < until)
        })
    }
}
