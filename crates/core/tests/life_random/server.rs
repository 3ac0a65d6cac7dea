//! The API server, as far as one lock goes.

use tenure_core::{Outcome, Sight, Uid, Version, life::*};

use super::world::{Happening, SEATS, What, World};

impl World {
    pub(super) fn serve(&mut self, request: Request) -> Outcome<Answer> {
        let is = |lock: &LockObject, version: &Version| lock.version == *version;
        match request {
            Request::Read => match &self.lock {
                Some(lock) => Outcome::Done(Answer::Lock(lock.clone())),
                None => Outcome::NotFound("no lock".into()),
            },
            Request::Create(_) if self.lock.is_some() => Outcome::AlreadyExists,
            Request::Create(write) => {
                let uid = Uid::new(format!("lock-{}", self.number()));
                self.write(uid, write)
            }
            Request::Replace { base, write } => match &self.lock {
                Some(lock) if is(lock, &base) => self.write(base.uid, write),
                _ => Outcome::Conflict,
            },
            Request::Delete { version } => match &self.lock {
                None => Outcome::NotFound("no lock".into()),
                Some(lock) if !is(lock, &version) => Outcome::Conflict,
                Some(_) => {
                    self.delete();
                    let left = self.lock.clone();
                    Outcome::Done(left.map_or(Answer::Deleted, Answer::Lock))
                }
            },
            Request::ReadPod { name } => {
                let found = self.pods.iter().enumerate().find_map(|(slot, pod)| {
                    pod.as_ref().filter(|_| *format!("pod-{slot}") == *name)
                });
                match found {
                    Some(pod) => Outcome::Done(Answer::Pod(pod.sight.clone())),
                    None => Outcome::NotFound("no pod".into()),
                }
            }
            Request::InspectProcess(process) => {
                let lives = self
                    .processes
                    .iter()
                    .flatten()
                    .any(|p| p.pid == process.pid);
                let sight = if lives {
                    ProcessSight::Alive
                } else {
                    ProcessSight::Gone
                };
                Outcome::Done(Answer::Process(sight))
            }
        }
    }

    pub(super) fn write(&mut self, uid: Uid, write: LifeWrite) -> Outcome<Answer> {
        let being_deleted = self.lock.as_ref().is_some_and(|lock| lock.being_deleted);
        let lock = LockObject {
            version: Version {
                uid,
                resource_version: self.next_version(),
            },
            being_deleted,
            owners: vec![write.owner],
            record: Some(write.record),
            foreign: None,
            step_down: None,
        };
        self.put(lock.clone());
        Outcome::Done(Answer::Lock(lock))
    }

    pub(super) fn delete(&mut self) {
        let Some(mut lock) = self.lock.take() else {
            return;
        };
        if !self.finalizers || lock.being_deleted {
            self.lock = Some(lock);
            if !self.finalizers {
                self.remove();
            }
            return;
        }
        lock.being_deleted = true;
        lock.version.resource_version = self.next_version();
        self.after(100, 8000, Happening::Finalize(lock.version.uid.clone()));
        self.put(lock);
    }

    pub(super) fn put(&mut self, lock: LockObject) {
        self.lock = Some(lock.clone());
        self.show(&Sight::Seen(lock));
    }

    pub(super) fn remove(&mut self) {
        if let Some(lock) = self.lock.take() {
            let version = Version {
                uid: lock.version.uid,
                resource_version: self.next_version(),
            };
            self.log(|| format!("the lock {} is gone", version.uid));
            self.show(&Sight::Gone(version));
        }
    }

    /// Watch events are late, and overtake each other.
    pub(super) fn show(&mut self, sight: &Sight<LockObject>) {
        for slot in SEATS {
            let Some(pid) = self.processes[slot].as_ref().map(|process| process.pid) else {
                continue;
            };
            let most = if self.rng.one_in(10) { 5000 } else { 60 };
            let event = What::Watch(sight.clone());
            self.after(1, most, Happening::process(slot, pid, event));
        }
    }
}
