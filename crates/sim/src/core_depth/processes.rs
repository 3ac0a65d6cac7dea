//! Processes start, are given events, show what they believe, and end.

use tenure_core::{Action, Command, Elector as _, Event, Instant, Notice, Now};

use crate::{
    clock::{MILLI, NEVER, SECOND},
    fault::FaultKind,
    plan::{FASTEST, SLOWEST},
    rng::hashed,
    trace::{Against, Happening, ProcessId, Seeing},
};

use super::{
    model::{Desk, Limits, Model, Newcomer},
    seats::{Process, SleepKind, Watch},
    world::{Due, World},
};

impl<M: Model> World<'_, M> {
    pub(super) fn start(&mut self, seat: usize, twin_of: Option<ProcessId>) {
        if self.plan.seats[seat].starts == NEVER {
            return;
        }
        // Nothing starts on a machine that is asleep.
        let asleep = self
            .living()
            .filter(|process| process.seat == seat)
            .filter_map(|process| process.sleep)
            .find(|sleep| sleep.kind != SleepKind::Frozen && self.now < sleep.until);
        if let Some(sleep) = asleep {
            self.at(sleep.until + 1, Due::Start(seat));
            return;
        }
        let taken = self
            .living()
            .any(|process| process.seat == seat && !process.leaving && !process.cut_off);
        if twin_of.is_none() && !self.model.vacant(self.now, seat, taken) {
            return;
        }
        let id = ProcessId(u32::try_from(self.processes.len()).unwrap_or(u32::MAX));
        let newcomer = Newcomer {
            plan: self.plan,
            seat,
            process: id,
            twin_of,
            seed: hashed([self.plan.seed, id.0.into(), 6]),
        };
        let mut desk = Desk::new(self.now, Vec::new());
        let elector = self.model.start(&mut desk, &newcomer);
        self.processes.push(Some(Process {
            id,
            seat,
            elector,
            limits: Limits::of(self.plan, seat),
            sleep: None,
            tick_at: None,
            calls: Vec::new(),
            heard: None,
            sent: 0,
            watch: Watch::default(),
            work: None,
            stop_before_send: None,
            cut_off: false,
            leaving: false,
            withdrawn: false,
            knows: false,
            shown: None,
            status: None,
        }));
        self.clear(desk);
        if !(SLOWEST..=FASTEST).contains(&self.seats[seat].clock.rate()) {
            self.tell(Happening::Excused {
                process: id,
                kind: FaultKind::ClockBeyond,
                against: Against::Everybody,
                for_good: true,
            });
        }
        self.give(id, Event::Command(Command::Stand));
        self.open_watch(id, self.latency(id.0.into()));
    }

    /// Let something happen to a process that is awake.
    pub(super) fn give(&mut self, id: ProcessId, event: Event<M::Answer, M::Object>) {
        let sees = M::sees(&event);
        self.hand_over(id, event, sees);
    }

    pub(super) fn hand_over(
        &mut self,
        id: ProcessId,
        event: Event<M::Answer, M::Object>,
        sees: Option<(u64, Seeing)>,
    ) {
        let now = self.now;
        let Some(process) = self.processes[id.0 as usize].as_mut() else {
            return;
        };
        let stands = match &event {
            Event::Command(Command::Stand) => Some(true),
            Event::Command(Command::Withdraw) => Some(false),
            _ => None,
        };
        if let Some(stands) = stands {
            process.withdrawn = !stands;
        }
        // Who gives a term up, or loses it, stands again only when it is told to (L10).
        process.withdrawn |= matches!(event, Event::Command(Command::WorkEnded { .. }));
        let clock = &self.seats[process.seat].clock;
        let reading = Now {
            mono: clock.reads(now),
            wall: clock.wall(now),
        };
        process.elector.handle(reading, event);
        // What was said of a lock for life once is enough.
        let known = process.knows;
        process.knows |= sees.is_some_and(|(_, how)| how != Seeing::Absent);
        if let Some((version, how)) = sees.filter(|_| !known || !self.plan.lock.is_for_life()) {
            self.tell(Happening::Sees {
                process: id,
                version,
                how,
            });
        }
        if let Some(stands) = stands {
            let process = id;
            self.tell(Happening::Stands { process, stands });
        }
        self.show_belief(id);
        while let Some(action) = self.process_mut(id).and_then(|p| p.elector.poll()) {
            match action {
                Action::Call { id: call, request } => self.send(id, call, request),
                Action::Notify(notice) => self.notice(id, notice),
            }
        }
        // A loss that is told along with it came first: time passes before a command is heard.
        if let (Some(true), Some(process)) = (stands, self.process_mut(id)) {
            process.withdrawn = false;
        }
        self.arm(id);
    }

    /// Tell what may be believed from now on, where that has changed.
    pub(super) fn show_belief(&mut self, id: ProcessId) {
        let Some(process) = self.processes[id.0 as usize].as_mut() else {
            return;
        };
        let belief = process.belief(&self.seats[process.seat].clock);
        let status = process.elector.status();
        let ours = !self.plan.seats[process.seat].foreign || self.plan.lock.is_for_life();
        let came_back = ours && process.withdrawn && process.shown.is_none() && belief.is_some();
        let new_belief = (process.shown != belief).then(|| {
            process.shown = belief;
            belief
        });
        let leads = |status: Option<&tenure_core::Status>| {
            status.map(|status| (status.leads(), std::mem::discriminant(status)))
        };
        let changed = leads(process.status.as_ref()) != leads(Some(&status));
        if let Some(belief) = new_belief {
            self.tell(Happening::Belief {
                process: id,
                belief,
            });
        }
        if came_back {
            self.tell(Happening::Broken {
                process: Some(id),
                what: "began to lead, and had been told to stand no more (L9, F4)".into(),
            });
        }
        if changed {
            self.tell(Happening::Status {
                process: id,
                status: status.clone(),
            });
            if let Some(process) = self.process_mut(id) {
                process.status = Some(status);
            }
        }
    }

    /// Set the timer to the elector's deadline.
    pub(super) fn arm(&mut self, id: ProcessId) {
        let now = self.now;
        let Some(process) = self.processes[id.0 as usize].as_mut() else {
            return;
        };
        let clock = &self.seats[process.seat].clock;
        let next = process
            .elector
            .deadline()
            .map(|deadline| clock.truth(deadline).max(now));
        if next == process.tick_at {
            return;
        }
        process.tick_at = next;
        if let Some(next) = next {
            self.at(next, Due::Tick(id));
        }
    }

    pub(super) fn tick(&mut self, id: ProcessId) {
        let now = self.now;
        let Some(process) = self.process_mut(id) else {
            return;
        };
        if process.tick_at.is_none_or(|due| due > now) {
            return;
        }
        if let Some(sleep) = process.sleep.filter(|sleep| now < sleep.until) {
            // After a suspend a timer is late by a slice of a sleep, at most two seconds.
            let late = match sleep.kind {
                SleepKind::Suspended => hashed([now, id.0.into(), 7]) % (2 * SECOND),
                _ => hashed([now, id.0.into(), 7]) % (MILLI / 5),
            };
            process.tick_at = Some(sleep.until + late);
            self.at(sleep.until + late, Due::Tick(id));
            return;
        }
        process.tick_at = None;
        self.give(id, Event::Tick);
    }

    #[allow(clippy::needless_pass_by_value, reason = "it is used up here")]
    pub(super) fn notice(&mut self, id: ProcessId, notice: Notice) {
        if let Notice::Stop { by, .. } = &notice {
            self.tell_how_long(id, *by);
        }
        self.tell(Happening::Notice {
            process: id,
            notice: notice.clone(),
        });
        match notice {
            Notice::Acquired { .. } => self.work_begins(id),
            Notice::Stop { .. } => self.work_is_told(id),
            Notice::Lost(_) | Notice::Released | Notice::Kept | Notice::ReleaseFailed { .. } => {
                if let (Notice::Lost(_), Some(process)) = (&notice, self.process_mut(id)) {
                    process.withdrawn = true;
                }
                self.drop_work(id);
                let pause = hashed([self.plan.seed, self.now, id.0.into()]) % (2 * SECOND);
                self.at(self.now + pause, Due::Stand(id));
            }
            _ => {}
        }
    }

    fn tell_how_long(&mut self, id: ProcessId, by: Instant) {
        let Some(process) = self.process(id) else {
            return;
        };
        let clock = &self.seats[process.seat].clock;
        let ends = process.belief(clock).and_then(|belief| belief.until);
        let by = clock.truth(by);
        self.tell(Happening::GivenUntil {
            process: id,
            by,
            ends,
        });
    }

    pub(super) fn end(&mut self, id: ProcessId) {
        let Some(process) = self.processes[id.0 as usize].take() else {
            return;
        };
        self.tell(Happening::Ended { process: id });
        self.at_desk(|model, desk| model.ended(desk, id, process.seat));
    }
}
