//! Nobody asks the server too often, also where everything fails (L16, L17).

use std::collections::VecDeque;

use crate::{
    clock::{Nanos, SECOND},
    ledger::Ledger,
    trace::Happening,
};

use super::{Invariant, named};

/// The windows that are looked at, and how many requests of one process may fall into each. The
/// shortest retry period of the fleets is a second: at most four restores of an edited record in
/// it, a read before each, and what a clash of many brings: for life, processes whose Pods are gone
/// create locks that others remove, and each change wakes everybody.
const WINDOWS: [(Nanos, usize); 2] = [(SECOND, 32), (10 * SECOND, 80)];

/// A clock beyond rho may run at so many times its rate, and its process with it.
const FASTEST_BEYOND: usize = 3;

#[derive(Default)]
pub(super) struct Requests {
    asked: Vec<VecDeque<Nanos>>,
}

impl Invariant for Requests {
    fn name(&self) -> &'static str {
        "requests"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        let Happening::Asked { process, .. } = what else {
            return Ok(());
        };
        let asks = ledger.process(*process);
        if !asks.ours {
            return Ok(());
        }
        let faster = if asks.bad_clock { FASTEST_BEYOND } else { 1 };
        let index = process.0 as usize;
        if self.asked.len() <= index {
            self.asked.resize_with(index + 1, VecDeque::new);
        }
        let asked = &mut self.asked[index];
        asked.push_back(at);
        let longest = WINDOWS[WINDOWS.len() - 1].0;
        while asked.front().is_some_and(|first| at - first > longest) {
            asked.pop_front();
        }
        for (window, most) in WINDOWS {
            let from = asked.partition_point(|then| at - then > window);
            let many = asked.len() - from;
            if many > most * faster {
                let window = window / SECOND;
                return Err(format!(
                    "{} sent {many} requests within {window} s",
                    named(ledger, *process)
                ));
            }
        }
        Ok(())
    }
}
