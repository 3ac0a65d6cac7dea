//! From the moment at which nothing of the command is left: hooks, the release, and what is next.

use tenure::Instant;

use super::{Action, Hook, Next, Phase, Supervisor};
use crate::run::{
    exit::{self, Exit},
    wire::Cause,
};

impl Supervisor {
    pub(super) fn empty(&mut self, cause: Cause) {
        if !matches!(self.phase, Phase::Running { .. } | Phase::Ending { .. }) {
            return;
        }
        if self.exit.is_none() {
            self.exit = Some(Exit::Signal(9).code());
        }
        if matches!(cause, Cause::Deadline | Cause::Orphaned) {
            self.give_up_for_loss();
        }
        if self.next.is_none() {
            // Its first process was killed together with the init.
            let since = match self.phase {
                Phase::Running { since } => since,
                _ => self.now,
            };
            self.next = Some(self.after_its_end(since, Exit::Signal(9)));
        }
        if !self.run_hook(Hook::OnStop) {
            self.close();
        }
    }

    /// Whether that hook is to run, and has begun. Hooks are for leaders.
    pub(super) fn run_hook(&mut self, hook: Hook) -> bool {
        if !self.leading || !self.policy.hooks.has(hook) {
            return false;
        }
        let limit = self.now.after(self.policy.hook_limit);
        let later = u32::from(hook == Hook::OnStop && self.policy.hooks.pre_release);
        let until = limit.min(self.latest_kill(later));
        if until <= self.now {
            return false;
        }
        self.phase = Phase::Closing {
            hook,
            until,
            killed: false,
        };
        self.actions.push_back(Action::RunHook(hook));
        true
    }

    pub(super) fn hook_over(&mut self, well: bool) {
        match self.phase {
            Phase::Opening { killed, .. } => match self.next {
                None if well && !killed => self.run(),
                None => {
                    self.next = Some(Next::Exit(exit::FAILED));
                    self.close();
                }
                Some(_) => self.close(),
            },
            Phase::Closing {
                hook: Hook::PreRelease,
                ..
            } => self.release(),
            Phase::Closing { .. } => self.close(),
            _ => {}
        }
    }

    /// Nothing runs any more.
    pub(super) fn close(&mut self) {
        if let (Some(Next::Restart { after }), true) = (self.next, self.leading) {
            self.next = None;
            if !self.armed {
                self.actions.push_back(Action::Arm);
            }
            self.phase = Phase::Pausing {
                until: self.now.after(after),
            };
        } else if !self.run_hook(Hook::PreRelease) {
            self.release();
        }
    }

    pub(super) fn release(&mut self) {
        self.leading = false;
        self.phase = Phase::Releasing {
            until: self.now.after(self.policy.release_limit),
        };
        self.actions.push_back(Action::Release);
    }

    pub(super) fn released(&mut self) {
        match self.next {
            Some(Next::Exit(code)) => self.exit_with(code),
            Some(Next::End) => self.exit_with(self.own_end()),
            Some(Next::Stand | Next::Restart { .. }) | None => self.stand(),
        }
    }

    /// The command's code; that of the signal where it never ran.
    pub(super) fn own_end(&self) -> u8 {
        let asked = self.asked.map(exit::of_signal);
        self.exit.or(asked).unwrap_or(0)
    }

    pub(super) fn exit_with(&mut self, code: u8) {
        self.phase = Phase::Over;
        self.actions.push_back(Action::Exit(code));
    }

    /// How many hooks are to come after the command.
    pub(super) fn hooks_to_come(&self) -> u32 {
        let hooks = &self.policy.hooks;
        u32::from(hooks.on_stop) + u32::from(hooks.pre_release)
    }

    /// The last moment to kill at, where that many hooks come after it. Now, if it is past.
    pub(super) fn latest_kill(&self, hooks: u32) -> Instant {
        let end = self.by.map(|by| {
            by.before(self.policy.margin)
                .before(self.policy.hook_limit.saturating_mul(hooks))
        });
        // Nothing is foretold: whoever asks has another limit.
        end.unwrap_or(Instant::from_nanos(u64::MAX))
    }
}
