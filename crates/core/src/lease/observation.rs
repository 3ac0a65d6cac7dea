//! What a candidate has seen of the Lease, and how long it has to wait because of it (L2, L13).
//!
//! Time is counted from the moment at which something was *received*, never from what is written
//! in it. Each former holder has a wait of its own, and a takeover needs every wait over.

use std::{sync::Arc, time::Duration};

use crate::{
    identity::Nonce,
    status::Holder,
    time::Instant,
    version::{ResourceVersion, Version},
};

use super::record::{Observed, Spec};

/// What is known of the Lease's place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one of it in each elector, which is never moved about"
)]
pub(super) enum Place {
    /// Nothing yet.
    Unknown,
    /// There is no Lease.
    Absent,
    /// There is this one.
    Present(Observed),
}

/// What a sighting brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is older than what is known, or cannot be told from it: it starts nothing.
    Stale,
    /// Nothing, or only metadata.
    Same,
    /// Uid, spec or write annotation (or presence) are new.
    Changed,
}

/// The memory of one process about one Lease.
#[derive(Clone, Debug)]
pub(super) struct Observation {
    own_duration: Duration,
    place: Place,
    newest: Option<ResourceVersion>,
    waits: Vec<Wait>,
    foreign: Vec<(Arc<str>, Duration)>,
    evidence: bool,
    holder_since: Instant,
    /// The present holder's record was seen to change since then.
    renewed: bool,
    /// Nobody is waited for because of what is there (L24).
    waived: bool,
    /// How long the newest holder's record is waited for; nothing once it was given up. An absence
    /// and a record without holder are waited for as long: that holder may have renewed, unseen,
    /// until then.
    standing: Duration,
    /// Counts sightings that changed something: an answer that began before the last of them may
    /// be older than it.
    epoch: u64,
    changed_at: Instant,
    resumed_at: Instant,
}

/// How many foreign holders' durations are remembered before those that no wait needs are dropped.
const FOREIGN_REMEMBERED: usize = 256;

/// Whom a wait protects.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Former {
    /// A process that wrote with our annotation.
    Process(Nonce),
    /// A holder of that name, whoever wrote it.
    Name(Arc<str>),
    /// Somebody unknown, under a record without holder or an absence.
    Somebody,
}

#[derive(Clone, Debug)]
struct Wait {
    former: Former,
    until: Instant,
}

impl Observation {
    pub(super) fn new(own_duration: Duration) -> Self {
        Self {
            own_duration,
            place: Place::Unknown,
            newest: None,
            waits: Vec::new(),
            foreign: Vec::new(),
            evidence: false,
            holder_since: Instant::default(),
            renewed: false,
            waived: false,
            standing: Duration::ZERO,
            epoch: 0,
            changed_at: Instant::default(),
            resumed_at: Instant::default(),
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The newest resourceVersion seen anywhere, own writes' answers included.
    pub(super) fn newest(&self) -> Option<&ResourceVersion> {
        self.newest.as_ref()
    }

    /// Whether anything has shown that the Lease existed (L14).
    pub(super) fn evidence(&self) -> bool {
        self.evidence
    }

    pub(super) fn note_evidence(&mut self) {
        self.evidence = true;
    }

    /// Who stands there, as is to be shown.
    pub(super) fn holder(&self) -> Option<Holder> {
        self.present_holder().map(|identity| Holder {
            identity: Arc::clone(identity),
            since: self.holder_since,
            renewed: self.renewed,
            lasts: Some(self.standing.max(self.own_duration)),
        })
    }

    /// The same, unless its record need not be waited out: then nobody leads by it.
    pub(super) fn leader(&self) -> Option<Holder> {
        self.holder().filter(|_| !self.waived)
    }

    /// The first moment at which every wait is over; never before the last change was received.
    pub(super) fn free_at(&self) -> Instant {
        self.waits
            .iter()
            .map(|wait| wait.until)
            .fold(self.changed_at, Instant::max)
    }

    /// When something new was received last.
    pub(super) fn changed_at(&self) -> Instant {
        self.changed_at
    }

    /// When a pause was last seen to have ended. It begins no wait (L26).
    pub(super) fn resumed_at(&self) -> Instant {
        self.resumed_at
    }

    /// Nobody is waited for because of what has been received so far (L24).
    pub(super) fn waive(&mut self) {
        self.waits.clear();
        self.standing = Duration::ZERO;
        self.waived = true;
    }

    /// Whether it cannot be told if `version` is newer than what is known.
    pub(super) fn cannot_tell(&self, version: &ResourceVersion) -> bool {
        self.newest
            .as_ref()
            .is_some_and(|newest| version.partial_cmp(newest).is_none())
    }

    /// An event of the watch. Older and duplicated ones start nothing (L2).
    pub(super) fn watch_seen(&mut self, now: Instant, observed: Observed) -> Change {
        if !self.is_newer(&observed.version.resource_version) {
            return Change::Stale;
        }
        self.take(now, observed)
    }

    /// A removal that the watch showed.
    pub(super) fn watch_gone(&mut self, now: Instant, version: &Version) -> Change {
        self.evidence = true;
        if !self.is_newer(&version.resource_version) {
            return Change::Stale;
        }
        self.newest = Some(version.resource_version.clone());
        self.take_absence(now)
    }

    /// A quorum read that began when the epoch was `began` and `newest_then` was the newest state
    /// known. Only a read that began after it may take history back (a restore).
    pub(super) fn read(
        &mut self,
        now: Instant,
        observed: Observed,
        began: u64,
        newest_then: Option<&ResourceVersion>,
    ) -> Change {
        let version = &observed.version.resource_version;
        if self.is_newer(version) || self.is_present(version) {
            return self.take(now, observed);
        }
        let raced = began != self.epoch || newest_then != self.newest.as_ref();
        if raced {
            Change::Stale
        } else {
            self.take(now, observed)
        }
    }

    /// A quorum read that found nothing.
    pub(super) fn read_absent(&mut self, now: Instant, began: u64) -> Change {
        if began == self.epoch {
            self.take_absence(now)
        } else {
            Change::Stale
        }
    }

    /// The answer to a write of one's own: an observation like any other (after its validity a
    /// former holder is an observer of its own last record too).
    pub(super) fn written(&mut self, now: Instant, observed: Observed) -> Change {
        if self.is_newer(&observed.version.resource_version) || self.newest.is_none() {
            self.take(now, observed)
        } else {
            Change::Stale
        }
    }

    fn is_newer(&self, version: &ResourceVersion) -> bool {
        self.newest
            .as_ref()
            .is_none_or(|newest| version.newer_than(newest))
    }

    fn is_present(&self, version: &ResourceVersion) -> bool {
        matches!(&self.place, Place::Present(o) if o.version.resource_version == *version)
    }

    fn take(&mut self, now: Instant, observed: Observed) -> Change {
        self.evidence = true;
        self.newest = Some(observed.version.resource_version.clone());
        let was_paused = matches!(&self.place, Place::Present(known) if known.paused.is_some());
        if was_paused && observed.paused.is_none() {
            self.resumed_at = now;
        }
        let same = matches!(&self.place, Place::Present(known) if known.says_the_same(&observed));
        if same {
            self.place = Place::Present(observed);
            return Change::Same;
        }
        self.epoch += 1;
        self.changed_at = now;
        self.waived = false;
        self.renewed = self.present_holder() == observed.spec.holder();
        if !self.renewed {
            self.holder_since = now;
        }
        if self.is_another_object(&observed) {
            // The one that is known was deleted, by whomever it was held then.
            self.wait(now, Former::Somebody, self.standing);
        }
        self.start_wait(now, &observed);
        self.place = Place::Present(observed);
        Change::Changed
    }

    fn take_absence(&mut self, now: Instant) -> Change {
        if self.place == Place::Absent {
            return Change::Same;
        }
        // The very first look at an empty place proves nothing about a former holder (L14).
        if self.evidence {
            self.wait(now, Former::Somebody, self.standing);
        }
        self.epoch += 1;
        self.changed_at = now;
        self.holder_since = now;
        self.waived = false;
        self.place = Place::Absent;
        Change::Changed
    }

    fn is_another_object(&self, observed: &Observed) -> bool {
        matches!(&self.place, Place::Present(known) if known.version.uid != observed.version.uid)
    }

    fn present_holder(&self) -> Option<&Arc<str>> {
        match &self.place {
            Place::Present(observed) => observed.spec.holder(),
            _ => None,
        }
    }

    fn start_wait(&mut self, now: Instant, observed: &Observed) {
        if let Some(releaser) = observed.released_by() {
            // The mark waives the releaser's own wait and nobody else's (L13).
            self.waits
                .retain(|wait| wait.former != Former::Process(releaser.clone()));
            self.standing = Duration::ZERO;
            return;
        }
        let mark = observed.speaking_mark();
        let written = mark.map_or_else(
            || duration_of(&observed.spec),
            |mark| Duration::from_secs(mark.duration_seconds.into()),
        );
        let former = match (observed.spec.holder(), mark) {
            (Some(_), Some(mark)) => {
                self.standing = written;
                Former::Process(mark.nonce.clone())
            }
            (Some(name), None) => {
                self.standing = self.largest(name, written);
                Former::Name(Arc::clone(name))
            }
            (None, _) => {
                self.standing = self.standing.max(written);
                Former::Somebody
            }
        };
        self.wait(now, former, self.standing);
    }

    fn largest(&mut self, name: &Arc<str>, written: Duration) -> Duration {
        if let Some((_, largest)) = self.foreign.iter_mut().find(|(known, _)| known == name) {
            *largest = (*largest).max(written);
            return *largest;
        }
        self.forget_old_strangers();
        self.foreign.push((Arc::clone(name), written));
        written
    }

    fn forget_old_strangers(&mut self) {
        if self.foreign.len() >= FOREIGN_REMEMBERED {
            let waits = &self.waits;
            self.foreign.retain(|(name, _)| {
                waits
                    .iter()
                    .any(|wait| matches!(&wait.former, Former::Name(n) if n == name))
            });
        }
    }

    fn wait(&mut self, now: Instant, former: Former, written: Duration) {
        let until = now.after(written.max(self.own_duration));
        self.waits.retain(|wait| wait.until > now);
        if self.waits.is_empty() {
            // Mostly it is one, in a thousand elections.
            self.waits.reserve_exact(1);
        }
        match self.waits.iter_mut().find(|wait| wait.former == former) {
            Some(wait) => wait.until = wait.until.max(until),
            None => self.waits.push(Wait { former, until }),
        }
    }
}

fn duration_of(spec: &Spec) -> Duration {
    let seconds = spec.duration_seconds.unwrap_or(0);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
