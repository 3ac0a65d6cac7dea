//! What is said to whoever started tenure: whom it waits for, and why it ends.

use super::{driver::Driver, exit};
use crate::console;

impl Driver {
    /// Somebody who sits at a terminal sees why nothing happens.
    pub(super) fn waits_for(&mut self, whom: String) {
        if console::stderr_is_terminal() && self.waited_for.as_ref() != Some(&whom) {
            let name = &self.options.stand.name;
            console::note(&format!("tenure: waiting for the lock {name:?}: {whom}"));
            self.waited_for = Some(whom.clone());
        }
        self.why = Some(whom);
    }

    /// The last words.
    pub(super) fn say_why(&self, code: u8) {
        let name = &self.options.stand.name;
        let why = self.why.as_deref().unwrap_or("nobody is known to lead");
        match code {
            exit::LOST => console::fail(&format!("tenure: {why} (lock {name:?})")),
            exit::WAITED => console::fail(&format!("tenure: gave up the lock {name:?}: {why}")),
            exit::FAILED if self.why.is_some() => console::fail(&format!("tenure: {why}")),
            _ => {}
        }
    }
}
