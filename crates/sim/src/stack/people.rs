//! People who meddle with the lock: every kind of edit that was ever seen on a cluster.

use http::Method;
use serde_json::{Value, json};

use crate::{
    clock::SECOND,
    fault::{Fault, FaultKind},
    plan::LockKind,
    rng::Rng,
    trace::Against,
};

use super::{
    cluster::Later,
    record,
    world::{Due, World},
};

impl World<'_> {
    pub(super) fn meddle(&mut self, fault: &Fault) -> bool {
        match (fault.kind, self.plan.lock.is_for_life()) {
            (FaultKind::PeopleDelete, false) => self.lease_deleted(fault),
            (FaultKind::PeopleEdit, false) => self.lease_edited(fault),
            (FaultKind::PeopleEmpty, false) => self.lease_emptied(fault),
            (FaultKind::PeopleReown, false) => self.lease_reowned(fault),
            (FaultKind::PeopleRecreate, false) => self.lease_recreated(fault),
            (kind, true) => {
                let holder = self.holder();
                let done = self.life_meddled(kind, fault);
                if done {
                    self.excuse(kind, Against::Everybody, holder);
                }
                done
            }
            _ => false,
        }
    }

    /// What people do to a lock for life.
    fn life_meddled(&mut self, kind: FaultKind, fault: &Fault) -> bool {
        let mut rng = Rng::new(fault.salt, 44);
        let (path, collection) = (self.api.path(), self.api.collection());
        match kind {
            FaultKind::PeopleDelete => {
                // Now and then it stays for a while, being deleted.
                let holds = [0, 0, 20, 90][rng.index(4)];
                if holds > 0 {
                    self.edit(|lock| lock["metadata"]["finalizers"] = json!(["example.com/hold"]));
                    let until = self.now + SECOND + rng.below(holds * SECOND);
                    self.at(until, Due::Cluster(Later::Finalize));
                }
                self.by_hand(&Method::DELETE, &path, &Value::Null)
            }
            FaultKind::PeopleEdit => {
                let choice = rng.below(5);
                let mark = format!("p{}", rng.below(1000));
                let odd = Rng::new(fault.salt, 46).chance(400);
                let keeps_bytes = odd && self.plan.lock == LockKind::ConfigMap;
                self.edit(|lock| match choice {
                    0 => lock["metadata"]["labels"]["person"] = mark.into(),
                    1 => lock["metadata"]["annotations"]["person"] = mark.into(),
                    2 if keeps_bytes => lock["binaryData"]["person"] = "AAEC".into(),
                    2 => lock["data"]["person"] = mark.into(),
                    // As `kubectl delete --cascade=orphan` of the owner does it.
                    3 => lock["metadata"]["ownerReferences"] = Value::Null,
                    _ if odd => lock["metadata"]["annotations"][record::OWNER] = "{not json".into(),
                    _ => lock["metadata"]["annotations"][record::OWNER] = Value::Null,
                })
            }
            FaultKind::PeopleEmpty => self.edit(|lock| {
                lock["metadata"]["ownerReferences"] = Value::Null;
                lock["metadata"]["annotations"] = Value::Null;
            }),
            FaultKind::PeopleReown => {
                let uid = format!("00000000-0000-4000-8000-{:012}", rng.below(1000));
                let both = rng.chance(500);
                self.edit(|lock| {
                    lock["metadata"]["ownerReferences"] = json!([{
                        "apiVersion": "v1", "kind": "Pod", "name": "c0", "uid": uid,
                    }]);
                    if both {
                        lock["metadata"]["annotations"] = Value::Null;
                    }
                })
            }
            FaultKind::PeopleRecreate => {
                let Some(mut copy) = self.copy(rng.next_u64()) else {
                    return false;
                };
                for name in ["uid", "resourceVersion", "creationTimestamp"] {
                    copy["metadata"][name] = Value::Null;
                }
                let deleted = self.by_hand(&Method::DELETE, &path, &Value::Null);
                self.by_hand(&Method::POST, &collection, &copy) || deleted
            }
            _ => false,
        }
    }

    /// Whatever holds up the end of the lock lets go of it.
    pub(super) fn finalize(&mut self) {
        let held = self
            .api
            .lock()
            .is_some_and(|lock| lock.object["metadata"]["finalizers"].is_array());
        if held {
            self.edit(|lock| lock["metadata"]["finalizers"] = Value::Null);
        }
    }

    /// Who cannot know how long the holder has to be waited for.
    fn strangers(&self) -> Against {
        if self.mixed() {
            Against::WhoNeverSawTheRecord
        } else {
            Against::TheUnaware
        }
    }

    fn mixed(&self) -> bool {
        let seats = &self.plan.seats;
        seats.iter().any(|seat| seat.timing != seats[0].timing)
    }

    fn lease_deleted(&mut self, fault: &Fault) -> bool {
        let holder = self.holder();
        let path = self.api.path();
        if !self.by_hand(&Method::DELETE, &path, &Value::Null) {
            return false;
        }
        // Whoever knew the Lease waits; a stranger creates it at once, unless it is strict.
        // Durations that differ make strangers of the strict, too.
        if !self.plan.strict || self.mixed() {
            self.excuse(fault.kind, self.strangers(), holder);
        }
        true
    }

    fn lease_edited(&mut self, fault: &Fault) -> bool {
        let mut rng = Rng::new(fault.salt, 40);
        if rng.chance(150) {
            let label = format!("l{}", rng.below(1000));
            return self.edit(|lease| lease["metadata"]["labels"]["person"] = label.into());
        }
        let choice = rng.below(8);
        let held = self.api.lock().is_some_and(|lock| {
            record::snapshot(self.plan.lock, &lock.object)
                .nonce
                .is_some()
        });
        let salt = rng.next_u64();
        let holder = self.holder();
        let done = self.edit(|lease| {
            let spec = &mut lease["spec"];
            match choice {
                0 | 1 if held => spec["leaseDurationSeconds"] = i32::MAX.into(),
                2 => spec["leaseDurationSeconds"] = 1.into(),
                3 => spec["renewTime"] = "2096-10-02T07:06:40.000000Z".into(),
                4 => {
                    let counts = [i32::MAX, 0, 77];
                    let count = counts[usize::try_from(salt % 3).unwrap_or(0)];
                    spec["leaseTransitions"] = count.into();
                }
                5 => spec["acquireTime"] = Value::Null,
                7 => lease["metadata"]["annotations"][record::WRITE] = "{not json".into(),
                6 if salt.is_multiple_of(2) => {
                    lease["metadata"]["annotations"]["person"] = format!("a{}", salt % 1000).into();
                }
                _ => {
                    spec["strategy"] = "OldestEmulationVersion".into();
                    spec["preferredHolder"] = format!("s{}", salt % 1000).into();
                }
            }
        });
        if done && self.mixed() {
            // A shorter duration, put there by hand, before a candidate with a shorter one.
            self.excuse(fault.kind, self.strangers(), holder);
        }
        done
    }

    fn lease_emptied(&mut self, fault: &Fault) -> bool {
        let holder = self.holder();
        let choice = Rng::new(fault.salt, 41).below(4);
        let done = self.edit(|lease| match choice {
            3 => lease["spec"] = Value::Null,
            // As client-go's release does it.
            0 => {
                lease["spec"]["holderIdentity"] = "".into();
                lease["spec"]["leaseDurationSeconds"] = 1.into();
            }
            1 => lease["spec"]["holderIdentity"] = Value::Null,
            _ => {
                for name in [
                    "holderIdentity",
                    "leaseDurationSeconds",
                    "acquireTime",
                    "renewTime",
                    "leaseTransitions",
                ] {
                    lease["spec"][name] = Value::Null;
                }
            }
        });
        if done && (!self.plan.strict || self.mixed()) {
            self.excuse(fault.kind, self.strangers(), holder);
        }
        done
    }

    fn lease_reowned(&mut self, fault: &Fault) -> bool {
        let mut rng = Rng::new(fault.salt, 42);
        let holder = self.holder();
        if rng.chance(500) {
            let name = format!("somebody-{}", rng.below(3));
            return self.edit(|lease| lease["spec"]["holderIdentity"] = name.into());
        }
        // A saved copy is put back over what is there.
        let Some(copy) = self.copy(rng.next_u64()) else {
            return false;
        };
        let done = self.edit(|lease| {
            lease["spec"] = copy["spec"].clone();
            lease["metadata"]["annotations"] = copy["metadata"]["annotations"].clone();
        });
        if done {
            // Nobody can tell it from what stood there before (A, B, and A again).
            self.since = 0;
            self.excuse(fault.kind, Against::Everybody, holder);
        }
        done
    }

    fn lease_recreated(&mut self, fault: &Fault) -> bool {
        let mut rng = Rng::new(fault.salt, 43);
        let holder = self.holder();
        let old = rng.chance(500);
        let copy = if old {
            self.copy(rng.next_u64())
        } else {
            self.api.lock().map(|lock| (*lock.object).clone())
        };
        let Some(mut copy) = copy else {
            return false;
        };
        let (path, collection) = (self.api.path(), self.api.collection());
        if !self.by_hand(&Method::DELETE, &path, &Value::Null) {
            return false;
        }
        for name in ["uid", "resourceVersion", "creationTimestamp"] {
            copy["metadata"][name] = Value::Null;
        }
        self.by_hand(&Method::POST, &collection, &copy);
        let against = if old {
            Against::Everybody
        } else {
            self.strangers()
        };
        self.excuse(fault.kind, against, holder);
        true
    }

    /// A record that was there before, for those who keep copies.
    pub(super) fn copy(&self, choice: u64) -> Option<Value> {
        let states: Vec<_> = self.api.history.iter().rev().take(60).collect();
        let states: Vec<_> = states.into_iter().filter(|state| !state.gone).collect();
        let index = usize::try_from(choice).ok()?.checked_rem(states.len())?;
        Some((*states[index].object).clone())
    }

    /// Somebody edits the lock as it is. Whether that changed it.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Value)) -> bool {
        let Some(lock) = self.api.lock() else {
            return false;
        };
        let mut object = (*lock.object).clone();
        change(&mut object);
        let speaks = record::snapshot(self.plan.lock, &object).nonce.is_some();
        if let (Some(seconds), false) = (object["spec"]["leaseDurationSeconds"].as_i64(), speaks) {
            // 68 years in a stranger's name are honoured (L20): nobody would lead within this run.
            object["spec"]["leaseDurationSeconds"] = seconds.min(60).into();
        }
        let path = self.api.path();
        self.by_hand(&Method::PUT, &path, &object)
    }
}
