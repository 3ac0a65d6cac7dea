//! What every answer is made from: the election as it is seen, and what was asked of it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::StreamExt as _;
use tenure::{Holder, Instant, Kind, LeaderElection, LeadershipHandle, LossReason, Status};
use tokio::sync::{mpsc, watch};

use super::{
    gate::{Gate, Lead},
    metrics::Counters,
    said::{Holding, Said},
    stand::Ask,
};

/// Shared by everything that answers.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) facts: Facts,
    pub(super) gate: Gate,
    pub(super) counters: Counters,
    pub(super) asks: mpsc::Sender<Ask>,
    status: watch::Receiver<Status>,
    /// Taken away at the end: an election closes when nobody has it any more.
    election: Mutex<Option<LeaderElection>>,
    has_seen: AtomicBool,
    noted: Mutex<Noted>,
    /// Counts what has changed.
    changed: watch::Sender<u64>,
}

/// What stays as it is.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) lock: Arc<str>,
    pub(super) namespace: Arc<str>,
    pub(super) kind: Kind,
    pub(super) identity: Arc<str>,
}

#[derive(Debug, Default)]
struct Noted {
    holder: Option<Holder>,
    valid_until: Option<Instant>,
    renewed: Option<Instant>,
    leaving: Option<String>,
}

/// How far behind what it is due to do an election may be before it counts as wedged.
const MOST_OVERDUE: Duration = Duration::from_secs(5);

impl Desk {
    pub(super) fn new(
        election: &LeaderElection,
        kind: Kind,
        answer_limit: Duration,
        asks: mpsc::Sender<Ask>,
    ) -> Self {
        Self {
            facts: Facts {
                lock: election.lock_name().into(),
                namespace: election.namespace().into(),
                kind,
                identity: election.identity().into(),
            },
            gate: Gate::new(answer_limit),
            counters: Counters::default(),
            asks,
            status: election.status(),
            election: Mutex::new(Some(election.clone())),
            has_seen: AtomicBool::new(false),
            noted: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }

    /// Follows the election until it ends. Cancel safe.
    pub(super) async fn follow(&self) {
        let mut status = self.status.clone();
        let holders = self.election().as_ref().map(LeaderElection::leader_changes);
        let Some(holders) = holders else { return };
        tokio::pin!(holders);
        loop {
            self.note_status(&status.borrow_and_update());
            self.tell_change();
            tokio::select! {
                changed = status.changed() => if changed.is_err() {
                    return;
                },
                holder = holders.next() => match holder {
                    Some(holder) => {
                        self.has_seen.store(true, Ordering::Release);
                        self.noted().holder = holder;
                    }
                    None => return,
                },
            }
        }
    }

    /// For an answer by which somebody may act.
    pub(super) fn promise(&self) -> Said {
        Said::new(self, self.gate.promise().as_ref())
    }

    /// For what nobody may act by.
    pub(super) fn look(&self) -> Said {
        Said::new(self, self.gate.look().as_ref())
    }

    /// Whom the archived leader-elector would have named: the leader's name before the first `_`,
    /// which is its Pod where an identity of tenure's is made of one (L8). The own name is named only
    /// while this candidate leads: programs compare it with theirs.
    pub(super) fn name(&self) -> String {
        let lead = self.gate.promise();
        let own = short(&self.facts.identity);
        if lead.is_some() {
            return own.to_owned();
        }
        let holder = self.holder(&self.status(), false);
        let name = holder.as_ref().map(|holder| short(&holder.identity));
        name.filter(|name| *name != own)
            .unwrap_or_default()
            .to_owned()
    }

    pub(super) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Who holds the lock.
    pub(super) fn holder(&self, status: &Status, leads: bool) -> Option<Holding> {
        let own = || Holding {
            identity: Arc::clone(&self.facts.identity),
            since: None,
        };
        let seen = |holder: &Holder| Holding {
            identity: Arc::clone(&holder.identity),
            since: Some(holder.since),
        };
        match status {
            _ if leads => Some(own()),
            Status::Leading { .. } | Status::Jeopardy { .. } => Some(own()),
            Status::Standby { holder, .. } | Status::Paused { holder, .. } => {
                holder.as_ref().map(seen)
            }
            Status::Lost {
                reason: LossReason::TakenBy(holder),
            } => Some(Holding {
                identity: Arc::clone(holder),
                since: None,
            }),
            _ => {
                let noted = self.noted();
                let other = |holder: &&Holder| holder.identity != self.facts.identity;
                noted.holder.as_ref().filter(other).map(seen)
            }
        }
    }

    /// When the last renewal became known.
    pub(super) fn renewed(&self) -> Option<Instant> {
        self.noted().renewed
    }

    /// Why the present term is being left, where it is by what was asked here.
    pub(super) fn leaving(&self) -> Option<String> {
        self.noted().leaving.clone()
    }

    /// Whether the lock has been seen, there or absent.
    pub(super) fn has_seen(&self) -> bool {
        self.has_seen.load(Ordering::Acquire)
    }

    /// Whether the election does what it is due to do.
    pub(super) fn is_healthy(&self) -> bool {
        let election = self.election();
        let healthy = |election: &LeaderElection| election.healthy(MOST_OVERDUE);
        // At the end, when it was given up, it is no longer due to do anything.
        election.as_ref().is_none_or(healthy)
    }

    pub(super) fn begin_term(&self, handle: LeadershipHandle) {
        self.counters.term_began();
        self.gate.open(handle);
        self.tell_change();
    }

    pub(super) fn leave(&self, why: String) {
        self.noted().leaving = Some(why);
        self.tell_change();
    }

    pub(super) fn end_term(&self, reason: &LossReason) {
        self.counters.term_ended(reason);
        self.noted().leaving = None;
        self.gate.clear();
        self.tell_change();
    }

    /// Lets the election go, so that it can be closed.
    pub(super) fn let_go(&self) {
        self.election().take();
    }

    /// Changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn tell_change(&self) {
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn note_status(&self, status: &Status) {
        let (seen, until) = match status {
            Status::Standby { holder, .. } => (holder.is_some(), None),
            Status::Leading { valid_until, .. } | Status::Jeopardy { valid_until, .. } => {
                (true, *valid_until)
            }
            // Paused and lost, which none can be that has seen nothing.
            _ => (true, None),
        };
        if seen {
            self.has_seen.store(true, Ordering::Release);
        }
        let mut noted = self.noted();
        if noted.valid_until != until {
            noted.valid_until = until;
            noted.renewed = until.map(|_| tenure::now());
        }
    }

    fn election(&self) -> MutexGuard<'_, Option<LeaderElection>> {
        self.election.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead {
    /// What tells this term from others.
    pub(super) fn token(&self) -> String {
        self.handle.token().as_str().to_owned()
    }
}

fn short(identity: &str) -> &str {
    identity.split('_').next().unwrap_or(identity)
}
