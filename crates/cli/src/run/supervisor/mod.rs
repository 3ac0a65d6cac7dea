//! What `tenure run` does when something happens: a state machine without clock and I/O. Events
//! come in with the time, actions come out; equal state and equal events give equal actions.
//!
//! ```text
//!            leads        on-start          (ends, is told to, is lost)
//! Standby ──────────► Opening ───► Running ───────────────────────────► Ending
//!    ▲                                ▲                                    │ nothing is left
//!    │                                └──── Pausing ◄──── Closing ◄────────┘
//!    └───────────────── Releasing ◄───────────(restart)── on-stop, pre-release
//!                           └───► the end
//! ```

mod closing;
mod policy;
pub(crate) mod signal_only;
mod signals;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use tenure::Instant;

use policy::Pauses;
pub(crate) use policy::{Hook, Hooks, OnLoss, Policy, Restart};
pub(crate) use signals::{INT, TERM};

use super::{
    exit::{self, Exit},
    wire::Cause,
};

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Time has passed.
    Tick,
    /// Somebody else is seen to lead, or the lock is paused.
    AnotherLeads,
    /// Leadership began.
    Leads,
    /// Leadership goes on until `by`, and no longer.
    Foretold { by: Instant },
    /// Leadership is over.
    Lost,
    /// A guard stands by for the next command.
    Armed,
    /// There can be no guard.
    CannotArm,
    /// The guard is gone, and did not say that nothing is left.
    Unguarded,
    /// The command's first process has ended.
    Ended(Exit),
    /// Nothing is left of the command.
    Empty(Cause),
    /// Nothing is left of the hook; whether it did well.
    HookOver { well: bool },
    /// The release was answered, or given up.
    Released,
    /// Somebody sent a signal to tenure.
    Signal(i32),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Get a guard ready for the next command.
    Arm,
    /// Stand for election.
    Stand,
    /// Tell the command, which runs whoever leads, that it leads now, or no more.
    Tell { leads: bool },
    /// Run the command, in the guard that stands by.
    Run,
    /// Hand this signal on to the command's group.
    Forward(i32),
    /// Ask the command's group to end.
    Stop,
    /// Ask whatever is left of the command to end.
    StopRest,
    /// Kill all of the command.
    Kill,
    /// Run this hook.
    RunHook(Hook),
    /// Kill all of the hook that runs.
    KillHook,
    /// Give leadership up; nothing works under it any more.
    Release,
    /// End, with this code.
    Exit(u8),
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Supervisor {
    policy: Policy,
    now: Instant,
    phase: Phase,
    actions: VecDeque<Action>,
    armed: bool,
    leading: bool,
    /// The end of leadership, once it is known.
    by: Option<Instant>,
    /// What comes when nothing runs any more; not known while all is well.
    next: Option<Next>,
    /// The signal that asked tenure to end.
    asked: Option<i32>,
    /// How the command ended last in this term.
    exit: Option<u8>,
    pauses: Pauses,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Standby {
        until: Option<Instant>,
    },
    /// Leads, and waits for a guard.
    Arming,
    /// The on-start hook runs.
    Opening {
        until: Instant,
        killed: bool,
    },
    Running {
        since: Instant,
    },
    /// The command is to end, or has ended and left something behind.
    Ending {
        kill_at: Instant,
        killed: bool,
    },
    /// A hook runs after it.
    Closing {
        hook: Hook,
        until: Instant,
        killed: bool,
    },
    /// Between two runs of the command, leading.
    Pausing {
        until: Instant,
    },
    /// Whoever is about to end waits for the answer no longer than that.
    Releasing {
        until: Instant,
    },
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// As the command ended, or as if that signal had ended it.
    End,
    Exit(u8),
    Stand,
    Restart {
        after: Duration,
    },
}

impl Supervisor {
    /// A guard stands by already; the first actions are ready.
    pub(crate) fn new(policy: Policy, now: Instant) -> Self {
        let mut supervisor = Self {
            policy,
            now,
            phase: Phase::Over,
            actions: VecDeque::new(),
            armed: true,
            leading: false,
            by: None,
            next: None,
            asked: None,
            exit: None,
            pauses: Pauses::default(),
        };
        supervisor.stand();
        supervisor
    }

    /// What to do next.
    pub(crate) fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Event::Tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Standby { until } => until,
            Phase::Opening {
                until,
                killed: false,
            }
            | Phase::Closing {
                until,
                killed: false,
                ..
            }
            | Phase::Ending {
                kill_at: until,
                killed: false,
            }
            | Phase::Pausing { until } => Some(until),
            Phase::Releasing { until } => self.ends().then_some(until),
            _ => None,
        }
    }

    pub(crate) fn handle(&mut self, now: Instant, event: Event) {
        self.now = now;
        match event {
            Event::Tick => {}
            Event::AnotherLeads => {
                if self.policy.nonblock && matches!(self.phase, Phase::Standby { .. }) {
                    self.exit_with(exit::WAITED);
                }
            }
            Event::Leads => self.leads(),
            Event::Foretold { by } => self.foretold(by),
            Event::Lost => self.lost(),
            Event::Armed => {
                self.armed = true;
                if self.phase == Phase::Arming {
                    self.open();
                }
            }
            Event::CannotArm => self.cannot_arm(),
            Event::Unguarded => self.unguarded(),
            Event::Ended(exit) => self.ended(exit),
            Event::Empty(cause) => self.empty(cause),
            Event::HookOver { well } => self.hook_over(well),
            Event::Released => {
                if matches!(self.phase, Phase::Releasing { .. }) {
                    self.released();
                }
            }
            Event::Signal(signal) => self.signal(signal),
        }
        self.pass_time();
    }

    fn pass_time(&mut self) {
        if self.deadline().is_none_or(|deadline| self.now < deadline) {
            return;
        }
        match &mut self.phase {
            Phase::Standby { .. } => self.exit_with(exit::WAITED),
            Phase::Opening { killed, .. } | Phase::Closing { killed, .. } => {
                *killed = true;
                self.actions.push_back(Action::KillHook);
            }
            Phase::Ending { killed, .. } => {
                *killed = true;
                self.actions.push_back(Action::Kill);
            }
            Phase::Pausing { .. } => self.begin(),
            Phase::Releasing { .. } => self.released(),
            Phase::Arming | Phase::Running { .. } | Phase::Over => {}
        }
    }

    fn ends(&self) -> bool {
        matches!(self.next, Some(Next::End | Next::Exit(_)))
    }

    fn stand(&mut self) {
        self.next = None;
        self.by = None;
        self.exit = None;
        self.pauses = Pauses::default();
        let until = self.policy.wait.map(|wait| self.now.after(wait));
        self.phase = Phase::Standby { until };
        if !self.armed {
            self.actions.push_back(Action::Arm);
        }
        self.actions.push_back(Action::Stand);
    }

    fn leads(&mut self) {
        if matches!(self.phase, Phase::Standby { .. }) {
            self.leading = true;
            self.begin();
        }
    }

    /// The next run of the command, as soon as a guard stands by.
    fn begin(&mut self) {
        if self.armed {
            self.open();
        } else {
            self.phase = Phase::Arming;
        }
    }

    fn open(&mut self) {
        if self.policy.hooks.on_start {
            self.phase = Phase::Opening {
                until: self.now.after(self.policy.hook_limit),
                killed: false,
            };
            self.actions.push_back(Action::RunHook(Hook::OnStart));
        } else {
            self.run();
        }
    }

    fn run(&mut self) {
        self.armed = false;
        self.exit = None;
        self.phase = Phase::Running { since: self.now };
        self.actions.push_back(Action::Run);
    }

    /// There is time left, and it is told how much.
    fn foretold(&mut self, by: Instant) {
        if !self.leading {
            return;
        }
        self.by = Some(self.by.map_or(by, |before| before.min(by)));
        self.give_up_for_loss();
        let kill_at = self.latest_kill(self.hooks_to_come());
        let hooks_end = self.latest_kill(0);
        match &mut self.phase {
            Phase::Arming | Phase::Pausing { .. } => self.close(),
            Phase::Opening { until, .. } => *until = self.now,
            Phase::Running { .. } => {
                self.phase = Phase::Ending {
                    kill_at,
                    killed: false,
                };
                self.actions.push_back(Action::Stop);
            }
            Phase::Ending { kill_at: at, .. } => *at = (*at).min(kill_at),
            Phase::Closing { until, .. } => *until = (*until).min(hooks_end),
            Phase::Standby { .. } | Phase::Releasing { .. } | Phase::Over => {}
        }
    }

    /// There is no time left.
    fn lost(&mut self) {
        if !self.leading {
            return;
        }
        self.leading = false;
        self.give_up_for_loss();
        match &mut self.phase {
            Phase::Arming | Phase::Pausing { .. } => self.release(),
            Phase::Opening { until, .. } | Phase::Closing { until, .. } => *until = self.now,
            Phase::Running { .. } => {
                self.phase = Phase::Ending {
                    kill_at: self.now,
                    killed: false,
                };
            }
            Phase::Ending { kill_at, .. } => *kill_at = self.now,
            Phase::Standby { .. } | Phase::Releasing { .. } | Phase::Over => {}
        }
    }

    /// What was decided before stays: who was asked to end does not stand again.
    fn give_up_for_loss(&mut self) {
        if matches!(self.next, None | Some(Next::Restart { .. })) {
            self.next = Some(match self.policy.on_loss {
                OnLoss::Restart => Next::Stand,
                OnLoss::Exit => Next::Exit(exit::LOST),
            });
        }
    }

    fn cannot_arm(&mut self) {
        match self.phase {
            Phase::Standby { .. } => self.exit_with(exit::FAILED),
            Phase::Arming => {
                self.next = Some(Next::Exit(exit::FAILED));
                self.close();
            }
            _ => {}
        }
    }

    fn unguarded(&mut self) {
        match self.phase {
            Phase::Running { .. } | Phase::Ending { .. } => {
                // Without its guard the command is killed, and somebody may lead anew.
                self.give_up_for_loss();
                self.phase = Phase::Ending {
                    kill_at: self.now,
                    killed: false,
                };
            }
            _ => {
                self.armed = false;
                if !matches!(self.phase, Phase::Over | Phase::Releasing { .. }) {
                    self.actions.push_back(Action::Arm);
                }
            }
        }
    }

    fn ended(&mut self, exit: Exit) {
        self.exit = Some(exit.code());
        if let Phase::Running { since } = self.phase {
            self.next = Some(self.after_its_end(since, exit));
            self.phase = Phase::Ending {
                kill_at: self.now.after(self.policy.stop_timeout),
                killed: false,
            };
            self.actions.push_back(Action::StopRest);
        }
    }

    fn after_its_end(&mut self, since: Instant, exit: Exit) -> Next {
        if !self.policy.restart.again(exit) {
            return Next::End;
        }
        self.pauses.ran_for(&self.policy, self.now.since(since));
        Next::Restart {
            after: self.pauses.next(&self.policy),
        }
    }
}
