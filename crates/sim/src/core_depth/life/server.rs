//! The lock as a server keeps it: compare-and-swap, finalizers, resourceVersions, and a history.

use std::sync::Arc;

use tenure_core::{
    ResourceVersion, Sight, StepDown, Uid, Version,
    life::{LifeRecord, LockObject, OwnerRef},
};

use crate::{
    clock::Nanos,
    trace::{Asked, Snapshot},
};

#[derive(Default)]
pub(super) struct Server {
    lock: Option<Stored>,
    revision: u64,
    uids: u64,
    history: Vec<Past>,
}

/// The lock, and when it was written.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) content: Content,
    pub(super) version: Version,
    pub(super) being_deleted: bool,
    pub(super) since: Nanos,
    /// The process whose record was in it when it was created: whatever was edited since, that one
    /// may lead by it.
    made_for: Option<u32>,
}

/// What is written in a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) owners: Vec<OwnerRef>,
    pub(super) record: Option<LifeRecord>,
    /// Labels, which nobody asks about.
    pub(super) labels: Option<Arc<str>>,
    /// Why it is no lock: data in it, or annotations that cannot be read.
    pub(super) no_lock: Option<Arc<str>>,
    /// A request to step down (F12).
    pub(super) asked: Option<Box<StepDown>>,
}

#[derive(Clone, Debug)]
struct Past {
    at: Nanos,
    revision: u64,
    /// The lock, or the last state of the one that was removed.
    state: Result<Stored, Version>,
}

impl Server {
    pub(super) fn lock(&self) -> Option<&Stored> {
        self.lock.as_ref()
    }

    /// A new object with that content.
    pub(super) fn create(&mut self, now: Nanos, content: Content) -> &Stored {
        self.uids += 1;
        let uid = Uid::new(format!("lock-{}", self.uids));
        self.keep(now, uid, content, false)
    }

    /// Put another content into the object that is there.
    pub(super) fn put(&mut self, now: Nanos, content: Content) -> Option<&Stored> {
        let old = self.lock.as_ref()?;
        let (uid, being_deleted) = (old.version.uid.clone(), old.being_deleted);
        Some(self.keep(now, uid, content, being_deleted))
    }

    /// A finalizer holds the object back.
    pub(super) fn mark_deleted(&mut self, now: Nanos) -> Option<&Stored> {
        let old = self.lock.as_ref()?;
        let (uid, content) = (old.version.uid.clone(), old.content.clone());
        Some(self.keep(now, uid, content, true))
    }

    /// The object goes.
    pub(super) fn remove(&mut self, now: Nanos) -> Option<Sight<LockObject>> {
        let old = self.lock.take()?;
        self.revision += 1;
        let version = Version {
            uid: old.version.uid,
            resource_version: self.newest(),
        };
        self.history.push(Past {
            at: now,
            revision: self.revision,
            state: Err(version.clone()),
        });
        Some(Sight::Gone(version))
    }

    /// What was the newest then, if anything was.
    pub(super) fn state_at(&self, then: Nanos) -> Option<Sight<LockObject>> {
        let past = self.past(then)?;
        Some(match &past.state {
            Ok(stored) => Sight::Seen(stored.object()),
            Err(version) => Sight::Gone(version.clone()),
        })
    }

    /// What was in the lock at some time, for those who keep copies.
    pub(super) fn copy(&self, choice: u64) -> Option<&Content> {
        let contents: Vec<&Content> = self
            .history
            .iter()
            .rev()
            .take(30)
            .filter_map(|past| past.state.as_ref().ok())
            .map(|stored| &stored.content)
            .collect();
        let index = usize::try_from(choice).ok()?.checked_rem(contents.len())?;
        Some(contents[index])
    }

    /// Put everything back to what it was then, the resourceVersion included.
    pub(super) fn restore(&mut self, then: Nanos) -> bool {
        let Some(past) = self.past(then).cloned() else {
            return false;
        };
        if past.revision == self.revision {
            return false;
        }
        self.revision = past.revision;
        self.lock = past.state.ok();
        true
    }

    fn newest(&self) -> ResourceVersion {
        ResourceVersion::new(self.revision.to_string())
    }

    fn past(&self, then: Nanos) -> Option<&Past> {
        let after = self.history.partition_point(|past| past.at <= then);
        after.checked_sub(1).map(|index| &self.history[index])
    }

    fn keep(&mut self, now: Nanos, uid: Uid, content: Content, being_deleted: bool) -> &Stored {
        self.revision += 1;
        let made_for = match &self.lock {
            Some(lock) if lock.version.uid == uid => lock.made_for,
            _ => content.process(),
        };
        let stored = Stored {
            content,
            version: Version {
                uid,
                resource_version: self.newest(),
            },
            being_deleted,
            since: now,
            made_for,
        };
        self.history.push(Past {
            at: now,
            revision: self.revision,
            state: Ok(stored.clone()),
        });
        self.lock.insert(stored)
    }
}

impl Stored {
    /// The number of the process that may lead by it.
    pub(super) fn process(&self) -> Option<u32> {
        self.content.process().or(self.made_for)
    }

    /// As somebody reads it.
    pub(super) fn object(&self) -> LockObject {
        LockObject {
            version: self.version.clone(),
            being_deleted: self.being_deleted,
            owners: self.content.owners.clone(),
            record: self.content.record.clone(),
            foreign: self.content.no_lock.clone(),
            step_down: self.content.asked.clone(),
        }
    }

    /// As the checkers see it.
    pub(super) fn snapshot(&self) -> Snapshot {
        let content = &self.content;
        let others = [&content.labels, &content.no_lock];
        let others: Vec<&str> = others.into_iter().flatten().map(|text| &**text).collect();
        Snapshot {
            uid: self.version.uid.as_str().into(),
            version: number(&self.version.resource_version),
            holder: content.owner().map(|uid| uid.as_str().into()),
            nonce: content
                .record
                .as_ref()
                .map(|record| record.nonce.as_str().into()),
            write: None,
            speaks: false,
            protects: 0,
            seconds: None,
            released: false,
            transitions: None,
            acquired: None,
            renewed: None,
            foreign: (!others.is_empty()).then(|| others.join("; ").into()),
            asked: content
                .asked
                .as_deref()
                .map(|asked| Asked::from(asked).into()),
            paused: None,
            successor: None,
        }
    }
}

impl Content {
    /// The uid of the Pod that the lock belongs to; none if it is no lock (F1, F11).
    pub(super) fn owner(&self) -> Option<&Uid> {
        let reference = match self.owners.as_slice() {
            [] => None,
            [one] if one.is_pod() => Some(&one.uid),
            _ => return None,
        };
        let recorded = self.record.as_ref().map(|record| &record.pod_uid);
        match (recorded, reference) {
            _ if self.no_lock.is_some() => None,
            (Some(recorded), Some(reference)) if recorded != reference => None,
            (recorded, reference) => recorded.or(reference),
        }
    }

    /// The number of the process whose nonce stands there.
    pub(super) fn process(&self) -> Option<u32> {
        let nonce = self.record.as_ref()?.nonce.as_str();
        let (process, _) = nonce.strip_prefix('n')?.split_once('-')?;
        process.parse().ok()
    }
}

pub(super) fn number(version: &ResourceVersion) -> u64 {
    version.as_str().parse().unwrap_or(0)
}
