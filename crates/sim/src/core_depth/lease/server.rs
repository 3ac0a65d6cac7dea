//! One Lease as a server keeps it: compare-and-swap, resourceVersions, and a history.

use tenure_core::{
    MicroTime, Paused, ResourceVersion, Sight, StepDown, Uid, Version,
    lease::{Observed, Spec, WriteMark},
};

use crate::{
    clock::{Nanos, SECOND},
    plan::LeftBehind,
    trace::{Asked, Snapshot},
};

/// What people ask for, by annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests {
    pub(super) step_down: Option<Box<StepDown>>,
    pub(super) paused: Option<Box<Paused>>,
}

#[derive(Default)]
pub(super) struct Server {
    lease: Option<Stored>,
    revision: u64,
    uids: u64,
    history: Vec<(Nanos, u64, Sight<Observed>)>,
    longest: Nanos,
}

/// The Lease, and since when it says what it says.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) observed: Observed,
    pub(super) since: Nanos,
}

impl Server {
    /// A server with what was left there.
    pub(super) fn holding(left: LeftBehind) -> Self {
        let mut server = Self::default();
        let long_ago = Some(MicroTime::from_micros(1_700_000_000_000_000));
        let stranger = Spec {
            holder: Some("stranger".into()),
            duration_seconds: Some(15),
            acquire_time: long_ago,
            renew_time: long_ago,
            transitions: Some(i64::from(i32::MAX) - 1),
            foreign: Some("{\"strategy\":\"OldestEmulationVersion\"}".into()),
        };
        let spec = match left {
            LeftBehind::Nothing => return server,
            LeftBehind::EmptySpec => Spec::default(),
            LeftBehind::DeadStranger => stranger,
            LeftBehind::ReleasedByStranger => Spec {
                holder: Some("".into()),
                duration_seconds: Some(1),
                ..stranger
            },
        };
        server.put(0, spec, None, Requests::default(), true);
        server
    }

    pub(super) fn lease(&self) -> Option<&Stored> {
        self.lease.as_ref()
    }

    /// The longest duration that anybody ever wrote; that of hand edits, which reach for 68 years,
    /// where nothing better speaks.
    pub(super) fn longest_written(&self) -> Nanos {
        self.longest
    }

    /// Put it there. False where nothing changes.
    pub(super) fn put(
        &mut self,
        now: Nanos,
        spec: Spec,
        mark: Option<WriteMark>,
        requests: Requests,
        creates: bool,
    ) -> bool {
        if let Some(lease) = &self.lease
            && lease.observed.spec == spec
            && lease.observed.mark == mark
            && lease.observed.requests() == requests
        {
            return false;
        }
        self.revision += 1;
        let uid = match &self.lease {
            Some(lease) if !creates => lease.observed.version.uid.clone(),
            _ => self.new_uid(),
        };
        self.longest = self.longest.max(protection(&spec, mark.as_ref()));
        self.keep(
            now,
            Stored {
                observed: Observed {
                    version: self.version(uid),
                    spec,
                    mark,
                    step_down: requests.step_down,
                    paused: requests.paused,
                },
                since: now,
            },
        );
        true
    }

    /// Where what stands there is a copy of what stood there before, nobody can tell it from that (A,
    /// B, and A again).
    pub(super) fn note_copy(&mut self) {
        let Some(lease) = &mut self.lease else {
            return;
        };
        let before = self.history.iter().rev().skip(1);
        let mut states = before.filter_map(|(_, _, sight)| match sight {
            Sight::Seen(observed) => Some(observed),
            Sight::Gone(_) => None,
        });
        if states.any(|state| state.says_the_same(&lease.observed)) {
            lease.since = 0;
        }
    }

    /// Something changes that Leases' candidates do not look at.
    pub(super) fn touch(&mut self, now: Nanos) -> Option<Sight<Observed>> {
        let mut lease = self.lease.clone()?;
        self.revision += 1;
        let uid = lease.observed.version.uid.clone();
        lease.observed.version = self.version(uid);
        let sight = Sight::Seen(lease.observed.clone());
        self.keep(now, lease);
        Some(sight)
    }

    /// Somebody asks for something, and leaves all else as it is. None where nothing changes.
    pub(super) fn annotate(&mut self, now: Nanos, requests: Requests) -> Option<Observed> {
        let mut lease = self.lease.clone()?;
        if lease.observed.requests() == requests {
            return None;
        }
        self.revision += 1;
        let uid = lease.observed.version.uid.clone();
        lease.observed.version = self.version(uid);
        lease.observed.step_down = requests.step_down;
        lease.observed.paused = requests.paused;
        let observed = lease.observed.clone();
        self.keep(now, lease);
        Some(observed)
    }

    pub(super) fn delete(&mut self, now: Nanos) -> Option<(Stored, Sight<Observed>)> {
        let lease = self.lease.take()?;
        self.revision += 1;
        let uid = lease.observed.version.uid.clone();
        let sight = Sight::Gone(self.version(uid));
        self.history.push((now, self.revision, sight.clone()));
        Some((lease, sight))
    }

    /// What was the newest then, if anything was.
    pub(super) fn state_at(&self, then: Nanos) -> Option<&Sight<Observed>> {
        let after = self.history.partition_point(|(at, _, _)| *at <= then);
        after.checked_sub(1).map(|index| &self.history[index].2)
    }

    /// A record that was there before, for those who keep copies.
    pub(super) fn copy(&self, choice: u64) -> Option<&Observed> {
        let records: Vec<&Observed> = self
            .history
            .iter()
            .rev()
            .take(60)
            .filter_map(|(_, _, sight)| match sight {
                Sight::Seen(observed) => Some(observed),
                Sight::Gone(_) => None,
            })
            .collect();
        let index = usize::try_from(choice).ok()?.checked_rem(records.len())?;
        Some(records[index])
    }

    /// Put everything back to what it was then, the resourceVersion included.
    pub(super) fn restore(&mut self, then: Nanos) -> bool {
        let Some((at, revision, sight)) = self
            .history
            .partition_point(|(at, _, _)| *at <= then)
            .checked_sub(1)
            .map(|index| self.history[index].clone())
        else {
            return false;
        };
        if revision == self.revision {
            return false;
        }
        self.revision = revision;
        self.lease = match sight {
            Sight::Seen(observed) => Some(Stored {
                observed,
                since: at,
            }),
            Sight::Gone(_) => None,
        };
        true
    }

    fn version(&self, uid: Uid) -> Version {
        Version {
            uid,
            resource_version: ResourceVersion::new(self.revision.to_string()),
        }
    }

    fn new_uid(&mut self) -> Uid {
        self.uids += 1;
        Uid::new(format!("lease-{}", self.uids))
    }

    fn keep(&mut self, now: Nanos, lease: Stored) {
        let sight = Sight::Seen(lease.observed.clone());
        self.history.push((now, self.revision, sight));
        self.lease = Some(lease);
    }
}

/// What a record asks for.
pub(super) trait Asks {
    fn requests(&self) -> Requests;
}

impl Asks for Observed {
    fn requests(&self) -> Requests {
        Requests {
            step_down: self.step_down.clone(),
            paused: self.paused.clone(),
        }
    }
}

impl Stored {
    pub(super) fn snapshot(&self) -> Snapshot {
        snapshot(&self.observed)
    }
}

/// A record as the checkers see it.
pub(super) fn snapshot(observed: &Observed) -> Snapshot {
    let spec = &observed.spec;
    // Said once more here: what the protocol itself makes of it may be what is wrong.
    let speaking = observed.mark.as_ref().filter(|mark| {
        let holder = spec.holder.as_deref();
        holder == Some(&*mark.holder) && spec.renew_time == Some(mark.renew_time)
    });
    Snapshot {
        uid: observed.version.uid.as_str().into(),
        version: number(&observed.version.resource_version),
        holder: spec.holder().cloned(),
        nonce: observed
            .mark
            .as_ref()
            .map(|mark| mark.nonce.as_str().into()),
        write: observed.mark.as_ref().map(|mark| mark.counter),
        speaks: speaking.is_some(),
        protects: protection(spec, speaking).max(1),
        seconds: spec.duration_seconds,
        released: spec.holder().is_none() && speaking.is_some_and(|mark| mark.released),
        transitions: spec.transitions,
        acquired: spec.acquire_time.map(tenure_core::MicroTime::as_micros),
        renewed: spec.renew_time.map(tenure_core::MicroTime::as_micros),
        foreign: spec.foreign.clone(),
        asked: observed
            .step_down
            .as_deref()
            .map(|asked| Asked::from(asked).into()),
        paused: observed
            .paused
            .as_ref()
            .map(|paused| paused.to_string().into()),
        successor: observed
            .mark
            .as_ref()
            .and_then(|mark| mark.successor.clone()),
    }
}

pub(super) fn number(version: &ResourceVersion) -> u64 {
    version.as_str().parse().unwrap_or(0)
}

/// What the server refuses with 422.
pub(super) fn invalid(spec: &Spec) -> Option<&'static str> {
    if spec.duration_seconds.is_some_and(|seconds| seconds <= 0) {
        return Some("422: spec.leaseDurationSeconds must be greater than 0");
    }
    let most = i64::from(i32::MAX);
    if spec
        .transitions
        .is_some_and(|count| !(0..=most).contains(&count))
    {
        return Some("422: spec.leaseTransitions must be from 0 to 2147483647");
    }
    None
}

/// Whether the annotation speaks for the record.
pub(super) fn speaks(spec: &Spec, mark: Option<&WriteMark>) -> bool {
    mark.is_some_and(|mark| {
        spec.holder.as_deref() == Some(&*mark.holder) && spec.renew_time == Some(mark.renew_time)
    })
}

fn protection(spec: &Spec, mark: Option<&WriteMark>) -> Nanos {
    let written = spec
        .duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok());
    let speaking = mark.filter(|mark| speaks(spec, Some(mark)));
    let seconds = speaking
        .map(|mark| u64::from(mark.duration_seconds))
        .or(written)
        .unwrap_or(0);
    seconds.saturating_mul(SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(name: &str) -> Spec {
        Spec {
            holder: Some(name.into()),
            ..Spec::default()
        }
    }

    fn put(server: &mut Server, now: Nanos, holder: &str, creates: bool) {
        server.put(now, held_by(holder), None, Requests::default(), creates);
    }

    fn uid_of(server: &Server) -> Option<Uid> {
        let lease = server.lease.as_ref()?;
        Some(lease.observed.version.uid.clone())
    }

    /// Seed 5106064: the one who wrote first after a restore was told of another object, and rightly
    /// did not lead (L9).
    #[test]
    fn an_object_that_a_restore_brought_back_keeps_its_uid_when_it_is_replaced() {
        let mut server = Server::default();
        put(&mut server, 1, "a", true);
        let first = uid_of(&server);
        put(&mut server, 2, "b", false);
        server.delete(3);
        put(&mut server, 4, "c", true);
        assert_ne!(uid_of(&server), first);
        assert!(server.restore(2));
        assert_eq!(uid_of(&server), first);
        put(&mut server, 5, "d", false);
        assert_eq!(uid_of(&server), first);
        server.touch(6);
        assert_eq!(uid_of(&server), first);
        server.delete(7);
        put(&mut server, 8, "e", true);
        assert!(uid_of(&server).is_some_and(|uid| uid.as_str() == "lease-3"));
    }
}
