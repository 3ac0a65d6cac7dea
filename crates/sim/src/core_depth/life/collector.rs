//! The garbage collector: it deletes the lock some time after its owner Pod's object has gone, and
//! takes an owner that is going as alive.

use crate::{
    clock::{Nanos, SECOND},
    trace::Author,
};

use super::{super::model::Desk, Later, LifeModel};

#[derive(Default)]
pub(super) struct Collector {
    /// Until then it is slow.
    pub(super) late_until: Nanos,
    /// Until then there is none.
    pub(super) off_until: Nanos,
}

impl LifeModel {
    /// The collector will come if the lock's owners are gone.
    pub(super) fn look_for_orphans(&mut self, desk: &mut Desk<Self>) {
        if !self.is_orphan() {
            return;
        }
        let mut rng = self.dice(desk.now, 100);
        let longest = match rng.below(8) {
            _ if desk.now < self.collector.late_until => 60 * SECOND,
            0 => SECOND / 20,
            1 | 2 => 3 * SECOND,
            _ => 20 * SECOND,
        };
        let at = desk.now.max(self.collector.off_until) + rng.below(longest);
        desk.later.push((at, Later::Collect));
    }

    pub(super) fn collect(&mut self, desk: &mut Desk<Self>) {
        if desk.now < self.collector.off_until {
            self.look_for_orphans(desk);
        } else if self.is_orphan() {
            self.delete(desk, Author::Collector, None, None);
        }
    }

    /// All its owners are gone. What has none is nobody's.
    fn is_orphan(&self) -> bool {
        self.server.lock().is_some_and(|lock| {
            let owners = &lock.content.owners;
            !lock.being_deleted
                && !owners.is_empty()
                && owners
                    .iter()
                    .all(|owner| self.cluster.pod(&owner.uid).is_none())
        })
    }
}
