//! How close two leaders ever came: the time from the end of a belief that ran out to the
//! beginning of the next one.

use crate::{
    clock::Nanos,
    ledger::Ledger,
    trace::{Author, Happening, ProcessId, Snapshot, Write},
};

/// Watches one run for the shortest time between two leaders of whom the first one's time ran out.
#[derive(Clone, Debug, Default)]
pub struct Slack {
    /// Who has written itself into a record that another had not given up.
    taking: Option<ProcessId>,
    /// When each process' latest belief ended, or ends.
    ends: Vec<Nanos>,
    shortest: Option<i128>,
}

impl Slack {
    /// Take in what happened; the ledger knows of it already.
    pub fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) {
        match what {
            Happening::Wrote(Write {
                by, before, after, ..
            }) => {
                let holder = |record: &Option<Snapshot>| record.as_ref()?.holder.clone();
                let (was, is) = (holder(before), holder(after));
                if was != is {
                    self.taking = match by {
                        Author::Process(process) if was.is_some() && is.is_some() => Some(*process),
                        _ => None,
                    };
                }
            }
            Happening::Belief { process, belief } => {
                if belief.is_some() && self.taking == Some(*process) {
                    self.taking = None;
                    self.compare(at, *process);
                }
                let index = process.0 as usize;
                if self.ends.len() <= index {
                    self.ends.resize(index + 1, 0);
                }
                self.ends[index] = match belief {
                    Some(belief) => match belief.until.unwrap_or(Nanos::MAX) {
                        // It was over before.
                        until if until <= at => self.ends[index].min(until),
                        until => until,
                    },
                    None => self.ends[index].min(at),
                };
            }
            Happening::Ended { process } => {
                if let Some(end) = self.ends.get_mut(process.0 as usize) {
                    // It can be asked no more.
                    *end = (*end).min(at);
                }
            }
            _ => {}
        }
        debug_assert!(ledger.processes().count() >= self.ends.len());
    }

    /// The shortest time so far, in nanoseconds; below zero where two led at once.
    #[must_use]
    pub fn shortest(&self) -> Option<i128> {
        self.shortest
    }

    fn compare(&mut self, at: Nanos, taker: ProcessId) {
        let others = self.ends.iter().enumerate();
        let last = others
            .filter(|(index, _)| *index != taker.0 as usize)
            .map(|(_, end)| *end)
            .max();
        if let Some(last) = last.filter(|last| *last > 0) {
            let slack = i128::from(at) - i128::from(last);
            self.shortest = Some(self.shortest.map_or(slack, |known| known.min(slack)));
        }
    }
}
