//! `--signal-only`: the command runs all the time, and is told by a signal when it leads and when
//! no more. The same events and actions as the [`Supervisor`](super::Supervisor)'s; what differs is
//! that the command and leadership go their own ways.

use std::collections::VecDeque;

use tenure::Instant;

use super::{
    Action, Event, OnLoss, Policy,
    policy::Pauses,
    signals::{INT, TERM},
};
use crate::run::{
    exit::{self, Exit},
    wire::Cause,
};

/// The state machine.
#[derive(Debug)]
pub(crate) struct SignalOnly {
    policy: Policy,
    now: Instant,
    actions: VecDeque<Action>,
    work: Work,
    lead: Lead,
    armed: bool,
    pauses: Pauses,
    /// The code to end with, when the command and leadership are over.
    end: Option<u8>,
    asked: bool,
    exit: Option<Exit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Running {
        since: Instant,
    },
    Ending {
        kill_at: Instant,
        killed: bool,
    },
    Pausing {
        until: Instant,
    },
    /// The pause is over, and the guard is not ready.
    Arming,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    Standby,
    Leads,
    /// The command was told that it will not lead for long.
    Ends,
    Releasing {
        until: Instant,
    },
    Over,
}

impl SignalOnly {
    /// A guard stands by already; the first actions are ready.
    pub(crate) fn new(policy: Policy, now: Instant) -> Self {
        let mut machine = Self {
            policy,
            now,
            actions: VecDeque::new(),
            work: Work::Arming,
            lead: Lead::Standby,
            armed: true,
            pauses: Pauses::default(),
            end: None,
            asked: false,
            exit: None,
        };
        machine.run();
        machine.actions.push_back(Action::Stand);
        machine
    }

    pub(crate) fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let work = match self.work {
            Work::Ending {
                kill_at,
                killed: false,
            } => Some(kill_at),
            Work::Pausing { until } => Some(until),
            _ => None,
        };
        let lead = match self.lead {
            Lead::Releasing { until } if self.end.is_some() => Some(until),
            _ => None,
        };
        work.into_iter().chain(lead).min()
    }

    pub(crate) fn handle(&mut self, now: Instant, event: Event) {
        self.now = now;
        match event {
            Event::Leads if self.lead == Lead::Standby => {
                self.lead = Lead::Leads;
                self.tell(true);
            }
            Event::Foretold { .. } if self.lead == Lead::Leads => {
                self.lead = Lead::Ends;
                self.tell(false);
            }
            Event::Lost => self.lost(),
            Event::Released => self.released(),
            Event::Armed => {
                self.armed = true;
                if self.work == Work::Arming {
                    self.run();
                }
            }
            Event::CannotArm => self.end_with(exit::FAILED),
            Event::Unguarded => self.unguarded(),
            Event::Ended(exit) => self.ended(exit),
            Event::Empty(cause) => self.empty(cause),
            Event::Signal(signal) => self.signal(signal),
            _ => {}
        }
        self.pass_time();
    }

    fn pass_time(&mut self) {
        match &mut self.work {
            Work::Ending {
                kill_at,
                killed: killed @ false,
            } if self.now >= *kill_at => {
                *killed = true;
                self.actions.push_back(Action::Kill);
            }
            Work::Pausing { until } if self.now >= *until => self.run(),
            _ => {}
        }
        if let (Lead::Releasing { until }, Some(_)) = (self.lead, self.end)
            && self.now >= until
        {
            self.released();
        }
    }

    fn run(&mut self) {
        if self.armed {
            self.armed = false;
            self.exit = None;
            self.work = Work::Running { since: self.now };
            self.actions.push_back(Action::Run);
        } else {
            self.work = Work::Arming;
        }
    }

    /// Whoever starts later finds it in its file.
    fn tell(&mut self, leads: bool) {
        self.actions.push_back(Action::Tell { leads });
    }

    fn lost(&mut self) {
        if !matches!(self.lead, Lead::Leads | Lead::Ends) {
            return;
        }
        if self.lead == Lead::Leads {
            self.tell(false);
        }
        self.release();
        if self.policy.on_loss == OnLoss::Exit {
            self.end_with(exit::LOST);
        }
    }

    fn release(&mut self) {
        self.lead = Lead::Releasing {
            until: self.now.after(self.policy.release_limit),
        };
        self.actions.push_back(Action::Release);
    }

    fn released(&mut self) {
        if !matches!(self.lead, Lead::Releasing { .. }) {
            return;
        }
        if self.end.is_some() && self.work == Work::Over {
            self.over();
        } else {
            self.lead = Lead::Standby;
            if self.end.is_none() {
                self.actions.push_back(Action::Stand);
            }
        }
    }

    /// Ends the command, then leadership, then tenure.
    fn end_with(&mut self, code: u8) {
        self.end.get_or_insert(code);
        match self.work {
            Work::Running { .. } => {
                self.work = Work::Ending {
                    kill_at: self.now.after(self.policy.stop_timeout),
                    killed: false,
                };
                self.actions.push_back(Action::Stop);
            }
            Work::Pausing { .. } | Work::Arming => self.work_over(),
            Work::Ending { .. } | Work::Over => {}
        }
    }

    fn work_over(&mut self) {
        self.work = Work::Over;
        match self.lead {
            Lead::Standby => self.over(),
            Lead::Leads | Lead::Ends => self.release(),
            Lead::Releasing { .. } | Lead::Over => {}
        }
    }

    fn over(&mut self) {
        if self.lead != Lead::Over {
            self.lead = Lead::Over;
            let code = self.end.unwrap_or(exit::FAILED);
            self.actions.push_back(Action::Exit(code));
        }
    }

    fn unguarded(&mut self) {
        match self.work {
            Work::Running { .. } | Work::Ending { .. } => {
                self.work = Work::Ending {
                    kill_at: self.now,
                    killed: false,
                };
            }
            Work::Pausing { .. } | Work::Arming => {
                self.armed = false;
                self.actions.push_back(Action::Arm);
            }
            Work::Over => {}
        }
    }

    fn ended(&mut self, exit: Exit) {
        self.exit = Some(exit);
        if let Work::Running { since } = self.work {
            self.pauses.ran_for(&self.policy, self.now.since(since));
            self.work = Work::Ending {
                kill_at: self.now.after(self.policy.stop_timeout),
                killed: false,
            };
            self.actions.push_back(Action::StopRest);
        }
    }

    fn empty(&mut self, cause: Cause) {
        if !matches!(self.work, Work::Running { .. } | Work::Ending { .. }) {
            return;
        }
        let exit = self.exit.unwrap_or(Exit::Signal(9));
        // What the guard killed did not end by itself: it is to run all the time.
        let killed = matches!(cause, Cause::Deadline | Cause::Orphaned);
        if self.asked {
            self.end = Some(exit.code());
        }
        if self.end.is_none() && (killed || self.policy.restart.again(exit)) {
            self.work = Work::Pausing {
                until: self.now.after(self.pauses.next(&self.policy)),
            };
            self.actions.push_back(Action::Arm);
        } else {
            self.end.get_or_insert(exit.code());
            self.work_over();
        }
    }

    fn signal(&mut self, signal: i32) {
        let ends = matches!(signal, TERM | INT);
        match &mut self.work {
            Work::Ending { kill_at, .. } if signal == INT && self.asked => *kill_at = self.now,
            Work::Over if ends && self.asked => self.over(),
            Work::Running { .. } if ends => {
                self.asked = true;
                self.end_with(exit::of_signal(signal));
            }
            _ if ends && !self.asked => {
                self.asked = true;
                self.end_with(exit::of_signal(signal));
            }
            Work::Running { .. } | Work::Ending { .. } => {
                self.actions.push_back(Action::Forward(signal));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::tests::policy, *};
    use crate::run::supervisor::Restart;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(1).after(Duration::from_secs(seconds))
    }

    fn on(machine: &mut SignalOnly, seconds: u64, event: Event) -> Vec<Action> {
        machine.handle(at(seconds), event);
        std::iter::from_fn(|| machine.poll()).collect()
    }

    fn begun(policy: Policy) -> SignalOnly {
        let mut machine = SignalOnly::new(policy, at(0));
        let actions: Vec<_> = std::iter::from_fn(|| machine.poll()).collect();
        assert_eq!(actions, [Action::Run, Action::Stand]);
        machine
    }

    const OVER: Event = Event::Empty(Cause::Over);
    const LEADS: Action = Action::Tell { leads: true };
    const LEADS_NO_MORE: Action = Action::Tell { leads: false };

    #[test]
    fn the_command_runs_through_gain_and_loss_and_is_told_of_each_once() {
        let mut machine = begun(policy());
        assert_eq!(on(&mut machine, 1, Event::Leads), [LEADS]);
        let foretold = Event::Foretold { by: at(9) };
        assert_eq!(on(&mut machine, 5, foretold), [LEADS_NO_MORE]);
        assert_eq!(on(&mut machine, 9, Event::Lost), [Action::Release]);
        assert_eq!(on(&mut machine, 9, Event::Released), [Action::Stand]);
        assert_eq!(on(&mut machine, 10, Event::Leads), [LEADS]);
        let loss = [LEADS_NO_MORE, Action::Release];
        assert_eq!(on(&mut machine, 11, Event::Lost), loss);
    }

    #[test]
    fn it_gives_the_lock_up_after_the_command_has_ended() {
        let mut machine = begun(policy());
        on(&mut machine, 1, Event::Leads);
        assert_eq!(on(&mut machine, 2, Event::Signal(TERM)), [Action::Stop]);
        on(&mut machine, 3, Event::Ended(Exit::Code(5)));
        assert_eq!(on(&mut machine, 3, OVER), [Action::Release]);
        assert_eq!(on(&mut machine, 3, Event::Released), [Action::Exit(5)]);

        let mut machine = begun(policy());
        on(&mut machine, 1, Event::Ended(Exit::Code(4)));
        assert_eq!(on(&mut machine, 1, OVER), [Action::Exit(4)], "it never led");
    }

    #[test]
    fn a_second_interrupt_kills_and_other_signals_are_handed_on() {
        let mut machine = begun(policy());
        let usr1 = on(&mut machine, 1, Event::Signal(10));
        assert_eq!(usr1, [Action::Forward(10)]);
        on(&mut machine, 2, Event::Signal(INT));
        assert_eq!(on(&mut machine, 3, Event::Signal(INT)), [Action::Kill]);
    }

    #[test]
    fn on_loss_exit_ends_the_command_too() {
        let on_loss = OnLoss::Exit;
        let mut machine = begun(Policy {
            on_loss,
            ..policy()
        });
        on(&mut machine, 1, Event::Leads);
        let actions = on(&mut machine, 2, Event::Lost);
        assert_eq!(actions, [LEADS_NO_MORE, Action::Release, Action::Stop]);
        assert_eq!(on(&mut machine, 2, Event::Released), []);
        assert_eq!(on(&mut machine, 3, OVER), [Action::Exit(75)]);
    }

    #[test]
    fn what_its_guard_killed_runs_again() {
        for restart in [Restart::Never, Restart::Always] {
            let mut machine = begun(Policy {
                restart,
                ..policy()
            });
            assert_eq!(on(&mut machine, 1, Event::Unguarded), [Action::Kill]);
            let orphaned = Event::Empty(Cause::Orphaned);
            assert_eq!(on(&mut machine, 1, orphaned), [Action::Arm]);
            assert_eq!(on(&mut machine, 2, Event::Tick), [], "no guard yet");
            assert_eq!(on(&mut machine, 3, Event::Armed), [Action::Run]);
        }
    }

    #[test]
    fn an_end_waits_only_so_long_for_the_answer_to_its_release() {
        let mut machine = begun(policy());
        on(&mut machine, 1, Event::Leads);
        on(&mut machine, 2, Event::Ended(Exit::Code(0)));
        assert_eq!(on(&mut machine, 2, OVER), [Action::Release]);
        assert_eq!(machine.deadline(), Some(at(6)));
        assert_eq!(on(&mut machine, 6, Event::Tick), [Action::Exit(0)]);
    }
}
