//! What is said of the election, in JSON.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tenure::{Instant, Kind, LossReason, Status};

use super::{desk::Desk, gate::Lead};

/// An answer about the election.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Said {
    lock: String,
    namespace: String,
    kind: &'static str,
    identity: String,
    phase: Phase,
    pub(super) leading: bool,
    /// For how long whoever asked may act by "leading"; null where nobody may.
    valid_for_ms: Option<u64>,
    term: Option<u64>,
    token: Option<String>,
    holder: Option<String>,
    holder_seen_for_ms: Option<u64>,
    expires_in_ms: Option<u64>,
    renewed_ago_ms: Option<u64>,
    reason: Option<String>,
}

/// Where this candidate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    /// Somebody else leads, or nobody does yet.
    Standby,
    /// The lock is paused (L26).
    Paused,
    Leading,
    /// It leads, and its renewals fail.
    Jeopardy,
    /// It holds the lock, and tells nobody any more that it leads.
    Leaving,
    /// It led, and does not stand again yet.
    Lost,
}

impl Said {
    /// By `lead`, which says whether this candidate leads, and for how long that holds.
    pub(super) fn new(desk: &Desk, lead: Option<&Lead>) -> Self {
        let status = desk.status();
        let now = tenure::now();
        let holder = desk.holder(&status, lead.is_some());
        let (phase, reason) = match (lead, &status) {
            (Some(_), Status::Jeopardy { error, .. }) => (Phase::Jeopardy, Some(error.to_string())),
            (Some(_), _) => (Phase::Leading, None),
            (None, _) if desk.gate.is_leaving() => {
                let reason = desk.leaving().or_else(|| lost_reason(&status));
                (Phase::Leaving, reason)
            }
            (None, Status::Paused { paused, .. }) => (Phase::Paused, Some(paused.to_string())),
            (None, Status::Lost { reason }) => (Phase::Lost, Some(reason.to_string())),
            (None, Status::Standby { error, .. }) => {
                (Phase::Standby, error.as_deref().map(str::to_owned))
            }
            // A term that nobody has taken up yet, or a kind of status that is newer than this.
            (None, _) => (Phase::Standby, None),
        };
        let until = lead.and_then(|lead| lead.handle.valid_until());
        Self {
            lock: desk.facts.lock.to_string(),
            namespace: desk.facts.namespace.to_string(),
            kind: kind(desk.facts.kind),
            identity: desk.facts.identity.to_string(),
            phase,
            leading: lead.is_some(),
            valid_for_ms: lead.and_then(|lead| lead.valid_for).map(millis),
            term: lead.map(|lead| lead.handle.term()),
            token: lead.map(|lead| lead.handle.token().as_str().to_owned()),
            holder_seen_for_ms: holder
                .as_ref()
                .and_then(|holder| holder.since)
                .map(|since| millis(now.since(since))),
            holder: holder.map(|holder| holder.identity.to_string()),
            expires_in_ms: until.map(|until| millis(until.since(now))),
            renewed_ago_ms: until
                .and_then(|_| desk.renewed())
                .map(|at| millis(now.since(at))),
            reason,
        }
    }

    /// Whether the same is said, apart from what only time has changed.
    pub(super) fn says_as(&self, other: &Self) -> bool {
        self.phase == other.phase
            && self.leading == other.leading
            && self.holder == other.holder
            && self.term == other.term
            && self.token == other.token
            && self.reason == other.reason
    }
}

/// Who holds the lock, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) identity: Arc<str>,
    pub(super) since: Option<Instant>,
}

/// The kind of a lock, as `--lock` takes it.
pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::ConfigMap => "config-map",
        Kind::LeaderLock => "leader-lock",
        _ => "lease",
    }
}

fn lost_reason(status: &Status) -> Option<String> {
    match status {
        Status::Lost { reason } if *reason != LossReason::SteppedDown => Some(reason.to_string()),
        _ => None,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
