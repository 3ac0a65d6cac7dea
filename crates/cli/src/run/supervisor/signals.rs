//! What signals to tenure mean, in each phase.

use super::{Action, Next, Phase, Supervisor};
use crate::run::exit;

/// The same numbers on every unix.
pub(super) const HUP: i32 = 1;
pub(crate) const INT: i32 = 2;
pub(super) const QUIT: i32 = 3;
pub(crate) const TERM: i32 = 15;

impl Supervisor {
    pub(super) fn signal(&mut self, signal: i32) {
        let ends = matches!(signal, TERM | INT);
        let ends_idle = ends || matches!(signal, HUP | QUIT);
        match &mut self.phase {
            Phase::Standby { .. } if ends_idle => self.exit_with(exit::of_signal(signal)),
            Phase::Arming | Phase::Pausing { .. } if ends_idle => {
                self.end_for(signal);
                self.close();
            }
            Phase::Opening { until, .. } if ends_idle => {
                *until = self.now;
                self.end_for(signal);
            }
            Phase::Running { .. } if ends => {
                self.end_for(signal);
                self.phase = Phase::Ending {
                    kill_at: self.now.after(self.policy.stop_timeout),
                    killed: false,
                };
                self.actions.push_back(Action::Stop);
            }
            // Who asks a second time from a keyboard does not want to wait.
            Phase::Ending { kill_at, .. } if signal == INT && self.asked.is_some() => {
                *kill_at = self.now;
            }
            Phase::Closing { until, .. } if signal == INT && self.asked.is_some() => {
                *until = self.now;
            }
            Phase::Ending { .. } | Phase::Closing { .. } if ends && self.asked.is_none() => {
                self.end_for(signal);
            }
            Phase::Running { .. } | Phase::Ending { .. } => {
                self.actions.push_back(Action::Forward(signal));
            }
            Phase::Releasing { .. } if ends && self.asked.is_some() => {
                let code = match self.next {
                    Some(Next::Exit(code)) => code,
                    _ => self.own_end(),
                };
                self.exit_with(code);
            }
            Phase::Releasing { .. } if ends_idle && self.asked.is_none() => self.end_for(signal),
            _ => {}
        }
    }

    /// A code that was decided before stays.
    pub(super) fn end_for(&mut self, signal: i32) {
        self.asked.get_or_insert(signal);
        if !matches!(self.next, Some(Next::Exit(_))) {
            self.next = Some(Next::End);
        }
    }
}
