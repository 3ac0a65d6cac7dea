//! What is said to whoever started tenure: whom it waits for, and why it ends.

use std::time::Duration;

use tenure::{Holder, Kind, LossReason};

use super::{driver::Driver, exit};
use crate::console;

/// Why leadership was over before tenure did anything about it.
pub(super) const FROZEN: &str = "leadership was over before tenure could act, which was frozen, or held up \
                                 together with its machine";

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

    /// Leadership is over, and nobody has told that it would be. That renewals fail is told in time, where
    /// anybody runs.
    pub(super) fn ran_out(&mut self, reason: Option<&LossReason>) {
        match reason {
            None | Some(LossReason::Expired) => self.led_until(FROZEN),
            Some(reason) => self.led_until(&format!("leadership is lost: {reason}")),
        }
    }

    /// What is the matter with this term, unless something was before.
    pub(super) fn led_until(&mut self, what: &str) {
        if self.leadership.is_some() {
            self.why.get_or_insert_with(|| what.to_owned());
        }
    }

    /// The last words.
    pub(super) fn say_why(&self, code: u8) {
        let name = &self.options.stand.name;
        let why = self.why.as_deref().unwrap_or("nobody is known to lead");
        match code {
            exit::LOST => console::fail(&format!("tenure: {why} (lock {name:?})")),
            exit::WAITED => {
                let helps = self.what_helps();
                console::fail(&format!("tenure: gave up the lock {name:?}: {why}{helps}"));
            }
            exit::FAILED if self.why.is_some() => console::fail(&format!("tenure: {why}")),
            _ => {}
        }
    }

    /// For whoever has waited in vain: whether there was a sign of life, and what to do if there was none.
    fn what_helps(&self) -> String {
        let stand = &self.options.stand;
        match &self.leader {
            Some(Holder { renewed: true, .. }) => ", and was seen to renew it".to_owned(),
            Some(Holder {
                lasts: Some(lasts), ..
            }) => format!(
                " by what stands there, and was not seen to renew it meanwhile; if it is dead, wait for \
                 longer than its lease duration (-w {}), or see --trust-remote-clock and `tenure release \
                 --force {}`",
                longer_than(*lasts),
                stand.name
            ),
            None if self.why.is_none() && stand.lock == Kind::Lease => format!(
                "; whoever led last is waited out for the lease duration: wait for longer (-w {})",
                longer_than(stand.lease_duration)
            ),
            _ => String::new(),
        }
    }
}

/// A time to wait that is enough for a Lease that lasts so long: candidates do not all come at its very end.
fn longer_than(lasts: Duration) -> String {
    let enough = lasts.saturating_add(lasts / 3);
    let up = u64::from(enough.subsec_nanos() > 0);
    format!("{}s", enough.as_secs().saturating_add(up))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_to_wait_is_longer_than_the_lease() {
        for (lasts, wait) in [(15, "20s"), (1, "2s"), (3, "4s"), (60, "80s")] {
            assert_eq!(longer_than(Duration::from_secs(lasts)), wait);
        }
    }
}
