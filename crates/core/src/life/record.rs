//! What a lock says, what is written there, and the calls about it.

use std::sync::Arc;

use crate::{
    asked::StepDown,
    identity::Nonce,
    version::{Uid, Version},
};

use super::sight::{PodSight, ProcessId, ProcessSight};

/// A lock as somebody read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockObject {
    /// Which state of which object.
    pub version: Version,
    /// It has a deletionTimestamp and only waits for a finalizer.
    pub being_deleted: bool,
    /// Its owner references, all of them.
    pub owners: Vec<OwnerRef>,
    /// What the annotations say, if there are any of ours.
    pub record: Option<LifeRecord>,
    /// What else speaks against its being a lock, for people: data in it, or annotations of ours
    /// that cannot be understood (F11).
    pub foreign: Option<Arc<str>>,
    /// The request to step down that stands there, if there is one that can be read (F12).
    pub step_down: Option<Box<StepDown>>,
}

/// One owner reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerRef {
    /// `apiVersion`.
    pub api_version: Arc<str>,
    /// `kind`.
    pub kind: Arc<str>,
    /// `name`.
    pub name: Arc<str>,
    /// `uid`.
    pub uid: Uid,
    /// `controller`; the seed sets it, we do not (F1).
    pub controller: Option<bool>,
    /// `blockOwnerDeletion`; the seed sets it, we do not (F1).
    pub block_owner_deletion: Option<bool>,
}

/// What the annotations of a lock say about the process that leads by it (F1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeRecord {
    /// Its Pod's name.
    pub pod_name: Arc<str>,
    /// Its Pod's uid.
    pub pod_uid: Uid,
    /// Its container's name, where it knew it.
    pub container: Option<Arc<str>>,
    /// Its container's id, where it could tie one to itself.
    pub container_id: Option<Arc<str>>,
    /// The process itself, where it could be named.
    pub process: Option<ProcessId>,
    /// What tells this term from every other.
    pub nonce: Nonce,
}

/// What a write of ours puts into a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeWrite {
    /// The one owner reference.
    pub owner: OwnerRef,
    /// The annotations.
    pub record: LifeRecord,
}

/// A call about the lock or its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A quorum read of the lock. Answered by [`Answer::Lock`].
    Read,
    /// A create. Its precondition is that there is no such object. Answered by [`Answer::Lock`].
    Create(LifeWrite),
    /// A replace of exactly this state, which was in an answer or a watch event that was handed
    /// in. Answered by [`Answer::Lock`].
    Replace {
        /// The state that is replaced: both parts are sent.
        base: Version,
        /// What is put there.
        write: LifeWrite,
    },
    /// A delete of exactly this state (F5): both parts are sent. Answered by
    /// [`Answer::Deleted`], or by [`Answer::Lock`] if a finalizer holds the object back.
    Delete {
        /// The state that is deleted.
        version: Version,
    },
    /// A quorum read of a Pod in the lock's namespace, begun now (F8). Answered by
    /// [`Answer::Pod`]; [`Outcome::NotFound`](crate::Outcome::NotFound) only for a `Status` 404
    /// of kind `pods`.
    ReadPod {
        /// Its name.
        name: Arc<str>,
    },
    /// Look whether this process is there (F3). Answered by [`Answer::Process`].
    InspectProcess(ProcessId),
}

/// What a successful call brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The lock.
    Lock(LockObject),
    /// The lock is gone.
    Deleted,
    /// The Pod.
    Pod(PodSight),
    /// What became of the process.
    Process(ProcessSight),
}

impl OwnerRef {
    /// The owner reference that our locks carry (F1).
    pub fn pod(name: impl Into<Arc<str>>, uid: Uid) -> Self {
        Self {
            api_version: "v1".into(),
            kind: "Pod".into(),
            name: name.into(),
            uid,
            controller: None,
            block_owner_deletion: None,
        }
    }

    /// Whether the owner is a Pod.
    pub fn is_pod(&self) -> bool {
        *self.kind == *"Pod" && *self.api_version == *"v1"
    }
}
