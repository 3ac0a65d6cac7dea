//! What the world may see of an election.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    ResourceVersion,
    asked::{Paused, somebody},
    time::Instant,
};

/// Where an election stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Nobody here leads.
    Standby {
        /// Who does, as last seen; nobody by a record that need not be waited out (L24).
        holder: Option<Holder>,
        /// What failed last, for people; none once something has succeeded after it. It is tried
        /// again for as long as somebody stands.
        error: Option<Arc<str>>,
    },
    /// Nobody here leads, and nobody here takes the lock as long as it is paused (rule L26).
    Paused {
        /// What is said of it.
        paused: Paused,
        /// Who holds it all the same, as last seen.
        holder: Option<Holder>,
    },
    /// This process leads.
    Leading {
        /// The number of the term, for people (rule L18). Zero for leader for life.
        term: u64,
        /// The fencing token (rule L19).
        token: ResourceVersion,
        /// When belief ends unless it is renewed; none for leader for life.
        valid_until: Option<Instant>,
    },
    /// This process leads, and its renewals fail.
    Jeopardy {
        /// The number of the term.
        term: u64,
        /// The fencing token.
        token: ResourceVersion,
        /// When belief ends unless a renewal succeeds.
        valid_until: Option<Instant>,
        /// What failed last, for people.
        error: Arc<str>,
    },
    /// This process led, and does so no more.
    Lost {
        /// Why.
        reason: LossReason,
    },
}

/// Who holds a lock, as somebody wrote it there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The holder's identity (Lease) or the owner Pod's name (leader for life).
    pub identity: Arc<str>,
    /// When this process first saw it there.
    pub since: Instant,
    /// Whether what it wrote was seen to change since then, as that of a living holder of a Lease does. A
    /// lock for life is not renewed.
    pub renewed: bool,
    /// How long its last sign of life is waited for (L2); none for leader for life.
    pub lasts: Option<Duration>,
}

/// Why a term ended, or is about to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossReason {
    /// No renewal succeeded in time (L1, L10).
    Expired,
    /// Somebody else is written as the holder (L9, F6).
    TakenBy(Arc<str>),
    /// The lock is gone (L9, F6).
    Deleted,
    /// The lock is another object of the same name (L9, F6).
    Replaced,
    /// The holder was emptied by somebody else (L9).
    Emptied,
    /// Another process writes with this one's identity (L8).
    Twin,
    /// The server's history went backwards, as after a restore (L9).
    WentBackwards,
    /// The lock is being deleted and only waits for a finalizer (F6).
    BeingDeleted,
    /// This side gave it up.
    SteppedDown,
    /// Somebody asked for it by an annotation on the lock (L25, F12): who, as it stands there.
    Asked(Arc<str>),
    /// Somebody paused the lock (L26): who, as it stands there.
    Paused(Arc<str>),
    /// The value that stood for leadership was dropped, or the election was ended.
    Abandoned,
}

/// Something worth telling, once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Standing by; this is who leads now, as observed.
    Holder(Option<Holder>),
    /// Leadership began.
    Acquired {
        /// The number of the term; zero for leader for life.
        term: u64,
        /// The fencing token.
        token: ResourceVersion,
        /// Whether a lock that this Pod owned already was taken up again (F3).
        again: bool,
    },
    /// A renewal succeeded; `recovered` after at least one had failed.
    Renewed {
        /// Whether renewals had failed before.
        recovered: bool,
    },
    /// A renewal failed, or could not be shown to have succeeded.
    RenewFailed {
        /// What happened, for people.
        error: Arc<str>,
        /// Time left until belief ends.
        left: Option<Duration>,
    },
    /// A call of a standby failed.
    StandbyFailed {
        /// What happened, for people.
        error: Arc<str>,
        /// How often in a row.
        times: u32,
    },
    /// The work has to end now, and has until `by` (L10).
    Stop {
        /// Why.
        reason: LossReason,
        /// When it must have ended.
        by: Instant,
    },
    /// Somebody asked the leader, by an annotation on the lock, to step down (L25, F12).
    /// [`Notice::Stop`] follows, unless the work was told before.
    AskedToStepDown {
        /// Who, as it stands there; perhaps empty.
        by: Arc<str>,
        /// Who is to lead next, if anybody was named.
        to: Option<Arc<str>>,
    },
    /// The lock is paused (L26), as is said there; or is no longer.
    Paused(Option<Paused>),
    /// The work has not ended in time.
    Overdue,
    /// Leadership ended without being given up.
    Lost(LossReason),
    /// Leadership ended and the lock was given up.
    Released,
    /// Leadership ended, and the lock could not be given up: it frees itself as if the holder had
    /// died.
    ReleaseFailed {
        /// What happened, for people.
        error: Arc<str>,
    },
    /// Leadership ended and the lock was left as it is, as asked for.
    Kept,
    /// Something odd that a person should know.
    Warn(Warning),
}

/// Something odd about a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A foreign holder wrote a duration far beyond the usual; it is honoured (L20).
    OddDuration {
        /// Who.
        holder: Arc<str>,
        /// In seconds.
        seconds: i64,
    },
    /// Somebody edited this process's record; it was put right (L21).
    EditedRecord,
    /// An object of the lock's name is no lock and is not touched (F11).
    NotALock {
        /// What speaks against it.
        why: Arc<str>,
    },
    /// The lock's owner is gone, and the lock was removed in the collector's place (F8, F9).
    RemovedOrphan {
        /// The former owner Pod.
        owner: Arc<str>,
    },
}

impl Status {
    /// Whether this process leads (as far as a status that may be a moment old can tell).
    pub fn leads(&self) -> bool {
        matches!(self, Self::Leading { .. } | Self::Jeopardy { .. })
    }
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("no renewal succeeded in time"),
            Self::TakenBy(who) => write!(f, "{who} holds the lock now"),
            Self::Deleted => f.write_str("the lock was deleted"),
            Self::Replaced => f.write_str("the lock was deleted and created anew"),
            Self::Emptied => f.write_str("somebody emptied the lock"),
            Self::Twin => f.write_str("another process writes with the same identity"),
            Self::WentBackwards => {
                f.write_str("the server's history went backwards, as after a restore")
            }
            Self::BeingDeleted => f.write_str("the lock is being deleted"),
            Self::SteppedDown => f.write_str("stepped down"),
            Self::Asked(by) => write!(f, "asked to step down by {}", somebody(by)),
            Self::Paused(by) => write!(f, "the lock was paused by {}", somebody(by)),
            Self::Abandoned => f.write_str("leadership was dropped without a release"),
        }
    }
}
