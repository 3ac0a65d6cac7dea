//! Whoever takes a Lease has waited for everybody whom it has seen to hold it (L2, L13): the rule
//! once more, written down as an observer of the observer, who sees what its watch showed it.
//!
//! It asks less than the rule where it cannot know what was made of a sighting: answers only show
//! what later events are older than, and which waits a release mark waives.

use std::sync::Arc;

use crate::{
    clock::{MILLI, Nanos},
    ledger::Ledger,
    plan::FASTEST,
    trace::{Author, Happening, ProcessId, Seeing, Snapshot, Write},
};

use super::{Invariant, named, seconds};

#[derive(Default)]
pub(super) struct Waits {
    /// What each resourceVersion was, and since when, unless it was there before everything.
    states: Vec<(Snapshot, Option<Nanos>)>,
    observers: Vec<Observer>,
}

#[derive(Default)]
struct Observer {
    newest: u64,
    /// The record that it was shown last.
    record: Option<Snapshot>,
    /// An answer said since that there is none; nobody knows whether that was believed.
    absent: bool,
    /// It was shown one that was there before everything.
    unsure: bool,
    /// How long the newest holder's record has to be waited for.
    standing: Nanos,
    waits: Vec<Wait>,
    /// When it was last shown a state that somebody else wrote, and whose that was.
    other: Option<(Nanos, Option<Arc<str>>)>,
    /// What it has created with itself as the holder.
    created: Option<Created>,
    /// The longest duration that was seen of each holder that writes no annotation.
    foreign: Vec<(Arc<str>, Nanos)>,
}

struct Created {
    version: u64,
    sent: Nanos,
    nonce: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Former {
    Process(Arc<str>),
    Name(Arc<str>),
    Somebody,
}

struct Wait {
    former: Former,
    since: Nanos,
    lasts: Nanos,
    /// How old the record was, where it was the very first that was seen.
    first_and_old: Option<Nanos>,
}

impl Invariant for Waits {
    fn name(&self) -> &'static str {
        "waits"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        match what {
            Happening::Wrote(write) => {
                let judged = self.judge(at, write, ledger);
                self.states.extend(
                    write
                        .after
                        .clone()
                        .map(|after| (after, self.since(at, write))),
                );
                self.creates(write);
                judged
            }
            Happening::Belief {
                process,
                belief: Some(belief),
            } => self.granted(*process, belief.token, ledger),
            // One resourceVersion may name two states from now on.
            Happening::Restored => {
                self.states.clear();
                self.observers.clear();
                Ok(())
            }
            Happening::Sees {
                process,
                version,
                how,
            } if (*version > 0 || *how == Seeing::Absent) && !ledger.restored() => {
                self.sees(at, *process, *version, *how);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Waits {
    fn sees(&mut self, at: Nanos, process: ProcessId, version: u64, how: Seeing) {
        let observer = observer(&mut self.observers, process);
        if how == Seeing::Absent {
            observer.absent = true;
            return;
        }
        if version <= observer.newest {
            return;
        }
        let first = observer.newest == 0 && !observer.absent;
        observer.newest = version;
        // What is between two states that were told is the first with other labels, or the like.
        let until = self
            .states
            .partition_point(|(state, _)| state.version <= version);
        let known = until.checked_sub(1).map(|place| &self.states[place]);
        let state = known.map(|(state, _)| state);
        if let Some(state) = state {
            observer.other = Some((at, state.nonce.clone()));
        }
        match (how, state) {
            (Seeing::Watched, Some(state)) => observer.watched(at, state),
            (Seeing::Gone, _) => observer.gone(at),
            (Seeing::Absent | Seeing::Exists, _) => {}
            (Seeing::Answered, Some(state)) => observer.answered(state),
            (_, None) => observer.unsure = true,
        }
        if let (true, Some((_, written))) = (first, known) {
            for wait in &mut observer.waits {
                wait.first_and_old = Some(written.map_or(Nanos::MAX, |written| at - written));
            }
        }
    }

    /// Since when the record says what it says after this write: what people ask for beside it makes
    /// it no younger.
    fn since(&self, at: Nanos, write: &Write) -> Option<Nanos> {
        let (Some(before), Some(after)) = (&write.before, &write.after) else {
            return Some(at);
        };
        if !says_the_same(before, after) {
            return Some(at);
        }
        match self.states.last() {
            // Labels that changed in between are not told.
            Some((state, since)) if says_the_same(state, before) => *since,
            None => None,
            Some(_) => Some(at),
        }
    }

    fn creates(&mut self, write: &Write) {
        let (Author::Process(process), None, Some(after)) = (write.by, &write.before, &write.after)
        else {
            return;
        };
        if after.protects > 0 && after.holder.is_some() {
            observer(&mut self.observers, process).created = Some(Created {
                version: after.version,
                sent: write.sent,
                nonce: after.nonce.clone(),
            });
        }
    }

    /// A create has no precondition: it grants nothing beside what another wrote meanwhile (L14).
    fn granted(&self, id: ProcessId, token: u64, ledger: &Ledger) -> Result<(), String> {
        let Some(observer) = self.observers.get(id.0 as usize) else {
            return Ok(());
        };
        let (Some(created), Some((at, whose))) = (&observer.created, &observer.other) else {
            return Ok(());
        };
        let meanwhile = *at >= created.sent && *whose != created.nonce;
        if created.version == token && meanwhile && ledger.process(id).ours {
            return Err(format!(
                "{} leads by a create, and was shown what another wrote since it was sent (L14)",
                named(ledger, id)
            ));
        }
        Ok(())
    }

    fn judge(&self, at: Nanos, write: &Write, ledger: &Ledger) -> Result<(), String> {
        let (Author::Process(id), Some(before), Some(after)) =
            (write.by, &write.before, &write.after)
        else {
            return Ok(());
        };
        let process = ledger.process(id);
        let acquires = after.holder.is_some() && after.acquired == after.renewed;
        let for_life = before.protects == 0;
        if for_life || !process.ours || process.bad_clock || !acquires || ledger.restored() {
            return Ok(());
        }
        let Some(observer) = self.observers.get(id.0 as usize) else {
            return Ok(());
        };
        for wait in &observer.waits {
            let lasts = wait.lasts.max(after.protects);
            // L24, judged by true time: the clocks that are trusted are within the skew.
            if process.trusts_clocks && wait.first_and_old.is_some_and(|age| age > lasts) {
                continue;
            }
            let least = lasts / FASTEST * 1_000_000;
            let waited = at - wait.since;
            if waited + MILLI < least {
                return Err(format!(
                    "{} took the Lease {} after it had seen {:?}; {} is the least (L2, L13)",
                    named(ledger, id),
                    seconds(waited),
                    wait.former,
                    seconds(least)
                ));
            }
        }
        Ok(())
    }
}

/// Whether two states tell an observer the same: what people ask for is no part of what is waited for
/// (L25, L26), nor are the labels that came with it, of which nobody tells.
fn says_the_same(record: &Snapshot, state: &Snapshot) -> bool {
    let asks = record.asked != state.asked || record.paused != state.paused;
    let foreign = if asks { state } else { record };
    let record = Snapshot {
        version: state.version,
        asked: state.asked.clone(),
        paused: state.paused.clone(),
        foreign: foreign.foreign.clone(),
        ..record.clone()
    };
    record == *state
}

fn observer(observers: &mut Vec<Observer>, process: ProcessId) -> &mut Observer {
    let index = process.0 as usize;
    if observers.len() <= index {
        observers.resize_with(index + 1, Observer::default);
    }
    &mut observers[index]
}

impl Observer {
    fn watched(&mut self, at: Nanos, state: &Snapshot) {
        let says_the_same = self
            .record
            .as_ref()
            .is_some_and(|record| says_the_same(record, state));
        let before = self.record.replace(state.clone());
        let unseen_absence = before.is_some_and(|record| record.uid != state.uid);
        // An absence that an answer has shown before begins nothing.
        let known_absence = std::mem::take(&mut self.absent);
        if std::mem::take(&mut self.unsure) || says_the_same {
            return;
        }
        if unseen_absence && !known_absence {
            self.wait(at, Former::Somebody);
        }
        if state.released {
            self.released(state);
            return;
        }
        let former = match (&state.holder, state.speaks, &state.nonce) {
            (Some(_), true, Some(nonce)) => {
                self.standing = state.protects;
                Former::Process(Arc::clone(nonce))
            }
            (Some(name), ..) => {
                self.standing = self.largest(name, state.protects);
                Former::Name(Arc::clone(name))
            }
            (None, ..) => {
                self.standing = self.standing.max(state.protects);
                Former::Somebody
            }
        };
        self.wait(at, former);
    }

    fn answered(&mut self, state: &Snapshot) {
        self.standing = self.standing.min(state.protects);
        self.record = Some(state.clone());
        if state.released {
            self.released(state);
        }
    }

    fn gone(&mut self, at: Nanos) {
        // An absence that an answer has shown before begins nothing.
        let known = std::mem::take(&mut self.absent);
        if self.record.take().is_some() && !known {
            self.wait(at, Former::Somebody);
        }
    }

    fn released(&mut self, state: &Snapshot) {
        let releaser = state.nonce.clone().map(Former::Process);
        self.waits
            .retain(|wait| Some(&wait.former) != releaser.as_ref());
        self.standing = 0;
    }

    fn largest(&mut self, name: &Arc<str>, lasts: Nanos) -> Nanos {
        if let Some((_, largest)) = self.foreign.iter_mut().find(|(known, _)| known == name) {
            *largest = (*largest).max(lasts);
            return *largest;
        }
        self.foreign.push((Arc::clone(name), lasts));
        lasts
    }

    fn wait(&mut self, since: Nanos, former: Former) {
        let lasts = self.standing;
        match self.waits.iter_mut().find(|wait| wait.former == former) {
            // The later of the two ends counts; the other is left out.
            Some(wait) if wait.since + wait.lasts > since + lasts => {}
            Some(wait) => {
                (wait.since, wait.lasts, wait.first_and_old) = (since, lasts, None);
            }
            None => self.waits.push(Wait {
                former,
                since,
                lasts,
                first_and_old: None,
            }),
        }
    }
}
