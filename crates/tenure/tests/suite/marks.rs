//! Marks: who believed when, sampled from outside of the election, by the clock that all
//! processes of a machine share.

use std::sync::{Arc, Mutex};

use tenure::{Instant, LeadershipHandle};

/// The marks of all candidates of a test.
#[derive(Clone, Default)]
pub(crate) struct Marks(Arc<Mutex<Vec<Belief>>>);

/// One term, as its marks show it: first and last reading at which it believed.
#[derive(Clone, Copy, Debug)]
struct Belief {
    term: usize,
    first: Instant,
    last: Instant,
}

impl Marks {
    /// Sample this term every millisecond, on a thread of its own, until it does not believe any
    /// more.
    pub(crate) fn sample(&self, handle: LeadershipHandle) -> std::thread::JoinHandle<()> {
        let marks = self.clone();
        let term = {
            let mut beliefs = marks.0.lock().unwrap();
            let term = beliefs.len();
            let now = tenure::now();
            beliefs.push(Belief {
                term,
                first: now,
                last: now,
            });
            term
        };
        std::thread::spawn(move || {
            loop {
                // Read before the question: belief at this reading is what a `true` proves.
                let now = tenure::now();
                if !handle.is_leading() {
                    return;
                }
                marks.0.lock().unwrap()[term].last = now;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        })
    }

    /// How many pairs of terms believed at one time.
    pub(crate) fn overlaps(&self) -> usize {
        let beliefs = self.0.lock().unwrap();
        let mut overlaps = 0;
        for a in beliefs.iter() {
            for b in beliefs.iter().filter(|b| b.term > a.term) {
                if a.first <= b.last && b.first <= a.last {
                    eprintln!("{a:?} and {b:?} overlap");
                    overlaps += 1;
                }
            }
        }
        overlaps
    }

    pub(crate) fn terms(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}
