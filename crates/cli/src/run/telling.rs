//! `--signal-only`: how the command is told that it leads, and that it does no more.

use std::time::Duration;

use super::{driver::Driver, hearing, notify, wire::Order};

/// How long a command that cannot be told yet has until it is looked at again: at first, and at most. A look
/// goes through all of /proc.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

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
        self.tell_at = None;
        if leads {
            self.tell_pause = FIRST_PAUSE;
            self.tell_when_heard();
        } else {
            // Whoever cannot hear that it leads no more is ended by it.
            self.send_told_signal();
        }
    }

    pub(super) fn tell_when_heard(&mut self) {
        let (command, signal) = (self.command.as_ref(), self.options.signal_only);
        let hears = |signal| {
            hearing::is_harmless(signal) || command.is_some_and(|command| command.hears(signal))
        };
        if signal.is_some_and(hears) {
            self.tell_at = None;
            self.send_told_signal();
        } else {
            self.tell_at = Some(tenure::now().after(self.tell_pause));
            self.tell_pause = longer(self.tell_pause);
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

fn longer(pause: Duration) -> Duration {
    pause.saturating_mul(2).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_never_listens_is_looked_at_about_once_a_second() {
        let pauses = std::iter::successors(Some(FIRST_PAUSE), |pause| Some(longer(*pause)));
        let minute: Duration = pauses.take(64).sum();
        assert!(minute >= Duration::from_secs(58), "{minute:?}");
    }
}
