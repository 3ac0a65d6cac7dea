//! The state machine: which phase it is in, what it hears, what it wants next.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use crate::{
    asked::Paused,
    elector::{Action, Belief, CallId, Command, Elector, Event, Sight},
    identity::{Identity, Nonce},
    outcome::Outcome,
    rng::Rng,
    status::{LossReason, Notice, Status, Warning},
    time::{Instant, Now},
    timing::LeaseTiming,
    version::{ResourceVersion, Version},
};

use super::{
    acquiring::Attempt,
    leading::Term,
    observation::{Change, Observation, Place},
    pace::{Contention, Pause},
    record::{LeaseWrite, Observed, Request, Spec, WriteMark},
    releasing::Release,
};

/// What a candidate goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseConfig {
    /// What it writes as the holder.
    pub identity: Identity,
    /// What tells this start of this process from all others.
    pub nonce: Nonce,
    /// Durations that keep rule L3.
    pub timing: LeaseTiming,
    /// Never create a Lease with oneself as its holder: create it free, and wait (L14).
    pub wait_when_absent: bool,
    /// For how long who has released the Lease leaves it to others (L23).
    pub cooldown: Duration,
    /// How far the clocks of different machines may be apart, where a record that is old by its
    /// own time need not be waited out at the first sight of it (L24). Never, where there is none.
    pub trust_remote_clock: Option<Duration>,
    /// Renew for the first time after a part of the retry period rather than a whole one, so that
    /// the renewals of many Leases that were acquired together are spread over it; and renew at one
    /// of 64 moments of each period, which the elections of a process have in common, so that they
    /// are sent in small batches rather than one by one. None is later for that.
    pub spread_renewals: bool,
    /// Where the spread of contenders comes from (L17). Different for each process.
    pub seed: u64,
}

/// One candidate for one Lease.
#[derive(Clone, Debug)]
pub struct LeaseElector {
    pub(super) config: LeaseConfig,
    pub(super) seen: Observation,
    pub(super) phase: Phase,
    pub(super) now: Now,
    pub(super) standing: bool,
    pub(super) call: Option<Call>,
    pub(super) pause: Pause,
    pub(super) contention: Contention,
    pub(super) rng: Rng,
    /// Until when the Lease is left to others after a release (L23).
    pub(super) cool_at: Instant,
    read_wanted: bool,
    watch_open: bool,
    poll_at: Instant,
    lost: Option<LossReason>,
    last_call: u64,
    counter: u64,
    /// Empty for nobody; none before anything was told.
    told_holder: Option<Arc<str>>,
    told_odd: Option<Arc<str>>,
    pub(super) told_paused: Option<Box<Paused>>,
    /// When a paused Lease is read again, however silent the watch is (L15, L26).
    pub(super) look_paused_at: Instant,
    queue: VecDeque<Action<Request>>,
}

#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one of it in each elector, which is never moved about"
)]
pub(super) enum Phase {
    /// Watching others, standing for election or not.
    Observing,
    /// A write that may grant leadership is out, or its outcome is being settled.
    Acquiring(Attempt),
    /// Believing.
    Leading(Term),
    /// Belief is over, and the Lease is being given up.
    Releasing(Release),
}

/// The one call under way.
#[derive(Clone, Debug)]
pub(super) struct Call {
    id: CallId,
    pub(super) what: What,
    pub(super) epoch: u64,
    pub(super) newest: Option<ResourceVersion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Read,
    /// The write of this counter, one of the phase's own.
    Write(u64),
    /// A create without a holder (L14).
    CreateFree,
}

/// A write that was sent, and when the clock was read before (L1).
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) write: LeaseWrite,
    pub(super) at: Instant,
}

impl LeaseElector {
    /// A candidate that has seen nothing yet and does not stand.
    pub fn new(config: LeaseConfig) -> Self {
        let duration = config.timing.lease_duration();
        Self {
            seen: Observation::new(duration),
            phase: Phase::Observing,
            now: Now::default(),
            standing: false,
            call: None,
            pause: Pause::new(config.timing.retry_period()),
            contention: Contention::new(duration),
            rng: Rng::new(config.seed),
            cool_at: Instant::default(),
            read_wanted: false,
            watch_open: false,
            poll_at: Instant::default(),
            lost: None,
            last_call: 0,
            counter: 0,
            told_holder: None,
            told_odd: None,
            told_paused: None,
            look_paused_at: Instant::default(),
            queue: VecDeque::new(),
            config,
        }
    }

    /// The timings this candidate goes by.
    pub fn timing(&self) -> &LeaseTiming {
        &self.config.timing
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Stand => {
                let first = !self.standing;
                self.standing = true;
                self.lost = None;
                if first && !self.watch_open {
                    self.read_wanted = true;
                }
            }
            Command::Withdraw => self.standing = false,
            Command::StepDown => self.step_down(LossReason::SteppedDown, None),
            Command::HandOver { to } => self.step_down(LossReason::SteppedDown, Some(to)),
            Command::WorkEnded { release } => self.work_ended(release),
        }
    }

    fn watched(&mut self, sight: Sight<Observed>) {
        let version = match &sight {
            Sight::Seen(observed) => &observed.version,
            Sight::Gone(version) => version,
        };
        if self.seen.cannot_tell(&version.resource_version) {
            // A hint that cannot be put in order is no ground for anything (L15): ask.
            self.ask();
            return;
        }
        match sight {
            Sight::Seen(observed) => {
                let change = self.seen.watch_seen(self.now.mono, observed.clone());
                if change == Change::Stale {
                    return;
                }
                match &self.phase {
                    Phase::Observing | Phase::Releasing(_) => {}
                    Phase::Acquiring(_) => self.attempt_watched(change, &observed),
                    Phase::Leading(_) => self.judge_watched(observed),
                }
            }
            Sight::Gone(version) => {
                let change = self.seen.watch_gone(self.now.mono, &version);
                if change == Change::Stale {
                    return;
                }
                match &mut self.phase {
                    Phase::Observing | Phase::Releasing(_) => {}
                    Phase::Acquiring(attempt) => attempt.another_seen = true,
                    Phase::Leading(_) => self.lose(LossReason::Deleted),
                }
            }
        }
    }

    fn answered(&mut self, id: CallId, outcome: Outcome<Observed>) {
        // Answers to calls of an earlier term find no call that waits for them (L9).
        let Some(call) = self.call.take_if(|call| call.id == id) else {
            return;
        };
        match self.phase {
            Phase::Observing => self.observing_answered(&call, outcome),
            Phase::Acquiring(_) => self.attempt_answered(&call, outcome),
            Phase::Leading(_) => self.leading_answered(&call, outcome),
            Phase::Releasing(_) => self.release_answered(&call, outcome),
        }
    }

    fn observing_answered(&mut self, call: &Call, outcome: Outcome<Observed>) {
        match (call.what, outcome) {
            (What::Read, outcome @ (Outcome::Done(_) | Outcome::NotFound(_))) => {
                self.pause.succeeded();
                self.read_answered(call, outcome);
            }
            (What::CreateFree | What::Write(_), Outcome::Done(observed)) => {
                self.pause.succeeded();
                self.seen.written(self.now.mono, observed);
            }
            (_, Outcome::AlreadyExists | Outcome::Conflict) => {
                self.seen.note_evidence();
                self.pause.failed(self.now.mono, &mut self.rng);
                self.read_wanted = true;
            }
            (
                what,
                Outcome::NotFound(error) | Outcome::Refused(error) | Outcome::Unknown(error),
            ) => {
                self.standby_failed(error);
                self.read_wanted |= what == What::Read || !self.watch_open;
            }
        }
    }

    /// Take in a read's answer as an observer.
    pub(super) fn read_answered(&mut self, call: &Call, outcome: Outcome<Observed>) -> Change {
        let change = match outcome {
            Outcome::Done(observed) => {
                self.seen
                    .read(self.now.mono, observed, call.epoch, call.newest.as_ref())
            }
            _ => self.seen.read_absent(self.now.mono, call.epoch),
        };
        self.read_wanted = change == Change::Stale;
        self.poll_at = self
            .now
            .mono
            .after(self.rng.jittered(self.config.timing.retry_period()));
        self.plan_look_at_a_pause();
        change
    }

    fn drive_observing(&mut self) {
        if !self.standing {
            return;
        }
        let now = self.now.mono;
        if now < self.pause.until() {
            return;
        }
        let poll = !self.watch_open && now >= self.poll_at
            || self.paused().is_some() && now >= self.look_paused_at;
        if self.read_wanted || poll || *self.seen.place() == Place::Unknown {
            self.send_read();
            return;
        }
        // L26: nobody of ours takes it.
        if self.paused().is_some() {
            return;
        }
        match self.seen.place() {
            Place::Unknown => {}
            Place::Absent if self.seen.evidence() || self.config.wait_when_absent => {
                self.create_free();
            }
            Place::Absent => self.create_held(),
            Place::Present(_) => {
                if now >= self.takeover_at() {
                    self.take_over();
                }
            }
        }
    }

    fn create_free(&mut self) {
        let write = self.write(Spec {
            holder: Some("".into()),
            transitions: Some(0),
            ..self.spec_of_mine()
        });
        self.send(What::CreateFree, Request::Create(write));
    }

    /// A spec that names this candidate as the holder since now.
    pub(super) fn spec_of_mine(&self) -> Spec {
        Spec {
            holder: Some(self.config.identity.to_arc()),
            duration_seconds: Some(self.config.timing.duration_seconds().into()),
            acquire_time: Some(self.now.wall),
            renew_time: Some(self.now.wall),
            transitions: None,
            foreign: None,
        }
    }

    /// The next write: a spec, and the annotation that goes with it.
    pub(super) fn write(&mut self, spec: Spec) -> LeaseWrite {
        self.counter += 1;
        let mark = WriteMark {
            nonce: self.config.nonce.clone(),
            counter: self.counter,
            holder: spec.holder.clone().unwrap_or_else(|| "".into()),
            duration_seconds: self.config.timing.duration_seconds(),
            renew_time: spec.renew_time.unwrap_or(self.now.wall),
            released: false,
            successor: None,
        };
        LeaseWrite {
            spec,
            mark,
            acquires: false,
        }
    }

    pub(super) fn send(&mut self, what: What, request: Request) {
        self.last_call += 1;
        let id = CallId(self.last_call);
        self.call = Some(Call {
            id,
            what,
            epoch: self.seen.epoch(),
            newest: self.seen.newest().cloned(),
        });
        self.queue.push_back(Action::Call { id, request });
    }

    pub(super) fn send_read(&mut self) {
        self.send(What::Read, Request::Read);
    }

    pub(super) fn send_replace(&mut self, base: &Version, write: LeaseWrite) {
        let what = What::Write(write.mark.counter);
        self.send(
            what,
            Request::Replace {
                base: base.clone(),
                write,
            },
        );
    }

    /// Read at the next opportunity, whatever the phase.
    pub(super) fn ask(&mut self) {
        match &mut self.phase {
            Phase::Observing => self.read_wanted = true,
            Phase::Acquiring(attempt) => attempt.check = true,
            Phase::Leading(term) => term.check = true,
            Phase::Releasing(_) => {}
        }
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        self.queue.push_back(Action::Notify(notice));
    }

    pub(super) fn standby_failed(&mut self, error: Arc<str>) {
        self.pause.failed(self.now.mono, &mut self.rng);
        let times = self.pause.failures();
        self.pause.blame(Arc::clone(&error));
        self.tell(Notice::StandbyFailed { error, times });
    }

    /// Back to watching others. The call under way, if any, no longer has a meaning (L9).
    pub(super) fn observe_again(&mut self, lost: Option<LossReason>) {
        self.phase = Phase::Observing;
        self.call = None;
        self.read_wanted |= lost.is_some();
        if lost.is_some() {
            self.standing = false;
        }
        self.lost = lost;
        self.pause.succeeded();
    }

    pub(super) fn stand_again(&mut self) {
        self.standing = true;
        self.lost = None;
    }

    fn tell_holder(&mut self) {
        let holder = match self.seen.place() {
            Place::Unknown => return,
            Place::Absent => None,
            Place::Present(observed) => observed.spec.holder().cloned(),
        }
        .unwrap_or_else(|| "".into());
        if self.told_holder.as_ref() != Some(&holder) {
            self.told_holder = Some(holder);
            self.tell(Notice::Holder(self.seen.holder()));
        }
        self.tell_odd_duration();
    }

    fn tell_odd_duration(&mut self) {
        let Place::Present(observed) = self.seen.place() else {
            return;
        };
        let (Some(holder), Some(seconds)) =
            (observed.spec.holder(), observed.spec.duration_seconds)
        else {
            return;
        };
        let usual = i64::from(self.config.timing.duration_seconds())
            .saturating_mul(20)
            .max(3600);
        if seconds > usual
            && observed.speaking_mark().is_none()
            && self.told_odd.as_ref() != Some(holder)
        {
            let holder = Arc::clone(holder);
            self.told_odd = Some(Arc::clone(&holder));
            self.tell(Notice::Warn(Warning::OddDuration { holder, seconds }));
        }
    }

    fn drive(&mut self) {
        if self.call.is_some() {
            return;
        }
        match self.phase {
            Phase::Observing => self.drive_observing(),
            Phase::Acquiring(_) => self.drive_attempt(),
            Phase::Leading(_) => self.drive_term(),
            Phase::Releasing(_) => self.drive_release(),
        }
    }

    fn observing_deadline(&self) -> Option<Instant> {
        if !self.standing || self.call.is_some() {
            return None;
        }
        let next = match self.seen.place() {
            _ if self.read_wanted => self.now.mono,
            Place::Present(observed) => {
                let free = if observed.paused.is_some() {
                    self.look_paused_at
                } else {
                    self.expected_turn()
                };
                if self.watch_open {
                    free
                } else {
                    free.min(self.poll_at)
                }
            }
            Place::Unknown | Place::Absent => self.now.mono,
        };
        Some(next.max(self.pause.until()))
    }
}

impl Elector for LeaseElector {
    type Request = Request;
    type Answer = Observed;
    type Object = Observed;

    fn newest(&self) -> Option<&ResourceVersion> {
        self.seen.newest()
    }

    fn turn(&self) -> Option<Instant> {
        self.awaited_turn()
    }

    fn handle(&mut self, now: Now, event: Event<Observed, Observed>) {
        if now.mono >= self.now.mono {
            self.now = now;
        } else {
            self.now.wall = now.wall;
        }
        // Time first: an answer that comes after validity is over finds no term (L9).
        self.pass_time();
        match event {
            Event::Tick => {}
            Event::Command(command) => self.command(command),
            Event::Answer { id, outcome } => {
                let (me, nonce) = (&self.config.identity, &self.config.nonce);
                let outcome = outcome.map(|observed| observed.in_words_of(me, nonce));
                self.answered(id, outcome);
            }
            Event::Watch(sight) => self.watched(sight),
            Event::WatchOpened => {
                self.watch_open = true;
                if matches!(self.phase, Phase::Observing) {
                    self.read_wanted = true;
                }
            }
            Event::WatchClosed => self.watch_open = false,
        }
        self.look_once();
        self.heed();
        self.pass_time();
        self.drive();
        self.tell_holder();
    }

    fn poll(&mut self) -> Option<Action<Request>> {
        let action = self.queue.pop_front();
        if action.is_none() {
            // What a burst took is given back: mostly it is one at a time, in a thousand elections.
            self.queue.shrink_to(1);
        }
        action
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Observing => self.observing_deadline(),
            Phase::Acquiring(_) | Phase::Releasing(_) if self.call.is_some() => None,
            Phase::Acquiring(_) | Phase::Releasing(_) => {
                Some(self.pause.until().max(self.now.mono))
            }
            Phase::Leading(term) => Some(self.term_deadline(term)),
        }
    }

    fn belief(&self) -> Option<Belief> {
        match &self.phase {
            Phase::Leading(term) => Some(term.belief()),
            _ => None,
        }
    }

    fn status(&self) -> Status {
        match (&self.phase, &self.lost) {
            (Phase::Leading(term), _) => term.status(),
            (_, Some(reason)) => Status::Lost {
                reason: reason.clone(),
            },
            _ => {
                let error = self.pause.error().cloned();
                let holder = self.seen.leader();
                match self.paused() {
                    Some(paused) if error.is_none() => Status::Paused {
                        paused: paused.clone(),
                        holder,
                    },
                    _ => Status::Standby { holder, error },
                }
            }
        }
    }
}
