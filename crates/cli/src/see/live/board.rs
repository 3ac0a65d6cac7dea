//! What has been seen of each lock since the watching began. All times are this side's, in
//! microseconds since 1970: when something was *seen*, so no holder's clock matters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::see::{
    kind::Kind,
    lock::{Hold, Lock},
};

/// Namespace, kind and name.
pub(crate) type Key = (String, String, String);

/// Something that was seen, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Moment {
    /// Microseconds since 1970.
    pub(crate) at: i64,
    pub(crate) event: What,
    #[serde(default)]
    pub(crate) namespace: String,
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holder: Option<String>,
    /// Until when the holder before may still have believed that it leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    /// The watching began.
    Begin,
    /// Somebody stands in the lock who was not there before.
    Held,
    /// Taken by another before the last holder's time was over, as far as could be seen.
    Overlap,
    /// Nobody stands in it any more.
    Free,
    /// Its holder has let its time run out.
    Expired,
    /// The object is gone.
    Gone,
    /// The watching ended.
    End,
}

/// How long somebody stood in a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) holder: String,
    pub(crate) from: i64,
    /// None while it lasts.
    pub(crate) to: Option<i64>,
}

/// One lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Track {
    pub(crate) lock: Option<Lock>,
    pub(crate) terms: Vec<Term>,
    /// From, until.
    pub(crate) overlaps: Vec<(i64, i64)>,
    /// The last renewal: what it said, and when that was seen.
    renewal: Option<(Option<i64>, i64)>,
    /// Something may have been missed since.
    torn: bool,
    /// Who stands in it and has let its time run out.
    ran_out: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Board {
    pub(crate) begin: i64,
    pub(crate) tracks: BTreeMap<Key, Track>,
}

/// The most terms of one lock that are remembered: one that flaps for days must not fill memory.
const MOST_TERMS: usize = 1000;

impl Board {
    pub(crate) fn new(begin: i64) -> Self {
        Self {
            begin,
            tracks: BTreeMap::new(),
        }
    }

    /// The lock is like that now. `over` says that its holder's time is over by its own word, which
    /// counts for what was never seen before: nobody knows how long it has stood there.
    pub(crate) fn seen(&mut self, at: i64, over: bool, lock: Lock) -> Vec<Moment> {
        let key = key(&lock);
        let mut told = Vec::new();
        let track = self.tracks.entry(key.clone()).or_default();
        let holder = lock.holder().map(ToOwned::to_owned);
        let before = track.present().map(|term| term.holder.clone());
        let said = lock.renewed().and_then(|renewed| renewed.renew_time);
        // Whose time has run out is not back because the object is seen once more.
        let is_new = track.lock.is_none() && track.terms.is_empty() && track.renewal.is_none();
        if let Some(holder) = holder.as_ref().filter(|_| is_new && over) {
            track.ran_out = Some(holder.clone());
            track.renewal = Some((said, at));
            told.push(moment(at, What::Expired, &key, Some(holder), None));
        }
        let still = holder.is_some()
            && track.ran_out == holder
            && track.renewal.is_some_and(|(known, _)| known == said);
        if holder != before && !still {
            track.ran_out = None;
            match (&before, &holder) {
                (Some(_), Some(now)) => {
                    track.end_term(at);
                    let until = track
                        .believed_until()
                        .filter(|until| *until > at && !track.torn);
                    if let Some(until) = until {
                        track.overlaps.push((at, until));
                        told.push(moment(at, What::Overlap, &key, Some(now), Some(until)));
                    }
                    told.push(moment(at, What::Held, &key, Some(now), None));
                }
                (None, Some(now)) => told.push(moment(at, What::Held, &key, Some(now), None)),
                (_, None) => {
                    track.end_term(at);
                    told.push(moment(at, What::Free, &key, None, None));
                }
            }
            if let Some(holder) = &holder {
                track.begin_term(holder, at);
            }
            track.renewal = None;
        }
        if track.renewal.is_none_or(|(known, _)| known != said) {
            track.renewal = Some((said, at));
        }
        track.torn = false;
        track.lock = Some(lock);
        told
    }

    /// The object is gone.
    pub(crate) fn gone(&mut self, at: i64, key: &Key) -> Vec<Moment> {
        let Some(track) = self.tracks.get_mut(key) else {
            return Vec::new();
        };
        if track.lock.take().is_none() {
            return Vec::new();
        }
        track.end_term(at);
        vec![moment(at, What::Gone, key, None, None)]
    }

    /// Time has passed: whoever has not been seen to renew for its duration no longer holds. The server
    /// was `heard` last then: what it could not tell, nobody has missed.
    pub(crate) fn passed(&mut self, at: i64, heard: i64) -> Vec<Moment> {
        let mut told = Vec::new();
        for (key, track) in &mut self.tracks {
            let ended = !track.torn && track.believed_until().is_some_and(|until| until <= heard);
            // What stood there from the beginning may have run out long ago.
            if let Some(holder) = track
                .present()
                .filter(|_| ended)
                .map(|term| term.holder.clone())
            {
                track.end_term(at);
                told.push(moment(at, What::Expired, key, Some(&holder), None));
                track.ran_out = Some(holder);
            }
        }
        told
    }

    /// A watch broke off: until a lock is seen again, something may have happened to it.
    pub(crate) fn torn(&mut self, kind: Kind) {
        for ((_, of, _), track) in &mut self.tracks {
            track.torn |= of == kind.name();
        }
    }

    /// What a list of all of a kind says of those that are not in it.
    pub(crate) fn only(&mut self, at: i64, kind: Kind, there: &[Key]) -> Vec<Moment> {
        let gone: Vec<Key> = self
            .tracks
            .iter()
            .filter(|(key, track)| {
                key.1 == kind.name() && track.lock.is_some() && !there.contains(key)
            })
            .map(|(key, _)| key.clone())
            .collect();
        gone.iter().flat_map(|key| self.gone(at, key)).collect()
    }

    /// What was written down, seen again.
    pub(crate) fn replay(&mut self, moment: &Moment) {
        let key = (
            moment.namespace.clone(),
            moment.kind.clone(),
            moment.name.clone(),
        );
        if matches!(moment.event, What::Begin | What::End) {
            return;
        }
        let track = self.tracks.entry(key).or_default();
        match moment.event {
            What::Held => {
                track.end_term(moment.at);
                track.begin_term(moment.holder.as_deref().unwrap_or("?"), moment.at);
            }
            What::Overlap => track
                .overlaps
                .push((moment.at, moment.until.unwrap_or(moment.at))),
            What::Free | What::Expired | What::Gone => track.end_term(moment.at),
            What::Begin | What::End => {}
        }
    }
}

impl Track {
    pub(crate) fn present(&self) -> Option<&Term> {
        self.terms.last().filter(|term| term.to.is_none())
    }

    /// When the last holder's time is over, by when its last renewal was seen.
    fn believed_until(&self) -> Option<i64> {
        let (_, seen) = self.renewal?;
        match &self.lock.as_ref()?.hold {
            Hold::Renewed(renewed) => {
                let seconds = renewed.duration_seconds.filter(|seconds| *seconds > 0)?;
                Some(seen.saturating_add(seconds.saturating_mul(1_000_000)))
            }
            Hold::ForLife(_) => None,
        }
    }

    fn begin_term(&mut self, holder: &str, at: i64) {
        if self.terms.len() >= MOST_TERMS {
            self.terms.remove(0);
        }
        self.terms.push(Term {
            holder: holder.to_owned(),
            from: at,
            to: None,
        });
    }

    fn end_term(&mut self, at: i64) {
        if let Some(term) = self.terms.last_mut().filter(|term| term.to.is_none()) {
            term.to = Some(at.max(term.from));
        }
    }
}

pub(crate) fn key(lock: &Lock) -> Key {
    (
        lock.namespace.clone(),
        lock.kind.name().to_owned(),
        lock.name.clone(),
    )
}

fn moment(at: i64, event: What, key: &Key, holder: Option<&str>, until: Option<i64>) -> Moment {
    Moment {
        at,
        event,
        namespace: key.0.clone(),
        kind: key.1.clone(),
        name: key.2.clone(),
        holder: holder.map(ToOwned::to_owned),
        until,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const S: i64 = 1_000_000;

    fn lease(holder: &str, renewed: &str) -> Lock {
        let object = json!({
            "metadata": {"name": "l", "namespace": "ns"},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed},
        });
        Lock::read(Kind::Lease, &object, true).unwrap()
    }

    fn events(told: &[Moment]) -> Vec<What> {
        told.iter().map(|moment| moment.event).collect()
    }

    #[test]
    fn a_release_between_two_terms_is_a_gap_and_no_overlap() {
        let mut board = Board::new(0);
        assert_eq!(
            events(&board.seen(S, false, lease("a", "2026-03-01T09:30:00Z"))),
            [What::Held]
        );
        assert_eq!(
            events(&board.seen(2 * S, false, lease("a", "2026-03-01T09:30:01Z"))),
            []
        );
        assert_eq!(
            events(&board.seen(3 * S, false, lease("", "2026-03-01T09:30:02Z"))),
            [What::Free]
        );
        assert_eq!(
            events(&board.seen(4 * S, false, lease("b", "2026-03-01T09:30:03Z"))),
            [What::Held]
        );
        let track = board.tracks.values().next().unwrap();
        assert_eq!(track.terms[0].to, Some(3 * S));
        assert_eq!(track.present().unwrap().from, 4 * S);
        assert_eq!(track.overlaps, []);
    }

    #[test]
    fn a_lease_taken_before_its_time_was_over_is_an_overlap() {
        let mut board = Board::new(0);
        board.seen(S, false, lease("a", "2026-03-01T09:30:00Z"));
        board.seen(5 * S, false, lease("a", "2026-03-01T09:30:04Z"));
        let told = board.seen(7 * S, false, lease("b", "2026-03-01T09:30:06Z"));
        assert_eq!(events(&told), [What::Overlap, What::Held]);
        assert_eq!(told[0].until, Some(20 * S));
    }

    #[test]
    fn an_overlap_is_not_claimed_over_a_stretch_that_was_not_seen() {
        let mut board = Board::new(0);
        board.seen(S, false, lease("a", "2026-03-01T09:30:00Z"));
        board.torn(Kind::Lease);
        let told = board.seen(7 * S, false, lease("b", "2026-03-01T09:30:06Z"));
        assert_eq!(events(&told), [What::Held]);
    }

    #[test]
    fn who_is_not_seen_to_renew_for_its_duration_has_expired() {
        let mut board = Board::new(0);
        board.seen(S, false, lease("a", "2026-03-01T09:30:00Z"));
        assert_eq!(events(&board.passed(15 * S, 15 * S)), []);
        assert_eq!(events(&board.passed(16 * S, 16 * S)), [What::Expired]);
        assert_eq!(events(&board.passed(17 * S, 17 * S)), []);
        // The same record in another list is no renewal.
        board.torn(Kind::Lease);
        let again = board.seen(17 * S, false, lease("a", "2026-03-01T09:30:00Z"));
        assert_eq!(events(&again), []);
        // The same holder may come back.
        assert_eq!(
            events(&board.seen(18 * S, false, lease("a", "2026-03-01T09:30:17Z"))),
            [What::Held]
        );
    }

    #[test]
    fn whose_time_was_over_before_the_watching_began_does_not_hold_it() {
        let mut board = Board::new(0);
        let dead = || lease("a", "2026-03-01T09:30:00Z");
        assert_eq!(events(&board.seen(S, true, dead())), [What::Expired]);
        assert_eq!(events(&board.seen(2 * S, true, dead())), []);
        assert_eq!(events(&board.passed(60 * S, 60 * S)), []);
        // Who was seen before has the time that was seen.
        let renewed = lease("a", "2026-03-01T09:31:00Z");
        assert_eq!(events(&board.seen(61 * S, true, renewed)), [What::Held]);
        let taken = lease("b", "2026-03-01T09:31:01Z");
        let told = board.seen(62 * S, true, taken);
        assert_eq!(events(&told), [What::Overlap, What::Held]);
    }

    #[test]
    fn nobody_has_expired_while_the_server_could_not_be_heard() {
        let mut board = Board::new(0);
        board.seen(S, false, lease("a", "2026-03-01T09:30:00Z"));
        assert_eq!(events(&board.passed(30 * S, 15 * S)), []);
        // It answers, and what was missed is yet to be listed.
        board.torn(Kind::Lease);
        assert_eq!(events(&board.passed(31 * S, 31 * S)), []);
        assert_eq!(
            events(&board.seen(32 * S, false, lease("a", "2026-03-01T09:30:29Z"))),
            []
        );
        assert_eq!(events(&board.passed(33 * S, 33 * S)), []);
    }

    #[test]
    fn what_a_list_no_longer_shows_is_gone() {
        let mut board = Board::new(0);
        board.seen(S, false, lease("a", "2026-03-01T09:30:00Z"));
        assert_eq!(events(&board.only(2 * S, Kind::ConfigMap, &[])), []);
        assert_eq!(events(&board.only(2 * S, Kind::Lease, &[])), [What::Gone]);
        assert_eq!(events(&board.only(3 * S, Kind::Lease, &[])), []);
    }

    #[test]
    fn what_was_written_down_gives_the_same_terms() {
        let mut board = Board::new(0);
        let mut told = board.seen(S, false, lease("a", "2026-03-01T09:30:00Z"));
        told.extend(board.seen(7 * S, false, lease("b", "2026-03-01T09:30:06Z")));
        told.extend(board.gone(9 * S, &("ns".into(), "Lease".into(), "l".into())));
        let mut again = Board::new(0);
        for moment in &told {
            let line = serde_json::to_string(moment).unwrap();
            again.replay(&serde_json::from_str(&line).unwrap());
        }
        let (one, other) = (board.tracks.values().next(), again.tracks.values().next());
        assert_eq!(one.unwrap().terms, other.unwrap().terms);
        assert_eq!(one.unwrap().overlaps, other.unwrap().overlaps);
    }
}
