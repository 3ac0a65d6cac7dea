//! Everything that a seed may do to a fleet: one name for each kind, and what it may break.

use std::fmt;

use crate::{clock::Nanos, plan::LockKind};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $weight:literal;)*) => {
        /// A kind of fault. Each has a name for people, and a weight: how often it is drawn.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum FaultKind { $($(#[$doc])* $kind,)* }

        impl FaultKind {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// How often it is drawn, against the others.
            pub fn weight(self) -> u64 {
                match self { $(Self::$kind => $weight,)* }
            }
        }
    };
}

kinds! {
    // Clocks.
    /// All clocks run at the extremes of rho, some fast and some slow, for the whole run.
    ClockRates = "clock-rates", 0;
    /// A clock's rate changes, within rho.
    ClockDrift = "clock-drift", 20;
    /// The wall clock is set, by up to hours, forwards or back.
    WallStep = "wall-step", 20;
    /// A clock runs faster or slower than rho allows.
    ClockBeyond = "clock-beyond-rho", 4;

    // Processes.
    /// A process stops, wherever it is, and goes on later (SIGSTOP).
    Freeze = "freeze", 50;
    /// A process stops between having decided to send something and the first byte.
    FreezeBeforeSend = "freeze-before-send", 40;
    /// The machine sleeps: timers stand still, the clock that leadership is judged by does not.
    Suspend = "suspend", 25;
    /// A virtual machine stops with all its clocks.
    VmPause = "vm-pause", 4;
    /// A process ends at once, and another is started in the same Pod.
    Crash = "crash", 30;
    /// A second process is started beside the first one, with the same identity.
    Twin = "twin", 12;
    /// The future that waits for leadership, or the leadership itself, is dropped.
    Cancel = "cancel", 25;
    /// The work does not end when it is told to.
    StubbornWork = "stubborn-work", 20;
    /// The leader steps down. Not a fault, but what faults are worst at.
    StepDown = "step-down", 60;

    // Messages.
    /// Requests and answers take seconds.
    Delays = "delays", 40;
    /// Requests are lost.
    RequestsLost = "requests-lost", 25;
    /// Requests are applied, and their answers are lost.
    RepliesLost = "replies-lost", 40;
    /// Requests arrive twice.
    Duplicates = "duplicates", 20;
    /// Requests are overtaken by later ones.
    Reordered = "reordered", 30;
    /// Answers break off.
    Truncated = "truncated", 15;
    /// Nothing that a candidate sends arrives.
    PartitionOut = "partition-out", 20;
    /// Nothing arrives at a candidate.
    PartitionIn = "partition-in", 20;
    /// A partition that comes and goes every few seconds.
    PartitionFlapping = "partition-flapping", 20;
    /// A partition that lasts until the faults end.
    PartitionLong = "partition-permanent", 8;

    // Answers of the server, or of something in between.
    /// 401 instead of an answer; nothing is applied.
    Unauthorized = "401", 6;
    /// 403.
    Forbidden = "403", 6;
    /// 404, as plain text or of another kind.
    NotFound = "404", 6;
    /// 409 without a reason to be found in the object.
    Conflict = "409", 8;
    /// 410.
    Gone = "410", 6;
    /// 429 with a Retry-After of an hour.
    TooMany = "429", 8;
    /// 500.
    Internal = "500", 6;
    /// 503.
    Unavailable = "503", 8;
    /// 504.
    Timeout = "504", 6;
    /// 401 after the request was applied.
    UnauthorizedAfter = "401-after", 4;
    /// 403 after the request was applied.
    ForbiddenAfter = "403-after", 4;
    /// 404 after the request was applied.
    NotFoundAfter = "404-after", 4;
    /// 409 after the request was applied, as a proxy that sends twice makes it.
    ConflictAfter = "409-after", 20;
    /// 410 after the request was applied.
    GoneAfter = "410-after", 4;
    /// 429 after the request was applied.
    TooManyAfter = "429-after", 6;
    /// 500 after the request was applied.
    InternalAfter = "500-after", 6;
    /// 503 after the request was applied.
    UnavailableAfter = "503-after", 8;
    /// 504 after the request was applied.
    TimeoutAfter = "504-after", 10;

    // Watches.
    /// A watch stays open and shows nothing.
    WatchSilent = "watch-silent", 25;
    /// A watch is cut, and cannot be opened again for a while.
    WatchCut = "watch-cut", 20;
    /// A watch shows events twice.
    WatchDuplicated = "watch-duplicated", 15;
    /// A watch shows events late and out of order.
    WatchReordered = "watch-reordered", 25;
    /// The history that a watch would go on from was compacted.
    WatchCompacted = "watch-compacted", 10;

    // Servers.
    /// A watch is served by a second API server that is behind.
    StaleServer = "stale-server", 20;
    /// The store is restored from a copy: resourceVersions go backwards.
    Restore = "restore", 4;

    // Pods.
    /// A Pod's object is deleted by force while its process goes on.
    ForceDelete = "force-delete", 12;
    /// A Pod is evicted: told to end, then removed.
    Evict = "evict", 20;
    /// A node is lost: the process is cut off for good, the Pod is removed later.
    NodeLost = "node-lost", 8;
    /// A Pod is replaced by another of the same name.
    NameReuse = "name-reuse", 15;
    /// The garbage collector comes late.
    GcLate = "gc-late", 20;
    /// There is no garbage collector for a while.
    GcOff = "gc-off", 10;

    // People.
    /// Somebody deletes the lock.
    PeopleDelete = "people-delete", 20;
    /// Somebody edits the lock: durations, times, transitions, labels.
    PeopleEdit = "people-edit", 30;
    /// Somebody empties the lock.
    PeopleEmpty = "people-empty", 12;
    /// Somebody writes another owner into the lock.
    PeopleReown = "people-reown", 12;
    /// Somebody deletes the lock and creates a copy of it.
    PeopleRecreate = "people-recreate", 10;

    /// A controller touches the lock's metadata every few seconds, from then on for good.
    PeopleLabel = "people-label", 15;

    // Fleets.
    /// Candidates go by different timings, as in a rolling change of settings.
    MixedTimings = "mixed-timings", 0;
    /// One of the candidates is no tenure, and follows client-go's rules.
    ForeignHolder = "foreign-holder", 0;
    /// Whoever has released the Lease leaves it to others, for no time at all up to an hour (L23).
    Cooldown = "cooldown", 0;
    /// Candidates trust the wall clocks of others within a skew, and it is within that (L24).
    TrustedClocks = "trusted-clocks", 0;

    // Out of its class: what was added last keeps the numbers of the others.
    /// The leader steps down and names its successor: one that stands, by its identity or its
    /// Pod's name, or one that nobody knows (L22).
    HandOver = "hand-over", 30;
    /// Candidates are part of sets, beside Leases that are none of theirs.
    Sets = "sets", 0;
    /// Somebody asks whoever holds the lock to step down, and names a successor or not (L25, F12).
    /// How often people ask is drawn by itself (plan/steering.rs).
    AskStepDown = "ask-step-down", 0;
    /// Somebody asks nobody: the holder of an earlier term, another holder, another object's, or in
    /// words that nobody understands.
    AskNobody = "ask-nobody", 0;
    /// Somebody pauses the Lease, in words or in garbage, and resumes it by and by (L26).
    PauseLease = "pause", 0;
}

/// Whom a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every candidate, or what they share.
    Everybody,
    /// Whoever sits in this seat at that moment.
    Seat(usize),
    /// Whoever leads at that moment, or else this seat.
    LeaderOr(usize),
}

/// One fault of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its number in its plan; it stays when others are taken out.
    pub id: u32,
    /// What kind it is.
    pub kind: FaultKind,
    /// When it begins.
    pub at: Nanos,
    /// How long it lasts, where it lasts.
    pub lasts: Nanos,
    /// Whom it strikes.
    pub target: Target,
    /// How many of a thousand messages it strikes, where it strikes messages.
    pub share: u32,
    /// What else it needs to be decided by.
    pub salt: u64,
}

impl FaultKind {
    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether it belongs to the fleet's settings rather than to a moment.
    #[must_use]
    pub fn is_setting(self) -> bool {
        matches!(
            self,
            Self::ClockRates
                | Self::MixedTimings
                | Self::ForeignHolder
                | Self::Cooldown
                | Self::TrustedClocks
                | Self::Sets
        )
    }

    /// How often it is drawn for that lock. A lock for life changes hands with its Pods, where a
    /// Lease does by time alone.
    #[must_use]
    pub fn weight_for(self, lock: LockKind) -> u64 {
        let of_pods = matches!(
            self,
            Self::Crash | Self::Evict | Self::NameReuse | Self::ForceDelete | Self::NodeLost
        );
        self.weight() * if of_pods && lock.is_for_life() { 4 } else { 1 }
    }

    /// Whether who is struck does nothing for a while.
    #[must_use]
    pub fn is_a_sleep(self) -> bool {
        matches!(
            self,
            Self::Freeze | Self::FreezeBeforeSend | Self::Suspend | Self::VmPause
        )
    }

    /// Whether a write may be told to be refused that was applied all the same.
    #[must_use]
    pub fn misleads(self) -> bool {
        matches!(
            self,
            Self::Unauthorized
                | Self::Forbidden
                | Self::Gone
                | Self::UnauthorizedAfter
                | Self::ForbiddenAfter
                | Self::GoneAfter
        )
    }

    /// Whether it is people who do it, to the lock itself.
    #[must_use]
    pub fn is_by_people(self) -> bool {
        matches!(
            self,
            Self::PeopleDelete
                | Self::PeopleEdit
                | Self::PeopleEmpty
                | Self::PeopleReown
                | Self::PeopleRecreate
                | Self::PeopleLabel
        ) || self.is_a_request()
    }

    /// Whether people ask for something by an annotation on the lock.
    #[must_use]
    pub fn is_a_request(self) -> bool {
        matches!(self, Self::AskStepDown | Self::AskNobody | Self::PauseLease)
    }

    /// Whether it means anything for this kind of lock.
    #[must_use]
    pub fn concerns(self, lock: LockKind) -> bool {
        match self {
            Self::GcLate | Self::GcOff | Self::ForceDelete => lock.is_for_life(),
            Self::MixedTimings
            | Self::ForeignHolder
            | Self::Cooldown
            | Self::TrustedClocks
            | Self::Sets
            | Self::PauseLease
            | Self::HandOver => !lock.is_for_life(),
            _ => true,
        }
    }

    /// What docs/protocol.md does not cover: why this fault may break invariant 1 for that lock,
    /// if it may.
    #[must_use]
    pub fn not_covered(self, lock: LockKind, strict: bool) -> Option<&'static str> {
        let why = match (self, lock.is_for_life()) {
            (Self::ClockBeyond, false) => "a clock rate beyond rho",
            (Self::VmPause, false) => "a virtual machine paused with all its clocks",
            (Self::Restore, _) => "a restore without a bumped revision",
            (Self::PeopleReown | Self::PeopleRecreate, false) => {
                "a held Lease put back by hand before its holder notices"
            }
            (Self::PeopleDelete, false) if !strict => {
                "a held Lease deleted by hand, and a candidate that never saw its record"
            }
            (Self::PeopleEmpty, false) if !strict => {
                "a held Lease emptied by hand, and a candidate that never saw its record"
            }
            (Self::ForceDelete, true) => "a Pod deleted by force while its process goes on",
            (Self::NodeLost, true) => "the Pod of a lost node removed while its process goes on",
            (Self::NameReuse, true) => "a Pod removed before its process has ended",
            (
                Self::PeopleDelete
                | Self::PeopleEdit
                | Self::PeopleEmpty
                | Self::PeopleReown
                | Self::PeopleRecreate,
                true,
            ) => "a lock edited or deleted by hand",
            _ => return None,
        };
        Some(why)
    }
}

impl Fault {
    /// When it ends.
    #[must_use]
    pub fn ends(&self) -> Nanos {
        self.at.saturating_add(self.lasts)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for (number, kind) in FaultKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, number);
            assert_eq!(FaultKind::named(kind.name()), Some(*kind));
        }
    }
}
