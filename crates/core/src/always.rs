//! No election at all: whoever stands leads at once. For one replica and local runs.

use std::{collections::VecDeque, convert::Infallible};

use crate::{
    elector::{Action, Belief, Command, Elector, Event},
    status::{LossReason, Notice, Status},
    time::{Instant, Now},
    version::ResourceVersion,
};

/// A candidate without rivals.
#[derive(Clone, Debug, Default)]
pub struct AlwaysElector {
    term: u64,
    leading: bool,
    ended: bool,
    grace: std::time::Duration,
    queue: VecDeque<Action<Infallible>>,
}

impl AlwaysElector {
    /// A candidate that does not stand yet. `grace` is what the work gets to end when it is told.
    pub fn new(grace: std::time::Duration) -> Self {
        Self {
            grace,
            ..Self::default()
        }
    }

    fn token(&self) -> ResourceVersion {
        ResourceVersion::new(self.term.to_string())
    }
}

impl Elector for AlwaysElector {
    type Request = Infallible;
    type Answer = Infallible;
    type Object = Infallible;

    fn handle(&mut self, now: Now, event: Event<Infallible, Infallible>) {
        let Event::Command(command) = event else {
            return;
        };
        match command {
            Command::Stand if !self.leading => {
                self.term += 1;
                self.leading = true;
                self.ended = false;
                let (term, token) = (self.term, self.token());
                self.queue.push_back(Action::Notify(Notice::Acquired {
                    term,
                    token,
                    again: false,
                }));
            }
            Command::StepDown | Command::HandOver { .. } if self.leading => {
                let by = now.mono.after(self.grace);
                let reason = LossReason::SteppedDown;
                self.queue
                    .push_back(Action::Notify(Notice::Stop { reason, by }));
            }
            Command::WorkEnded { release } if self.leading => {
                self.leading = false;
                self.ended = true;
                let notice = if release {
                    Notice::Released
                } else {
                    Notice::Kept
                };
                self.queue.push_back(Action::Notify(notice));
            }
            _ => {}
        }
    }

    fn poll(&mut self) -> Option<Action<Infallible>> {
        self.queue.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn belief(&self) -> Option<Belief> {
        self.leading.then(|| Belief {
            term: self.term,
            token: self.token(),
            valid_until: None,
        })
    }

    fn status(&self) -> Status {
        if self.leading {
            Status::Leading {
                term: self.term,
                token: self.token(),
                valid_until: None,
            }
        } else if self.ended {
            Status::Lost {
                reason: LossReason::SteppedDown,
            }
        } else {
            Status::Standby {
                holder: None,
                error: None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_stands_leads_at_once_and_again_with_a_greater_token() {
        let mut elector = AlwaysElector::default();
        let mut tokens = Vec::new();
        for _ in 0..2 {
            assert_eq!(elector.belief(), None);
            elector.handle(Now::default(), Event::Command(Command::Stand));
            tokens.push(elector.belief().unwrap().token);
            elector.handle(
                Now::default(),
                Event::Command(Command::WorkEnded { release: true }),
            );
        }
        assert!(tokens[1].newer_than(&tokens[0]));
    }
}
