//! Whose a lock is (F1, F2, F11), who may take it up again (F3), and who is certainly dead (F8,
//! F9). Functions of what was read, without any state.

use std::sync::Arc;

use crate::{identity::Nonce, version::Uid};

use super::{
    elector::Me,
    record::{LifeRecord, LockObject},
    sight::{ContainerSight, PodSight, ProcessId, RestartPolicy, Terminated},
};

/// The Pod that a lock belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner<'a> {
    pub(super) pod_name: &'a Arc<str>,
    pub(super) pod_uid: &'a Uid,
    pub(super) record: Option<&'a LifeRecord>,
}

/// What a restarted process may do about a lock of its own Pod (F3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Replace it: nobody leads by it any more.
    Replace,
    /// Look whether this process is gone.
    AskProcess(ProcessId),
    /// Look what the kubelet says about the recorded container.
    AskPod,
    /// Nothing: it is somebody else's, and alive.
    Wait,
}

/// What is to be done about a lock after its owner Pod was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The owner is certainly gone: the lock may be deleted (F8, F9).
    Orphan,
    /// The recorded process of the own container is certainly gone (F3).
    Reentry,
    /// It may be alive.
    Alive,
}

/// What the kubelet gives as the reason of an end that it has seen. A list of what is proof, not
/// of what is none: `ContainerStatusUnknown` and whatever comes later are not on it.
const REASONS_OF_CERTAIN_DEATH: [&str; 3] = ["Completed", "Error", "OOMKilled"];

impl LockObject {
    /// The owner by the annotations, by the owner reference where there are none (F1); or why
    /// this is no lock (F11).
    pub(super) fn owner(&self) -> Result<Owner<'_>, Arc<str>> {
        if let Some(why) = &self.foreign {
            return Err(Arc::clone(why));
        }
        let reference = match self.owners.as_slice() {
            [] => None,
            [one] if one.is_pod() => Some(one),
            [one] => {
                let text = format!("it is owned by the {} {}, not by a Pod", one.kind, one.name);
                return Err(text.into());
            }
            more => return Err(format!("it has {} owners", more.len()).into()),
        };
        match (&self.record, reference) {
            (Some(record), Some(reference))
                if record.pod_uid != reference.uid || record.pod_name != reference.name =>
            {
                Err(format!(
                    "it is owned by the Pod {} ({}), and its annotations name {} ({})",
                    reference.name, reference.uid, record.pod_name, record.pod_uid
                )
                .into())
            }
            (Some(record), _) => Ok(Owner {
                pod_name: &record.pod_name,
                pod_uid: &record.pod_uid,
                record: Some(record),
            }),
            (None, Some(reference)) => Ok(Owner {
                pod_name: &reference.name,
                pod_uid: &reference.uid,
                record: None,
            }),
            (None, None) => Err("it has no owner and no annotations of an election".into()),
        }
    }
}

/// The number of the write of `process` that has this nonce.
pub(super) fn write_number(process: &Nonce, nonce: &Nonce) -> Option<u64> {
    let number = nonce
        .as_str()
        .strip_prefix(process.as_str())?
        .strip_prefix('-')?;
    number.parse().ok()
}

/// The nonce of the write of this number.
pub(super) fn write_nonce(process: &Nonce, number: u64) -> Nonce {
    Nonce::new(format!("{process}-{number}"))
}

/// What `me` may do about a lock of its own Pod that another process wrote (F3).
pub(super) fn claim(me: &Me, owner: &Owner<'_>) -> Claim {
    let Some(record) = owner.record else {
        return if me.single_container {
            Claim::Replace
        } else {
            Claim::Wait
        };
    };
    if !is_own_container(me, record) {
        return Claim::AskPod;
    }
    match (&record.process, &me.process) {
        // Another election of this very process.
        (Some(theirs), Some(mine)) if theirs == mine => Claim::Wait,
        (Some(theirs), Some(mine))
            if theirs.boot_id == mine.boot_id && theirs.pid_namespace == mine.pid_namespace =>
        {
            Claim::AskProcess(theirs.clone())
        }
        _ => Claim::AskPod,
    }
}

/// What follows from a read of the owner Pod that was begun after the lock had been read; `None`
/// if there is no such Pod.
pub(super) fn fate(me: &Me, owner: &Owner<'_>, pod: Option<&PodSight>) -> Fate {
    let own = *owner.pod_uid == me.pod_uid;
    let Some(pod) = pod.filter(|pod| pod.uid == *owner.pod_uid) else {
        // F8. A process that outlives its own Pod contends for nothing.
        return if own { Fate::Alive } else { Fate::Orphan };
    };
    let Some((container, terminated)) = owner.record.and_then(|record| ended(record, pod)) else {
        return Fate::Alive;
    };
    let own_container = owner
        .record
        .filter(|record| own && is_own_container(me, record));
    if let Some(record) = own_container {
        // Whatever is said about the container in which this very process runs proves nothing.
        if record.container_id == me.container_id {
            Fate::Alive
        } else {
            Fate::Reentry
        }
    } else if stays_ended(pod, container, terminated) {
        Fate::Orphan
    } else {
        Fate::Alive
    }
}

fn is_own_container(me: &Me, record: &LifeRecord) -> bool {
    match (&me.container, &record.container) {
        (Some(mine), Some(theirs)) => mine == theirs,
        _ => me.single_container,
    }
}

/// Certain death: the kubelet reports the end of the very container that was written down.
fn ended<'a>(
    record: &LifeRecord,
    pod: &'a PodSight,
) -> Option<(&'a ContainerSight, &'a Terminated)> {
    let id = record.container_id.as_ref().filter(|id| !id.is_empty())?;
    pod.containers.iter().find_map(|container| {
        [&container.terminated, &container.last_terminated]
            .into_iter()
            .flatten()
            .find(|terminated| terminated.container_id == *id && is_certain(terminated))
            .map(|terminated| (container, terminated))
    })
}

fn is_certain(terminated: &Terminated) -> bool {
    terminated.finished && REASONS_OF_CERTAIN_DEATH.contains(&&*terminated.reason)
}

/// F9: re-entry comes first, so a container that is started again is not given up.
fn stays_ended(pod: &PodSight, container: &ContainerSight, terminated: &Terminated) -> bool {
    if pod.terminal {
        return true;
    }
    let is_present = container.terminated.as_ref() == Some(terminated);
    let policy = container.restart_policy.unwrap_or(pod.restart_policy);
    is_present
        && match policy {
            RestartPolicy::Never => true,
            RestartPolicy::OnFailure => terminated.exit_code == 0,
            RestartPolicy::Always | RestartPolicy::Other => false,
        }
}
