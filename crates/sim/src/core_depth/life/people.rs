//! People who meddle with a lock: what is promised to survive it does, and the rest is excused.

use std::sync::Arc;

use tenure_core::{
    StepDown, Uid,
    life::{LifeRecord, OwnerRef},
};

use crate::{
    clock::SECOND,
    fault::{Fault, FaultKind},
    rng::Rng,
    trace::{Against, Author, ProcessId},
};

use super::{
    super::model::{Desk, pod_name},
    Later, LifeModel,
    server::Content,
};

impl LifeModel {
    pub(super) fn meddle(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        if self.server.lock().is_none_or(|lock| lock.being_deleted) {
            return false;
        }
        match fault.kind {
            FaultKind::PeopleDelete => {
                let holder = self.may_lead();
                self.delete(desk, Author::Person, None, None);
                desk.excuse(fault.kind, Against::Everybody, holder);
                true
            }
            FaultKind::PeopleEdit => self.is_edited(desk, fault),
            FaultKind::PeopleEmpty => self.is_emptied(desk, fault),
            FaultKind::PeopleReown => self.is_reowned(desk, fault),
            FaultKind::PeopleRecreate => self.is_recreated(desk, fault),
            FaultKind::AskStepDown | FaultKind::AskNobody => self.is_asked(desk, fault),
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

    /// The process that may lead by the lock, or will when it has the answer to its create, though
    /// somebody has taken its record out since.
    fn may_lead(&self) -> Option<ProcessId> {
        let id = ProcessId(self.server.lock()?.process()?);
        self.cluster.process(id).map(|_| id)
    }

    /// A controller labels what it finds, again and again.
    pub(super) fn label(&mut self, desk: &mut Desk<Self>) {
        desk.later.push((desk.now + 3 * SECOND, Later::Label));
        let label = format!("l{}", desk.now);
        self.edit(desk, FaultKind::PeopleLabel, |content| {
            content.labels = Some(label.into());
        });
    }

    /// Somebody asks the term that stands there to end, or one that does not (F12).
    fn is_asked(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        let Some(lock) = self.server.lock() else {
            return false;
        };
        let Some(record) = lock.content.record.clone() else {
            return false;
        };
        let mut rng = Rng::new(fault.salt, 114);
        let mut asked = StepDown {
            holder: record.nonce.as_str().into(),
            // Nobody looks at it here.
            transitions: rng.chance(500).then_some(7),
            uid: lock.version.uid.clone(),
            to: rng.chance(500).then(|| pod_name(rng.index(4))),
            by: format!("person-{}", fault.id).into(),
        };
        if fault.kind == FaultKind::AskNobody {
            let earlier = self.server.copy(rng.next_u64());
            let earlier = earlier.and_then(|copy| copy.record.as_ref());
            let earlier = earlier.filter(|earlier| earlier.nonce != record.nonce);
            match (rng.below(4), earlier) {
                (0 | 1, Some(earlier)) => asked.holder = earlier.nonce.as_str().into(),
                // A Pod is no term: the next process in it was not asked.
                (0, None) => asked.holder = record.pod_uid.as_str().into(),
                (2, _) => asked.uid = Uid::new("lock-of-another-name"),
                _ => asked.holder = Arc::clone(&record.pod_name),
            }
        }
        self.edit(desk, fault.kind, |content| {
            content.asked = Some(asked.into());
        })
    }

    fn is_edited(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        let mut rng = Rng::new(fault.salt, 110);
        let text = format!("t{}", rng.below(1000));
        match rng.below(6) {
            // What others put there is theirs, and changes nothing.
            0..=2 => self.edit(desk, fault.kind, |content| {
                content.labels = Some(text.into());
            }),
            // It is no lock any more, and nobody else touches it (F11).
            3 => self.edit(desk, fault.kind, |content| {
                content.no_lock = Some("it has data in it".into());
            }),
            4 => self.edit(desk, fault.kind, |content| {
                content.record = None;
                content.no_lock = Some("its annotation cannot be understood".into());
            }),
            // Who cannot be found is not dead.
            _ => self.edit(desk, fault.kind, |content| {
                if let Some(record) = &mut content.record {
                    record.container_id = Some(text.into());
                }
            }),
        }
    }

    fn is_emptied(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        match Rng::new(fault.salt, 111).below(4) {
            // `--cascade=orphan`: the annotations still tell whose it is (F1).
            0 | 1 => self.edit(desk, fault.kind, |content| content.owners.clear()),
            // Its own Pod's processes go by the reference alone (F3).
            2 => self.edit(desk, fault.kind, |content| content.record = None),
            // It is no lock any more.
            _ => self.edit(desk, fault.kind, |content| {
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
            // What says two things is no lock (F11).
            0 => self.edit(desk, fault.kind, |content| reown(&mut content.record)),
            1 => self.edit(desk, fault.kind, |content| content.owners = vec![owner]),
            2 => self.edit(desk, fault.kind, |content| content.owners.push(owner)),
            _ => self.edit(desk, fault.kind, |content| {
                content.owners = vec![owner];
                reown(&mut content.record);
            }),
        }
    }

    fn is_recreated(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        let mut rng = Rng::new(fault.salt, 113);
        let holder = self.may_lead();
        let copy = if rng.chance(500) {
            self.server.copy(rng.next_u64())
        } else {
            self.server.lock().map(|lock| &lock.content)
        };
        let Some(copy) = copy.cloned() else {
            return false;
        };
        self.delete(desk, Author::Person, None, None);
        desk.excuse(fault.kind, Against::Everybody, holder);
        if self.server.lock().is_none() {
            self.create(desk, Author::Person, copy);
            // Whose it is may not know that it is back, as after a restore.
            self.restored = true;
        }
        true
    }

    /// What is no lock any more is touched by nobody (F11), unless the collector goes by a reference
    /// to another; and what still is this owner's in this term is. All else is not covered.
    fn edit(
        &mut self,
        desk: &mut Desk<Self>,
        kind: FaultKind,
        change: impl FnOnce(&mut Content),
    ) -> bool {
        let Some(lock) = self.server.lock() else {
            return false;
        };
        let before = lock.content.clone();
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return false;
        }
        let nonce = |content: &Content| content.record.as_ref().map(|record| record.nonce.clone());
        let is_kept = after.owner().is_some()
            && after.owner() == before.owner()
            && nonce(&after) == nonce(&before);
        let is_kept = is_kept || after.owners == before.owners && after.record == before.record;
        let holder = self.holder();
        let pod = holder.and_then(|holder| self.cluster.process(holder));
        let uid = pod.map(|process| &self.cluster.pods[process.pod].uid);
        let is_left_alone = after.owner().is_none()
            && (after.owners.is_empty()
                || after.owners.iter().any(|owner| Some(&owner.uid) == uid));
        self.put(desk, Author::Person, None, after);
        if !is_kept && !is_left_alone {
            desk.excuse(kind, Against::Everybody, holder);
        }
        true
    }
}
