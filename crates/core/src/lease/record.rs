//! What a Lease says, and what is asked of it.

use std::sync::Arc;

use crate::{
    asked::{Paused, StepDown},
    identity::{Identity, Nonce},
    time::MicroTime,
    version::Version,
};

/// A Lease as somebody read it. Whatever stood there is understood (L20): what is missing, null or
/// makes no sense is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Which state of which object.
    pub version: Version,
    /// Its spec.
    pub spec: Spec,
    /// The write annotation, if there is one that can be read.
    pub mark: Option<WriteMark>,
    /// The request to step down that stands there, if there is one that can be read (L25).
    pub step_down: Option<Box<StepDown>>,
    /// Whether it is paused, and what is said of it (L26).
    pub paused: Option<Box<Paused>>,
}

/// The spec of a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// `holderIdentity`. Empty and missing both mean that nobody holds it.
    pub holder: Option<Arc<str>>,
    /// `leaseDurationSeconds`.
    pub duration_seconds: Option<i64>,
    /// `acquireTime`.
    pub acquire_time: Option<MicroTime>,
    /// `renewTime`.
    pub renew_time: Option<MicroTime>,
    /// `leaseTransitions`.
    pub transitions: Option<i64>,
    /// All other fields, known to us or not, in one canonical text; they survive our writes (L5)
    /// and count where whole specs are compared (L6).
    pub foreign: Option<Arc<str>>,
}

/// The one annotation that every write of ours carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteMark {
    /// The process that wrote.
    pub nonce: Nonce,
    /// Its how-manieth write that was.
    pub counter: u64,
    /// The holder that it wrote.
    pub holder: Arc<str>,
    /// The lease duration that the writer goes by, in seconds.
    pub duration_seconds: u32,
    /// The `renewTime` that it wrote.
    pub renew_time: MicroTime,
    /// Whether the writer gave up the lock with it.
    pub released: bool,
    /// Whom the writer wants to lead next, on a release (L22).
    pub successor: Option<Arc<str>>,
}

/// What a write of ours puts into a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseWrite {
    /// The whole spec.
    pub spec: Spec,
    /// The annotation.
    pub mark: WriteMark,
    /// Whether it begins a term: then a request to step down, which was one to an earlier term, goes
    /// with it (L25).
    pub acquires: bool,
}

/// A call about the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A quorum read.
    Read,
    /// A create. Its precondition is that there is no such Lease.
    Create(LeaseWrite),
    /// A replace of exactly this state, which was in an answer or a watch event that was handed
    /// in. Fields, labels and annotations of others survive it (L5).
    Replace {
        /// The state that is replaced: both parts are sent.
        base: Version,
        /// What is put there.
        write: LeaseWrite,
    },
}

impl Spec {
    /// The holder, if somebody holds it.
    pub fn holder(&self) -> Option<&Arc<str>> {
        self.holder.as_ref().filter(|holder| !holder.is_empty())
    }
}

impl Observed {
    /// The same, with this candidate's own copies of its own words: of what a leader keeps for long there
    /// is one of each.
    pub(super) fn in_words_of(mut self, me: &Identity, nonce: &Nonce) -> Self {
        let mine = |text: &mut Arc<str>| {
            if **text == *me.as_str() {
                *text = me.to_arc();
            }
        };
        if let Some(holder) = &mut self.spec.holder {
            mine(holder);
        }
        if let Some(mark) = &mut self.mark {
            mine(&mut mark.holder);
            if mark.nonce == *nonce {
                mark.nonce = nonce.clone();
            }
        }
        self
    }

    /// The annotation, where it speaks for this record: its holder and `renewTime` are the
    /// spec's. A stale one (client-go keeps it on a Lease that it takes) says nothing.
    pub fn speaking_mark(&self) -> Option<&WriteMark> {
        let holder = self.spec.holder.as_deref()?;
        self.mark
            .as_ref()
            .filter(|mark| *mark.holder == *holder && Some(mark.renew_time) == self.spec.renew_time)
    }

    /// Whether this is free at once as far as its last holder goes: given up by a mark that speaks
    /// (L13). Nothing else without a holder is.
    pub fn released_by(&self) -> Option<&Nonce> {
        if self.spec.holder().is_some() {
            return None;
        }
        self.speaking_mark()
            .filter(|mark| mark.released)
            .map(|mark| &mark.nonce)
    }

    /// Whom the one who gave it up wants to lead next (L22).
    pub fn successor(&self) -> Option<&Arc<str>> {
        self.released_by()?;
        self.speaking_mark()?.successor.as_ref()
    }

    /// Whether `other` says the same, metadata aside: uid, spec and annotation (L2).
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.version.uid == other.version.uid && self.spec == other.spec && self.mark == other.mark
    }

    /// Whether this is what `write` puts there, annotation and whole spec (L6).
    pub fn is(&self, write: &LeaseWrite) -> bool {
        self.mark.as_ref() == Some(&write.mark) && self.spec == write.spec
    }
}
