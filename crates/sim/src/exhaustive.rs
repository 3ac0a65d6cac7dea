//! Every schedule of a small Lease protocol: all interleavings of two or three candidates whose
//! clocks drift within a bound, with requests that wait, answers that are lost and a server that
//! compares and swaps.
//!
//! True time goes in ticks. In each tick each clock moves on by `slow` or by `fast` units, chosen
//! anew, so that rho = (fast - slow) / (fast + slow). Between ticks anything that can happen may
//! happen, in any order, or not at all. Only the number of writes is bounded: everything else is
//! finite by itself, so that the search ends with every state that there is.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
};

/// A protocol, and the clocks that it has to live with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// How many candidates, two or three.
    pub candidates: usize,
    /// Units that the slowest clock moves on in a tick.
    pub slow: u8,
    /// Units that the fastest clock moves on in a tick.
    pub fast: u8,
    /// D, in units.
    pub duration: u8,
    /// H, in units.
    pub deadline: u8,
    /// How many writes may be applied.
    pub writes: u8,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// None.
    None,
    /// Validity counts from when the answer came (L1).
    ValidFromAnswer,
    /// A read that shows oneself as the holder grants anew (L7).
    ReadGrants,
    /// The wait goes on over a changed record (L2).
    WaitGoesOn,
}

/// What the search found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How many states there are (or were looked at, until two believed).
    pub states: usize,
    /// How two came to believe, if they can.
    pub counterexample: Option<Vec<String>>,
    /// Whether anybody ever took the Lease over from another.
    pub takeovers: bool,
    /// Whether a write was ever adopted by a read after its answer was lost.
    pub adoptions: bool,
}

const MOST: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    version: u8,
    holder: u8,
    candidates: [Candidate; MOST],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Candidate {
    /// The newest version it has received, and for how many units it has waited since, at most D.
    seen: u8,
    waited: u8,
    /// For how many units it believes yet.
    believes: u8,
    /// The version of its newest acknowledged write.
    own: u8,
    call: Call,
}

/// Its write under way, with the units since before it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Call {
    None,
    /// On its way to the server.
    Sent {
        base: u8,
        age: u8,
    },
    /// Applied; the answer is on its way, or lost.
    Applied {
        version: u8,
        age: u8,
    },
    /// Refused; the answer is on its way, or lost.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Tick([u8; MOST]),
    Reads(usize),
    Sends(usize),
    Arrives(usize),
    LosesRequest(usize),
    IsAnswered(usize),
}

impl Model {
    /// The largest H that rule L3 allows for these clocks, in whole units.
    #[must_use]
    pub fn bound(&self) -> u8 {
        let most = u16::from(self.duration) * u16::from(self.slow) / u16::from(self.fast);
        u8::try_from(most).unwrap_or(u8::MAX)
    }

    /// The clock error that these clocks show at worst.
    #[must_use]
    pub fn rho(&self) -> f64 {
        f64::from(self.fast - self.slow) / f64::from(self.fast + self.slow)
    }

    /// Look at every state that can be reached, nearest first.
    #[must_use]
    pub fn explore(&self) -> Outcome {
        let mut found: HashMap<State, (usize, Step)> = HashMap::new();
        let mut order: Vec<State> = Vec::new();
        let mut open = VecDeque::new();
        let first = self.beginning();
        found.insert(first, (0, Step::Reads(0)));
        order.push(first);
        open.push_back(0);
        let (mut takeovers, mut adoptions) = (false, false);
        while let Some(index) = open.pop_front() {
            let state = order[index];
            for step in self.steps(&state) {
                let next = self.after(state, step);
                takeovers |= next.holder != state.holder && state.holder != NOBODY;
                adoptions |= matches!(step, Step::Reads(who)
                    if next.candidates[who].believes > state.candidates[who].believes);
                if found.contains_key(&next) {
                    continue;
                }
                found.insert(next, (index, step));
                order.push(next);
                if next.candidates.iter().filter(|c| c.believes > 0).count() > 1 {
                    return Outcome {
                        states: order.len(),
                        counterexample: Some(self.story(&found, &order, next)),
                        takeovers,
                        adoptions,
                    };
                }
                open.push_back(order.len() - 1);
            }
        }
        Outcome {
            states: order.len(),
            counterexample: None,
            takeovers,
            adoptions,
        }
    }

    /// A Lease that nobody holds, and whose waits are over for all.
    fn beginning(&self) -> State {
        State {
            version: 1,
            holder: NOBODY,
            candidates: [Candidate {
                seen: 1,
                waited: self.duration,
                believes: 0,
                own: 0,
                call: Call::None,
            }; MOST],
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        for who in 0..self.candidates {
            let me = &state.candidates[who];
            match me.call {
                Call::None => {
                    let leads = me.believes > 0;
                    let may_take = me.waited >= self.duration && me.seen > 0;
                    if state.version < self.writes && (leads || may_take) {
                        steps.push(Step::Sends(who));
                    }
                }
                Call::Sent { .. } => steps.extend([Step::Arrives(who), Step::LosesRequest(who)]),
                Call::Applied { .. } | Call::Refused => steps.push(Step::IsAnswered(who)),
            }
            steps.push(Step::Reads(who));
        }
        let rates = [self.slow, self.fast];
        for choice in 0..1_usize << self.candidates {
            let mut moved = [0; MOST];
            for (who, units) in moved.iter_mut().enumerate().take(self.candidates) {
                *units = rates[choice >> who & 1];
            }
            steps.push(Step::Tick(moved));
        }
        steps
    }

    fn after(&self, mut state: State, step: Step) -> State {
        match step {
            Step::Tick(moved) => {
                for (candidate, units) in state.candidates.iter_mut().zip(moved) {
                    candidate.believes = candidate.believes.saturating_sub(units);
                    candidate.waited = (candidate.waited + units).min(self.duration);
                    if let Call::Sent { age, .. } | Call::Applied { age, .. } = &mut candidate.call
                    {
                        // What is older than H grants nothing any more, however old it is.
                        *age = (*age + units).min(self.deadline);
                    }
                }
            }
            Step::Reads(who) => self.read(&mut state, who),
            Step::Sends(who) => {
                let me = &mut state.candidates[who];
                let base = if me.believes > 0 { me.own } else { me.seen };
                me.call = Call::Sent { base, age: 0 };
            }
            Step::Arrives(who) => {
                if let Call::Sent { base, age } = state.candidates[who].call {
                    state.candidates[who].call = if base == state.version {
                        state.version += 1;
                        state.holder = u8::try_from(who).unwrap_or(NOBODY);
                        let version = state.version;
                        Call::Applied { version, age }
                    } else {
                        Call::Refused
                    };
                }
            }
            Step::LosesRequest(who) => state.candidates[who].call = Call::None,
            Step::IsAnswered(who) => {
                if let Call::Applied { version, age } = state.candidates[who].call {
                    self.acknowledge(&mut state.candidates[who], version, age);
                }
                state.candidates[who].call = Call::None;
            }
        }
        state
    }

    /// A read: a changed record starts the wait anew (L2), and one's own open write is adopted (L6).
    fn read(&self, state: &mut State, who: usize) {
        let (version, holder) = (state.version, state.holder);
        let me = &mut state.candidates[who];
        let mine = usize::from(holder) == who;
        if let Call::Applied { version: own, age } = me.call
            && own == version
        {
            self.acknowledge(me, version, age);
            me.call = Call::None;
        } else if self.flaw == Flaw::ReadGrants && mine {
            me.believes = self.deadline;
            me.own = version;
        }
        if me.believes > 0 && !mine {
            // Another holder ends the term at once (L9).
            me.believes = 0;
        }
        if me.seen != version {
            me.seen = version;
            if self.flaw != Flaw::WaitGoesOn {
                me.waited = 0;
            }
        }
    }

    /// L1: validity counts from before the send.
    fn acknowledge(&self, me: &mut Candidate, version: u8, age: u8) {
        let counted = if self.flaw == Flaw::ValidFromAnswer {
            0
        } else {
            age
        };
        let left = self.deadline - counted.min(self.deadline);
        // A term that is over does not come back: this is an acquisition, or a renewal in time.
        me.believes = me.believes.max(left);
        me.own = version;
        if me.seen < version {
            me.seen = version;
            me.waited = 0;
        }
    }

    fn story(
        &self,
        found: &HashMap<State, (usize, Step)>,
        order: &[State],
        last: State,
    ) -> Vec<String> {
        let mut states = vec![last];
        let mut current = last;
        while current != order[0] {
            let (before, _) = found[&current];
            current = order[before];
            states.push(current);
        }
        states.reverse();
        let mut tick = 0;
        let mut lines = Vec::new();
        for pair in states.windows(2) {
            let (_, step) = found[&pair[1]];
            tick += u32::from(matches!(step, Step::Tick(_)));
            lines.push(format!("tick {tick}: {step}"));
            for who in 0..self.candidates {
                let (was, is) = (
                    pair[0].candidates[who].believes,
                    pair[1].candidates[who].believes,
                );
                match (was, is) {
                    (0, 1..) => {
                        lines.push(format!("        candidate {who} believes, for {is} units"));
                    }
                    (1.., 0) => lines.push(format!("        candidate {who} believes no more")),
                    (was, is) if is > was => {
                        lines.push(format!(
                            "        candidate {who} believes on, for {is} units"
                        ));
                    }
                    _ => {}
                }
            }
        }
        lines
    }
}

const NOBODY: u8 = u8::MAX;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick(moved) => write!(f, "clocks move on by {moved:?}"),
            Self::Reads(who) => write!(f, "candidate {who} receives the record"),
            Self::Sends(who) => write!(f, "candidate {who} reads its clock and sends a write"),
            Self::Arrives(who) => write!(f, "the write of candidate {who} arrives"),
            Self::LosesRequest(who) => write!(f, "the write of candidate {who} is lost"),
            Self::IsAnswered(who) => write!(f, "candidate {who} is answered"),
        }
    }
}
