//! `--signal-only`: how the command is told that it leads, and that it does no more.

use std::time::Duration;

use super::{driver::Driver, notify, wire::Order};

/// How long a command that cannot be told yet has until it is looked at again.
pub(super) const HEAR_PAUSE: Duration = Duration::from_millis(20);

impl Driver {
    /// With `--signal-only`: from here on a command that leads has a moment to be killed at, in case
    /// that tenure cannot tell it any more; one that was told that it leads no more has none.
    pub(super) fn tell_command(&mut self, leads: bool) {
        let mut line = "standby".to_owned();
        if let (Some(leadership), true) = (&self.leadership, leads) {
            let (term, token) = (leadership.term(), leadership.token().as_str());
            line = format!("leading {term} {token}");
        } else {
            self.valid_until = None;
        }
        notify::tell(if leads {
            "STATUS=leading"
        } else {
            "STATUS=standing by"
        });
        if let Some(Err(error)) = self.state_file.as_ref().map(|file| file.write(&line)) {
            tracing::warn!(target: "tenure", %error, "the state file cannot be written");
        }
        let (until, patience) = (self.kill_at(), self.patience());
        if let Some(command) = &mut self.command {
            command.until(until, patience);
        }
        self.to_tell = leads;
        if leads {
            self.tell_when_heard();
        } else {
            // Whoever cannot hear that it leads no more is ended by it.
            self.send_told_signal();
        }
    }

    pub(super) fn tell_when_heard(&mut self) {
        let (command, signal) = (self.command.as_ref(), self.options.signal_only);
        if signal.is_some_and(|signal| command.is_some_and(|command| command.hears(signal))) {
            self.to_tell = false;
            self.send_told_signal();
        }
    }

    fn send_told_signal(&mut self) {
        if let (Some(command), Some(signal)) = (&mut self.command, self.options.signal_only) {
            command.tell(&Order::Signal {
                signal,
                first_alone: true,
            });
        }
    }
}
