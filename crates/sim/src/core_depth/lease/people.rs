//! People who meddle with a Lease: every kind of edit that was ever seen on a cluster.

use tenure_core::{MicroTime, lease::Spec};

use crate::{
    fault::{Fault, FaultKind},
    rng::Rng,
    trace::{Against, Author},
};

use super::{super::model::Desk, LeaseModel, server::Asks as _};

impl LeaseModel {
    pub(super) fn meddle(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        match fault.kind {
            FaultKind::PeopleDelete => self.is_deleted(desk, fault.kind),
            FaultKind::PeopleEdit => self.is_edited(desk, fault),
            FaultKind::PeopleEmpty => self.is_emptied(desk, fault),
            FaultKind::PeopleReown => self.is_reowned(desk, fault),
            FaultKind::PeopleRecreate => self.is_recreated(desk, fault),
            _ => false,
        }
    }

    fn is_deleted(&mut self, desk: &mut Desk<Self>, kind: FaultKind) -> bool {
        let holder = self.holder();
        if !self.delete(desk, Author::Person) {
            return false;
        }
        // Whoever knew the Lease waits; a stranger creates it at once, unless it is strict.
        // Durations that differ make strangers of the strict, too, and of who only saw another record.
        if !self.strict || self.mixed {
            desk.excuse(kind, self.strangers(), holder);
        }
        true
    }

    fn is_edited(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        let mut rng = Rng::new(fault.salt, 40);
        if rng.chance(150) {
            let sight = self.server.touch(desk.now);
            desk.news.extend(sight.clone());
            return sight.is_some();
        }
        let choice = rng.below(7);
        let held = self
            .server
            .lease()
            .is_some_and(|lease| lease.observed.speaking_mark().is_some());
        let salt = rng.next_u64();
        let holder = self.holder();
        let done = self.edit(desk, |spec| match choice {
            0 | 1 if held => spec.duration_seconds = Some(i64::from(i32::MAX)),
            2 => spec.duration_seconds = Some(1),
            3 => spec.renew_time = Some(MicroTime::from_micros(4_000_000_000_000_000)),
            4 => {
                spec.transitions =
                    Some([i64::from(i32::MAX), 0, 77][usize::try_from(salt % 3).unwrap_or(0)]);
            }
            5 => spec.acquire_time = None,
            _ => spec.foreign = Some(format!("{{\"strategy\":\"s{}\"}}", salt % 1000).into()),
        });
        if done && self.mixed {
            // A shorter duration, put there by hand, before a candidate with a shorter one.
            desk.excuse(fault.kind, self.strangers(), holder);
        }
        done
    }

    fn is_emptied(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        let holder = self.holder();
        let choice = Rng::new(fault.salt, 41).below(3);
        let done = self.edit(desk, |spec| match choice {
            // As client-go's release does it.
            0 => {
                spec.holder = Some("".into());
                spec.duration_seconds = Some(1);
            }
            1 => spec.holder = None,
            _ => {
                *spec = Spec {
                    foreign: spec.foreign.clone(),
                    ..Spec::default()
                };
            }
        });
        if done && (!self.strict || self.mixed) {
            desk.excuse(fault.kind, self.strangers(), holder);
        }
        done
    }

    fn is_reowned(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        let mut rng = Rng::new(fault.salt, 42);
        let holder = self.holder();
        if rng.chance(500) {
            let name = format!("somebody-{}", rng.below(3));
            return self.edit(desk, |spec| spec.holder = Some(name.into()));
        }
        // A saved copy is put back over what is there.
        let Some(copy) = self.server.copy(rng.next_u64()).cloned() else {
            return false;
        };
        if self.server.lease().is_none() {
            return false;
        }
        let author = Author::Person;
        let changed = self
            .server
            .lease()
            .map(|lease| lease.observed.version.clone());
        let requests = copy.requests();
        self.put(desk, author, None, copy.spec, copy.mark, requests, false);
        let changed = changed
            != self
                .server
                .lease()
                .map(|lease| lease.observed.version.clone());
        if changed {
            desk.excuse(fault.kind, Against::Everybody, holder);
        }
        changed
    }

    fn is_recreated(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        let mut rng = Rng::new(fault.salt, 43);
        let holder = self.holder();
        let old = rng.chance(500);
        let Some(copy) = (if old {
            self.server.copy(rng.next_u64()).cloned()
        } else {
            self.server.lease().map(|lease| lease.observed.clone())
        }) else {
            return false;
        };
        if !self.delete(desk, Author::Person) {
            return false;
        }
        let requests = copy.requests();
        let author = Author::Person;
        self.put(desk, author, None, copy.spec, copy.mark, requests, true);
        let against = if old {
            Against::Everybody
        } else {
            self.strangers()
        };
        desk.excuse(fault.kind, against, holder);
        true
    }

    /// Who cannot know how long the holder has to be waited for.
    fn strangers(&self) -> Against {
        if self.mixed {
            Against::WhoNeverSawTheRecord
        } else {
            Against::TheUnaware
        }
    }

    fn edit(&mut self, desk: &mut Desk<Self>, change: impl FnOnce(&mut Spec)) -> bool {
        let Some(lease) = self.server.lease() else {
            return false;
        };
        let (mut spec, mark) = (lease.observed.spec.clone(), lease.observed.mark.clone());
        let requests = lease.observed.requests();
        let before = lease.observed.version.clone();
        change(&mut spec);
        self.put(desk, Author::Person, None, spec, mark, requests, false);
        self.server
            .lease()
            .is_some_and(|lease| lease.observed.version != before)
    }
}
