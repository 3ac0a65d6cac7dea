//! What happened in a run, in true time: what the checkers see, and what a timeline is drawn from.
//! Both depths tell it in these words.

use std::sync::Arc;

use tenure_core::{Notice, Status, StepDown};

use crate::{clock::Nanos, fault::FaultKind};

/// One start of one process. No two are equal within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u32);

/// Something that happened.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "they are told one by one, by reference"
)]
pub enum Happening {
    /// A process began.
    Started {
        /// Which.
        process: ProcessId,
        /// Where it sits.
        seat: usize,
        /// What it writes as the holder (Lease), or its Pod's uid (for life).
        identity: Arc<str>,
        /// Whether it is one of ours.
        ours: bool,
        /// G, in true time at this process's clock: how long its work has once it was told.
        grace: Nanos,
        /// H, by this process's clock; none for locks for life.
        trusts: Option<Nanos>,
        /// Whether it goes by wall clocks at its first sight of the Lease (L24).
        trusts_clocks: bool,
        /// For how long it leaves a Lease to others that it has released (L23), by its clock.
        cooldown: Nanos,
    },
    /// A process ended: it believes nothing any more.
    Ended {
        /// Which.
        process: ProcessId,
    },
    /// A process did nothing from `since` until now.
    Slept {
        /// Which.
        process: ProcessId,
        /// Since when.
        since: Nanos,
    },
    /// What `is_leading()` may answer from now on.
    Belief {
        /// Whose.
        process: ProcessId,
        /// True until then, as far as its clock's present rate goes.
        belief: Option<Believed>,
    },
    /// What a process shows of itself.
    Status {
        /// Which.
        process: ProcessId,
        /// What.
        status: Status,
    },
    /// What a process's elector told.
    Notice {
        /// Which.
        process: ProcessId,
        /// What.
        notice: Notice,
    },
    /// The work of a leader began or ended.
    Work {
        /// Whose.
        process: ProcessId,
        /// Whether it runs now.
        runs: bool,
        /// Whether it ends when it is told to.
        obedient: bool,
    },
    /// The work of a leader was told to end.
    GivenUntil {
        /// Whose.
        process: ProcessId,
        /// Until when it has time.
        by: Nanos,
        /// When validity ends, by the same clock; never for locks for life.
        ends: Option<Nanos>,
    },
    /// The program of a leader has told it to end its term, and whom to name. Told where that is heard
    /// at once: by the pure protocol.
    HandsOver {
        /// Which.
        process: ProcessId,
        /// Whom.
        to: Arc<str>,
    },
    /// A process asked the server for something.
    Asked {
        /// Which.
        process: ProcessId,
        /// For how long it did nothing since the last answer, where it reads now and this world
        /// measures it to the nanosecond.
        rested: Option<Nanos>,
    },
    /// A process stands for election from now on, or no more.
    Stands {
        /// Which.
        process: ProcessId,
        /// Whether it does now.
        stands: bool,
    },
    /// The watch of a process opened, or has ended.
    Watching {
        /// Whose.
        process: ProcessId,
        /// Whether it is open now.
        open: bool,
    },
    /// The lock was written.
    Wrote(Write),
    /// A leader's work wrote to a resource that checks fencing tokens.
    Fenced {
        /// Whose work.
        process: ProcessId,
        /// The token that it showed.
        token: u64,
        /// Whether the resource took it.
        accepted: bool,
    },
    /// A fault struck, or struck again.
    Struck {
        /// Which fault of the plan, where it is one of a moment.
        fault: u32,
        /// Of which kind.
        kind: FaultKind,
        /// Whom, where it is one process.
        process: Option<ProcessId>,
    },
    /// What comes of the present beliefs of a process is not covered (docs/protocol.md).
    Excused {
        /// Whose.
        process: ProcessId,
        /// By which fault.
        kind: FaultKind,
        /// Together with whom.
        against: Against,
        /// The whole process from now on, rather than its present term.
        for_good: bool,
    },
    /// A process has seen the lock, or a trace of it. For locks for life only the first time is
    /// told.
    Sees {
        /// Which.
        process: ProcessId,
        /// The resourceVersion that it was shown; 0 where there is none in it.
        version: u64,
        /// By what.
        how: Seeing,
    },
    /// A watch has shown a process the lock, or its end: what it makes of answers that are older
    /// than this is its own doing. Told for locks for life.
    Shown {
        /// Which.
        process: ProcessId,
        /// The resourceVersion that was shown.
        version: u64,
    },
    /// History was taken back: tokens may come again.
    Restored,
    /// The last fault has ended. Somebody has to lead within that time.
    Peace {
        /// The longest time until somebody leads.
        within: Nanos,
    },
    /// Something that may never happen: a panic, a call that no rule allows, a task left behind.
    Broken {
        /// Which process, if it is one's.
        process: Option<ProcessId>,
        /// What.
        what: String,
    },
}

/// Leadership as a process may believe in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Believed {
    /// The term's number, for people.
    pub term: u64,
    /// The fencing token.
    pub token: u64,
    /// The first moment of true time at which it is over, if nothing else happens.
    pub until: Option<Nanos>,
}

/// How a process comes to know a state of the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeing {
    /// Its watch shows it.
    Watched,
    /// Its watch shows that it was removed.
    Gone,
    /// It stands in an answer.
    Answered,
    /// An answer says that there is one already, and not which.
    Exists,
    /// An answer says that it is not there.
    Absent,
}

/// Together with whom the belief of a process is not covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// With anybody.
    Everybody,
    /// With who had seen no trace of the lock by then.
    TheUnaware,
    /// With who had not been shown the record of that belief by then: where durations differ,
    /// nothing else tells how long it has to be waited for.
    WhoNeverSawTheRecord,
}

/// A change of the lock object, as it was applied.
#[derive(Clone, Debug)]
pub struct Write {
    /// Who made it.
    pub by: Author,
    /// The precondition that it carried: uid and resourceVersion.
    pub base: Option<(Arc<str>, u64)>,
    /// What stood there.
    pub before: Option<Snapshot>,
    /// What stands there now.
    pub after: Option<Snapshot>,
    /// When the state that it replaces was written.
    pub since: Nanos,
    /// When it left its process; now, for all others.
    pub sent: Nanos,
    /// For a delete of a lock for life by one of ours: what makes it right, if anything does.
    pub warrant: Option<Warrant>,
}

/// Why a lock for life may be deleted by one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warrant {
    /// It is the deleting process's own (F4, F10).
    Own,
    /// Its owner Pod is gone, in truth (F8).
    OwnerGone,
    /// Its owner's container has ended and will not be started again, in truth (F9).
    ContainerEnded,
}

/// Who changed the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// A process of the fleet.
    Process(ProcessId),
    /// Somebody by hand.
    Person,
    /// The garbage collector.
    Collector,
    /// A restore from a copy.
    Restore,
}

/// A state of the lock object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Which object.
    pub uid: Arc<str>,
    /// Its resourceVersion.
    pub version: u64,
    /// The holder (Lease) or the owner Pod's uid (for life); none where there is none.
    pub holder: Option<Arc<str>>,
    /// The nonce in its annotation, whether that speaks for the record or not.
    pub nonce: Option<Arc<str>>,
    /// The number of the write in its annotation (Lease).
    pub write: Option<u64>,
    /// Its annotation was written with the rest of it (Lease).
    pub speaks: bool,
    /// The lease duration that protects it: the annotation's where it speaks, else the spec's.
    pub protects: Nanos,
    /// `leaseDurationSeconds`.
    pub seconds: Option<i64>,
    /// It was given up with the release mark (L13).
    pub released: bool,
    /// `leaseTransitions`.
    pub transitions: Option<i64>,
    /// `acquireTime`, in microseconds.
    pub acquired: Option<i64>,
    /// `renewTime`, in microseconds.
    pub renewed: Option<i64>,
    /// What others have put there, in one text.
    pub foreign: Option<Arc<str>>,
    /// The request to step down that stands there and can be understood (L25, F12).
    pub asked: Option<Box<Asked>>,
    /// What is said of the pause, where it is paused (L26).
    pub paused: Option<Arc<str>>,
    /// Whom a release names (L22).
    pub successor: Option<Arc<str>>,
}

/// A request to step down, as it stands in a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who is asked: a holder (Lease), or the nonce of a term (for life).
    pub holder: Arc<str>,
    /// In which term of a Lease.
    pub transitions: Option<i64>,
    /// Of which object.
    pub uid: Arc<str>,
    /// Who is to lead next.
    pub to: Option<Arc<str>>,
    /// Who asks.
    pub by: Arc<str>,
}

impl From<&StepDown> for Asked {
    fn from(asked: &StepDown) -> Self {
        Self {
            holder: Arc::clone(&asked.holder),
            transitions: asked.transitions,
            uid: asked.uid.as_str().into(),
            to: asked.to.clone(),
            by: Arc::clone(&asked.by),
        }
    }
}
