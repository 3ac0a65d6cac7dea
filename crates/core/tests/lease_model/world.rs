//! The world of one seed: a queue of events in true time, faults for three minutes, and then peace.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use tenure_core::{
    CallId, Command, Elector as _, Event, LeaseTiming, Outcome, Sight,
    lease::{Observed, Request},
};

use crate::{
    candidate::{Candidate, Wish},
    server::Server,
};

const SECOND: u64 = 1_000_000_000;
const CANDIDATES: usize = 4;
const FAULTS_END: u64 = 180 * SECOND;
const RHO: f64 = 0.05;

pub(crate) struct World {
    random: u64,
    now: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    due: std::collections::HashMap<u64, Due>,
    last: u64,
    server: Server,
    candidates: Vec<Candidate>,
    timings: Vec<LeaseTiming>,
    strict: bool,
    loss: u64,
    changes: u64,
    led_after_peace: bool,
    verbose: bool,
}

enum Due {
    Tick {
        slot: usize,
        life: u64,
    },
    Arrive {
        slot: usize,
        life: u64,
        id: CallId,
        request: Request,
        answer_by: u64,
    },
    Answer {
        slot: usize,
        life: u64,
        id: CallId,
        outcome: Outcome<Observed>,
    },
    Watch {
        slot: usize,
        life: u64,
        sight: Sight<Observed>,
    },
    WorkEnds {
        slot: usize,
        life: u64,
    },
    Stand {
        slot: usize,
        life: u64,
    },
    Fault,
}

impl World {
    pub(crate) fn new(seed: u64, verbose: bool) -> Self {
        let mut world = Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d,
            now: 0,
            queue: BinaryHeap::new(),
            due: std::collections::HashMap::new(),
            last: 0,
            server: Server::default(),
            candidates: Vec::new(),
            timings: vec![timing(15), timing(5)],
            strict: false,
            loss: 0,
            changes: 0,
            led_after_peace: false,
            verbose,
        };
        world.strict = world.below(2) == 0;
        world.loss = [0, 2, 10, 30][world.pick(4)];
        for slot in 0..CANDIDATES {
            let candidate = world.candidate(slot, 0);
            world.candidates.push(candidate);
            world.begin(slot);
        }
        world.at(SECOND, Due::Fault);
        world
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn run(&mut self) -> Result<(), String> {
        // The longest wait that anybody may have, twice, with calls and spread.
        let end = FAULTS_END + 60 * SECOND;
        while let Some(Reverse((at, key))) = self.queue.pop() {
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            let Some(due) = self.due.remove(&key) else {
                continue;
            };
            self.happen(due);
            self.check()?;
        }
        if self.led_after_peace {
            Ok(())
        } else {
            Err("nobody leads after the faults".into())
        }
    }

    fn check(&mut self) -> Result<(), String> {
        let now = self.now;
        let believers: Vec<usize> = (0..CANDIDATES)
            .filter(|slot| self.candidates[*slot].believes(now))
            .collect();
        if believers.len() > 1 {
            return Err(format!("{believers:?} believe at {} ms", now / 1_000_000));
        }
        self.led_after_peace |= now > FAULTS_END && !believers.is_empty();
        for write in self.server.accepted.drain(..) {
            if let (true, Some(before), Some(after)) =
                (write.by_candidate, &write.before, &write.after)
                && before.foreign != after.foreign
            {
                return Err("a foreign field was lost (L5)".into());
            }
        }
        Ok(())
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Fault => self.fault(),
            Due::Arrive {
                slot,
                life,
                id,
                request,
                answer_by,
            } => {
                let (outcome, sight) = self.server.apply(request);
                self.spread_news(sight);
                let back = self.now + self.delay();
                let lost = self.is_lost();
                if !lost && back < answer_by {
                    self.at(
                        back,
                        Due::Answer {
                            slot,
                            life,
                            id,
                            outcome,
                        },
                    );
                }
            }
            Due::Tick { slot, life } => {
                self.give(slot, life, |_| Some(Event::Tick));
            }
            Due::Answer {
                slot,
                life,
                id,
                outcome,
            } => {
                self.give(slot, life, |_| {
                    Some(Event::Answer {
                        id,
                        outcome: outcome.clone(),
                    })
                });
            }
            Due::Watch { slot, life, sight } => {
                self.give(slot, life, |_| Some(Event::Watch(sight.clone())));
            }
            Due::Stand { slot, life } => {
                self.give(slot, life, |_| Some(Event::Command(Command::Stand)));
            }
            Due::WorkEnds { slot, life } => {
                self.give(slot, life, |candidate| {
                    candidate.working = false;
                    Some(Event::Command(Command::WorkEnded { release: true }))
                });
            }
        }
    }

    /// Hand an event to a candidate, when it is awake and still the same process.
    fn give(
        &mut self,
        slot: usize,
        life: u64,
        event: impl FnOnce(&mut Candidate) -> Option<Event<Observed, Observed>>,
    ) {
        let candidate = &mut self.candidates[slot];
        if candidate.life != life {
            return;
        }
        // What comes to a frozen process is read when it thaws.
        let now = self.now.max(candidate.frozen_until);
        if now > self.now {
            let Some(event) = event(candidate) else {
                return;
            };
            self.thaw(slot, life, now, event);
            return;
        }
        let Some(event) = event(candidate) else {
            return;
        };
        self.note(slot, &event);
        let wishes = self.candidates[slot].handle(now, event);
        self.carry_out(slot, wishes);
    }

    fn thaw(&mut self, slot: usize, life: u64, at: u64, event: Event<Observed, Observed>) {
        let due = match event {
            Event::Answer { id, outcome } => Due::Answer {
                slot,
                life,
                id,
                outcome,
            },
            Event::Watch(sight) => Due::Watch { slot, life, sight },
            Event::Command(Command::Stand) => Due::Stand { slot, life },
            Event::Command(_) => Due::WorkEnds { slot, life },
            _ => Due::Tick { slot, life },
        };
        self.at(at, due);
    }

    fn carry_out(&mut self, slot: usize, wishes: Vec<Wish>) {
        let life = self.candidates[slot].life;
        for wish in wishes {
            match wish {
                Wish::Send(id, request) => self.transmit(slot, life, id, request),
                Wish::Acquired => {
                    self.changes += 1;
                    if self.verbose {
                        println!("{:>9} ms  c{slot} leads", self.now / 1_000_000);
                    }
                }
                Wish::Told => {
                    let at = self.now + self.below(3 * SECOND);
                    self.at(at, Due::WorkEnds { slot, life });
                }
                Wish::Over => {
                    if self.verbose {
                        println!("{:>9} ms  c{slot} is over", self.now / 1_000_000);
                    }
                    let at = self.now + self.below(SECOND);
                    self.at(at, Due::Stand { slot, life });
                }
            }
        }
        let candidate = &self.candidates[slot];
        if let Some(deadline) = candidate.elector.deadline() {
            let at = candidate.truth(deadline).max(self.now + 1);
            self.at(at, Due::Tick { slot, life });
        }
    }

    fn transmit(&mut self, slot: usize, life: u64, id: CallId, request: Request) {
        let candidate = &self.candidates[slot];
        let limit = candidate.elector.timing().call_limit();
        let give_up = candidate.truth(candidate.reads(self.now).after(limit));
        let unknown = Outcome::Unknown("no answer".into());
        self.at(
            give_up,
            Due::Answer {
                slot,
                life,
                id,
                outcome: unknown,
            },
        );
        if !self.is_lost() {
            // A late request is applied, although nobody waits for it any more.
            let arrives = self.now + self.delay();
            let arrive = Due::Arrive {
                slot,
                life,
                id,
                request,
                answer_by: give_up,
            };
            self.at(arrives, arrive);
        }
    }

    fn spread_news(&mut self, sight: Option<Sight<Observed>>) {
        let Some(sight) = sight else { return };
        for slot in 0..CANDIDATES {
            // Events come late, twice, out of order, and sometimes never.
            let copies = match self.below(20) {
                0 => 0,
                1 => 2,
                _ => 1,
            };
            for _ in 0..copies {
                let (at, life) = (self.now + self.delay(), self.candidates[slot].life);
                let sight = sight.clone();
                self.at(at, Due::Watch { slot, life, sight });
            }
        }
    }

    fn fault(&mut self) {
        if self.now >= FAULTS_END {
            self.loss = 0;
            for candidate in &mut self.candidates {
                candidate.frozen_until = candidate.frozen_until.min(self.now);
            }
            return;
        }
        let slot = self.pick(CANDIDATES);
        let leader = self
            .candidates
            .iter()
            .position(|c| c.elector.belief().is_some());
        let target = leader.filter(|_| self.below(2) == 0).unwrap_or(slot);
        let sight = match self.below(9) {
            0 | 1 => {
                self.candidates[target].frozen_until = self.now + self.below(30 * SECOND);
                None
            }
            2 => {
                let life = self.candidates[target].life + 1;
                self.candidates[target] = self.candidate(target, life);
                self.begin(target);
                None
            }
            3 | 4 => {
                if self.candidates[target].frozen_until <= self.now {
                    let wishes = self.candidates[target].command(self.now, Command::StepDown);
                    self.carry_out(target, wishes);
                }
                None
            }
            5 => self.server.edit(|spec| {
                if spec.holder().is_some() {
                    spec.duration_seconds = Some(1 << 31);
                }
            }),
            6 => self.server.edit(|spec| spec.foreign = Some("label".into())),
            // A held Lease that is emptied or deleted by hand is waited out by whoever knew it;
            // only the strict way covers those who did not (L13, L14).
            7 if self.strict => self.server.delete(),
            // As client-go's release does it: a duration without a speaking annotation is honoured,
            // were it 68 years (L2, L20).
            8 if self.strict => self.server.edit(|spec| {
                spec.holder = Some("".into());
                spec.duration_seconds = Some(1);
            }),
            _ => self.server.now().and_then(|_| self.server.edit(|_| {})),
        };
        self.spread_news(sight);
        let next = self.now + SECOND / 2 + self.below(6 * SECOND);
        self.at(next, Due::Fault);
    }

    fn candidate(&mut self, slot: usize, life: u64) -> Candidate {
        let rate = [1.0 - RHO, 1.0, 1.0 + RHO][self.pick(3)];
        // Where people empty and delete the Lease, all go by one duration: a candidate with a shorter
        // one that never saw the holder's record is not covered (docs/protocol.md).
        let short = usize::from(self.below(4) == 0 && !self.strict);
        let timing = self.timings[short];
        let seed = self.next();
        Candidate::new(slot, life, timing, rate, seed, self.strict)
    }

    fn begin(&mut self, slot: usize) {
        let wishes = self.candidates[slot].handle(self.now, Event::WatchOpened);
        self.carry_out(slot, wishes);
        let wishes = self.candidates[slot].command(self.now, Command::Stand);
        self.carry_out(slot, wishes);
    }

    fn at(&mut self, at: u64, due: Due) {
        self.last += 1;
        self.due.insert(self.last, due);
        self.queue.push(Reverse((at, self.last)));
    }

    fn note(&self, slot: usize, event: &Event<Observed, Observed>) {
        if self.verbose && !matches!(event, Event::Tick) {
            println!("{:>9} ms  c{slot} {event:?}", self.now / 1_000_000);
        }
    }

    fn is_lost(&mut self) -> bool {
        self.loss > 0 && self.below(100) < self.loss
    }

    /// Mostly milliseconds; now and then seconds, while there are faults.
    fn delay(&mut self) -> u64 {
        let slow = self.loss > 0 && self.below(20) == 0;
        if slow {
            self.below(9 * SECOND)
        } else {
            SECOND / 1000 + self.below(SECOND / 50)
        }
    }

    fn pick(&mut self, of: usize) -> usize {
        usize::try_from(self.below(of as u64)).unwrap_or(0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn timing(seconds: u64) -> LeaseTiming {
    LeaseTiming::builder()
        .lease_duration(Duration::from_secs(seconds))
        .clock_error(RHO)
        .build()
        .expect("timings that keep rule L3")
}
