//! People who meddle with a lock: what is promised to survive it does, and the rest is excused.

use std::sync::Arc;

use tenure_core::{
    Uid,
    life::{LifeRecord, OwnerRef},
};

use crate::{
    clock::SECOND,
    fault::{Fault, FaultKind},
    rng::Rng,
    trace::{Author, ProcessId},
};

use super::{super::model::Desk, Later, LifeModel, server::Content};

impl LifeModel {
    pub(super) fn meddle(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        if self.server.lock().is_none_or(|lock| lock.being_deleted) {
            return false;
        }
        match fault.kind {
            FaultKind::PeopleDelete => {
                let holder = self.holder();
                self.delete(desk, Author::Person, None, None);
                desk.excuse(fault.kind, false, holder);
                true
            }
            FaultKind::PeopleEdit => self.is_edited(desk, fault),
            FaultKind::PeopleEmpty => self.is_emptied(desk, fault),
            FaultKind::PeopleReown => self.is_reowned(desk, fault),
            FaultKind::PeopleRecreate => self.is_recreated(desk, fault),
            _ => false,
        }
    }

    /// The process whose record stands there.
    pub(super) fn holder(&self) -> Option<ProcessId> {
        let number = self.server.lock()?.content.process()?;
        self.cluster
            .process(ProcessId(number))
            .map(|_| ProcessId(number))
    }

    /// A controller labels what it finds, again and again.
    pub(super) fn label(&mut self, desk: &mut Desk<Self>) {
        desk.later.push((desk.now + 3 * SECOND, Later::Label));
        let label = format!("l{}", desk.now);
        self.edit(desk, |content| content.labels = Some(label.into()));
    }

    fn is_edited(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        let mut rng = Rng::new(fault.salt, 110);
        let text = format!("t{}", rng.below(1000));
        match rng.below(6) {
            // What others put there is theirs, and changes nothing.
            0..=2 => self.edit(desk, |content| content.labels = Some(text.into())),
            3 => self.spoil(desk, fault.kind, |content| {
                content.no_lock = Some("it has data in it".into());
            }),
            4 => self.spoil(desk, fault.kind, |content| {
                content.record = None;
                content.no_lock = Some("its annotation cannot be understood".into());
            }),
            _ => self.spoil(desk, fault.kind, |content| {
                if let Some(record) = &mut content.record {
                    record.container_id = Some(text.into());
                }
            }),
        }
    }

    fn is_emptied(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        match Rng::new(fault.salt, 111).below(4) {
            // `--cascade=orphan`: the annotations still tell whose it is (F1).
            0 | 1 => self.edit(desk, |content| content.owners.clear()),
            2 => self.spoil(desk, fault.kind, |content| content.record = None),
            _ => self.spoil(desk, fault.kind, |content| {
                content.owners.clear();
                content.record = None;
            }),
        }
    }

    fn is_reowned(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        let mut rng = Rng::new(fault.salt, 112);
        let living: Vec<usize> = (0..self.cluster.pods.len())
            .filter(|pod| self.cluster.pods[*pod].exists)
            .collect();
        let (name, uid): (Arc<str>, Uid) = match living.get(rng.index(living.len() + 1)) {
            Some(pod) => {
                let pod = &self.cluster.pods[*pod];
                (Arc::clone(&pod.name), pod.uid.clone())
            }
            None => ("nobody".into(), Uid::new("pod-nobody")),
        };
        let owner = OwnerRef::pod(Arc::clone(&name), uid.clone());
        let reown = |record: &mut Option<LifeRecord>| {
            if let Some(record) = record {
                record.pod_name = name;
                record.pod_uid = uid;
            }
        };
        match rng.below(4) {
            // In the annotations alone, or in the reference alone: then they say two things.
            0 => self.spoil(desk, fault.kind, |content| reown(&mut content.record)),
            1 => self.spoil(desk, fault.kind, |content| content.owners = vec![owner]),
            2 => self.spoil(desk, fault.kind, |content| content.owners.push(owner)),
            _ => self.spoil(desk, fault.kind, |content| {
                content.owners = vec![owner];
                reown(&mut content.record);
            }),
        }
    }

    fn is_recreated(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        let mut rng = Rng::new(fault.salt, 113);
        let holder = self.holder();
        let copy = if rng.chance(500) {
            self.server.copy(rng.next_u64())
        } else {
            self.server.lock().map(|lock| &lock.content)
        };
        let Some(copy) = copy.cloned() else {
            return false;
        };
        self.delete(desk, Author::Person, None, None);
        desk.excuse(fault.kind, false, holder);
        if self.server.lock().is_none() {
            self.create(desk, Author::Person, copy);
        }
        true
    }

    /// An edit after which nothing is promised to the present leader.
    fn spoil(
        &mut self,
        desk: &mut Desk<Self>,
        kind: FaultKind,
        change: impl FnOnce(&mut Content),
    ) -> bool {
        let holder = self.holder();
        let done = self.edit(desk, change);
        if done {
            desk.excuse(kind, false, holder);
        }
        done
    }

    fn edit(&mut self, desk: &mut Desk<Self>, change: impl FnOnce(&mut Content)) -> bool {
        let Some(lock) = self.server.lock() else {
            return false;
        };
        let mut content = lock.content.clone();
        change(&mut content);
        let changed = content != lock.content;
        if changed {
            self.put(desk, Author::Person, None, content);
        }
        changed
    }
}
