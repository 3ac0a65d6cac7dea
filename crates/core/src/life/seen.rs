//! What was seen of the lock, and what came after what (F6).

use std::{cmp::Ordering, sync::Arc};

use crate::{
    elector::Sight,
    identity::Nonce,
    status::Holder,
    time::Instant,
    version::{ResourceVersion, Uid},
};

use super::record::LockObject;

/// The lock as it was last seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    place: Place,
    newest: Option<ResourceVersion>,
    /// Grows with every watch event that was taken in.
    epoch: u64,
    holder: Option<(Uid, Option<Nonce>, Holder)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Unknown,
    Absent,
    Present(Box<LockObject>),
}

/// How a state relates to the newest one that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Older,
    Same,
    Newer,
    CannotTell,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Unknown,
            newest: None,
            epoch: 0,
            holder: None,
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn lock(&self) -> Option<&LockObject> {
        match &self.place {
            Place::Present(lock) => Some(lock),
            Place::Unknown | Place::Absent => None,
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        self.place == Place::Absent
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref().map(|(_, _, holder)| holder)
    }

    /// resourceVersions are numbers of any size; where they are not, nothing follows from them.
    pub(super) fn order(&self, version: &ResourceVersion) -> Order {
        let Some(newest) = &self.newest else {
            return Order::Newer;
        };
        match version.partial_cmp(newest) {
            Some(Ordering::Less) => Order::Older,
            Some(Ordering::Equal) => Order::Same,
            Some(Ordering::Greater) => Order::Newer,
            None => Order::CannotTell,
        }
    }

    /// Take in a watch event, unless it is older than what is known, or cannot be put in order.
    pub(super) fn watched(&mut self, now: Instant, sight: Sight<LockObject>) -> Order {
        match sight {
            Sight::Seen(lock) => {
                let order = self.order(&lock.version.resource_version);
                if order == Order::Newer {
                    self.epoch += 1;
                    self.present(now, lock);
                }
                order
            }
            Sight::Gone(version) => {
                // The removal of the newest known state is news, even if it bears its number.
                let order = match self.order(&version.resource_version) {
                    Order::Same if self.is_absent() => Order::Same,
                    Order::Same => Order::Newer,
                    other => other,
                };
                if order == Order::Newer {
                    self.epoch += 1;
                    self.newest = Some(version.resource_version);
                    self.absent();
                }
                order
            }
        }
    }

    /// Take in an answer to a call that was sent in `epoch`. False if a watch event that came
    /// meanwhile leaves open whether this still holds.
    pub(super) fn answered(&mut self, now: Instant, lock: LockObject, epoch: u64) -> bool {
        // Without an event since, a quorum answer is what holds, whatever the numbers say.
        let holds = epoch == self.epoch
            || matches!(
                self.order(&lock.version.resource_version),
                Order::Newer | Order::Same
            );
        if holds {
            self.present(now, lock);
        }
        holds
    }

    /// The same for an answer that there is no lock.
    pub(super) fn answered_absent(&mut self, epoch: u64) -> bool {
        let holds = epoch == self.epoch || self.is_absent();
        if holds {
            self.absent();
        }
        holds
    }

    /// The lock may be there after all. What the watch has shown of it meanwhile stays known.
    pub(super) fn doubt_absence(&mut self) {
        if self.is_absent() {
            self.place = Place::Unknown;
        }
    }

    fn absent(&mut self) {
        self.place = Place::Absent;
        self.holder = None;
    }

    fn present(&mut self, now: Instant, lock: LockObject) {
        self.newest = Some(lock.version.resource_version.clone());
        self.holder = lock.owner().ok().map(|owner| {
            let nonce = owner.record.map(|record| record.nonce.clone());
            let uid = owner.pod_uid.clone();
            match self.holder.take() {
                Some(same) if same.0 == uid && same.1 == nonce => same,
                _ => {
                    let holder = Holder {
                        identity: Arc::clone(owner.pod_name),
                        since: now,
                        renewed: false,
                        lasts: None,
                    };
                    (uid, nonce, holder)
                }
            }
        });
        self.place = Place::Present(Box::new(lock));
    }
}
