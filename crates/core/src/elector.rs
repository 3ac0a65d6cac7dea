//! The one surface of both protocols.

use std::sync::Arc;

use crate::{
    Outcome, ResourceVersion, Version,
    status::{Notice, Status},
    time::{Instant, Now},
};

/// A protocol: events in, actions out. The [crate's manual](crate) says how to drive one.
pub trait Elector {
    /// What it asks of the server (or of the machine).
    type Request;
    /// What a successful answer brings.
    type Answer;
    /// What a watch shows of the lock.
    type Object;

    /// Take in what happened. `now` was read before the event was handed in.
    fn handle(&mut self, now: Now, event: Event<Self::Answer, Self::Object>);

    /// The next thing to be done, until there is none.
    fn poll(&mut self) -> Option<Action<Self::Request>>;

    /// When to call `handle` with [`Event::Tick`] at the latest.
    fn deadline(&self) -> Option<Instant>;

    /// Whether this process may lead, and until when.
    fn belief(&self) -> Option<Belief>;

    /// What to show.
    fn status(&self) -> Status;

    /// The newest state of the lock that it has taken in. An event of the watch that shows this very
    /// state says nothing new: a driver that has many of them may keep it to itself.
    fn newest(&self) -> Option<&ResourceVersion> {
        None
    }

    /// When it will send its next write unless it sees something until then: for a driver that prepares
    /// what the write goes over. None where that is not known, or others will most likely be first.
    fn turn(&self) -> Option<Instant> {
        None
    }
}

/// Leadership, as far as this process may believe in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belief {
    /// The term's number, for people (L18). Zero for leader for life.
    pub term: u64,
    /// The fencing token: the resourceVersion of the write that acquired (L19).
    pub token: ResourceVersion,
    /// The first moment at which belief is over; none for leader for life.
    pub valid_until: Option<Instant>,
}

/// Which call an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<A, O> {
    /// Time passed.
    Tick,
    /// Somebody here wants something.
    Command(Command),
    /// A call was answered, or its time is over.
    Answer {
        /// Which.
        id: CallId,
        /// How.
        outcome: Outcome<A>,
    },
    /// The watch showed something.
    Watch(Sight<O>),
    /// The watch has been opened: what happened before may have been missed.
    WatchOpened,
    /// There is no watch at present.
    WatchClosed,
}

/// What a watch shows. A hint that speeds things up, never the ground for leading (L15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight<O> {
    /// The lock looks like this.
    Seen(O),
    /// The lock was removed; the version is that of the removal.
    Gone(Version),
}

/// What the owner of an election asks of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Stand for election until leading. Repeating it changes nothing.
    Stand,
    /// Stand no more. An acquisition under way is given back.
    Withdraw,
    /// Tell the work to end (L10). [`Command::WorkEnded`] has to follow. Nothing happens to who
    /// does not lead.
    StepDown,
    /// The same, and the release names who goes first (L22): an identity, or the name or uid of its
    /// Pod. Of several that are named during one term, the last counts. A lock for life cannot name
    /// anybody; there it is [`Command::StepDown`].
    HandOver {
        /// Whom.
        to: Arc<str>,
    },
    /// The work has ended: belief ends, and the lock is released if `release` says so.
    WorkEnded {
        /// Whether to give up the lock rather than let it run out.
        release: bool,
    },
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<R> {
    /// Make this call and answer it with [`Event::Answer`].
    Call {
        /// The name of the call.
        id: CallId,
        /// The call.
        request: R,
    },
    /// Tell this to whom it may concern.
    Notify(Notice),
}
