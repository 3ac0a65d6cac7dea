//! The state machine: which phase it is in, what it hears, what it wants next.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use crate::{
    elector::{Action, Belief, CallId, Command, Elector, Event, Sight},
    identity::Nonce,
    outcome::Outcome,
    rng::Rng,
    status::{Holder, LossReason, Notice, Status, Warning},
    time::{Instant, Now},
    timing::LifeTiming,
    version::{Uid, Version},
};

use super::{
    judge,
    leading::Term,
    pause::Pause,
    record::{Answer, LifeRecord, LifeWrite, LockObject, OwnerRef, Request},
    releasing::Release,
    seen::{Order, Place, Seen},
    sight::ProcessId,
};

/// What a candidate goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeConfig {
    /// Who it is.
    pub me: Me,
    /// What tells this start of this process from all others. The nonce of a term is this, `-`
    /// and the number of the write that began it.
    pub nonce: Nonce,
    /// The pauses, and the time for calls and for the work to end.
    pub timing: LifeTiming,
    /// Delete the lock when it is given up (F10), rather than leave it to the collector.
    pub delete_on_release: bool,
    /// Where the spread of retries comes from (F7). Different for each process.
    pub seed: u64,
}

/// The Pod, container and process of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    /// The Pod's name.
    pub pod_name: Arc<str>,
    /// The Pod's uid: who it is (F2).
    pub pod_uid: Uid,
    /// The container's name, if known.
    pub container: Option<Arc<str>>,
    /// The container's id, if this process can tie one to itself (F9).
    pub container_id: Option<Arc<str>>,
    /// Whether the Pod has no other container that could stand for the same lock (F3).
    pub single_container: bool,
    /// The process, where it can be named (F3).
    pub process: Option<ProcessId>,
}

/// One candidate for one lock.
#[derive(Clone, Debug)]
pub struct LifeElector {
    pub(super) config: LifeConfig,
    pub(super) now: Now,
    pub(super) phase: Phase,
    pub(super) seen: Seen,
    pub(super) standing: bool,
    pub(super) call: Option<Call>,
    pub(super) pause: Pause,
    pub(super) rng: Rng,
    /// Something happened that a waiter looks at without a pause (F7).
    pub(super) woken: bool,
    /// This round has already followed up one clash without a pause.
    pub(super) clashed: bool,
    /// Failures of a waiter's calls in a row.
    pub(super) failures: u32,
    pub(super) last_error: Option<Arc<str>>,
    /// How many writes were made: the number of the newest.
    pub(super) writes: u64,
    /// Writes before this one grant nothing any more: withdrawn, of an earlier term, or perhaps
    /// being deleted (F4).
    pub(super) adoptable_from: u64,
    /// The first of the newest writes that were replaces.
    pub(super) replaces_from: Option<u64>,
    /// Writes that were sent, and neither came to nothing nor were seen: they may land yet (F4).
    pub(super) may_land: BTreeSet<u64>,
    /// The write whose lock is left where it is.
    pub(super) kept: Option<u64>,
    pub(super) lost: Option<LossReason>,
    last_call: u64,
    told_holder: Option<Told>,
    told_foreign: Option<(Uid, Arc<str>)>,
    queue: VecDeque<Action<Request>>,
}

#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Nobody here leads.
    Waiting,
    /// Believing.
    Leading(Term),
    /// Belief is over, and the lock is being given up.
    Releasing(Release),
}

/// The holder that was told last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told(Option<Holder>);

/// The one call under way.
#[derive(Clone, Debug)]
pub(super) struct Call {
    id: CallId,
    pub(super) what: What,
    /// The watch's epoch when it was sent.
    pub(super) epoch: u64,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Read,
    Create(u64),
    Replace(u64),
    /// Of a lock of one's own by which nobody leads.
    DeleteOwn(u64),
    /// Of a lock whose owner is certainly gone: its name.
    DeleteOrphan(Arc<str>),
    /// The owner of this lock, as it was read before.
    ReadPod(LockObject),
    /// The process recorded in this lock.
    Inspect(LockObject),
}

impl LifeElector {
    /// A candidate that has seen nothing yet and does not stand.
    pub fn new(config: LifeConfig) -> Self {
        Self {
            now: Now::default(),
            phase: Phase::Waiting,
            seen: Seen::new(),
            standing: false,
            call: None,
            pause: Pause::new(&config.timing),
            rng: Rng::new(config.seed),
            woken: false,
            clashed: false,
            failures: 0,
            last_error: None,
            writes: 0,
            adoptable_from: 1,
            replaces_from: None,
            may_land: BTreeSet::new(),
            kept: None,
            lost: None,
            last_call: 0,
            told_holder: None,
            told_foreign: None,
            queue: VecDeque::new(),
            config,
        }
    }

    /// The timings this candidate goes by.
    pub fn timing(&self) -> &LifeTiming {
        &self.config.timing
    }

    /// The number of the write of this process that made `lock` what it is, if one did.
    pub(super) fn own_write(&self, lock: &LockObject) -> Option<u64> {
        let record = lock.record.as_ref()?;
        if record.pod_uid != self.config.me.pod_uid {
            return None;
        }
        judge::write_number(&self.config.nonce, &record.nonce)
    }

    /// The next write, with a nonce of its own (F1).
    pub(super) fn next_write(&mut self) -> (u64, LifeWrite) {
        self.writes += 1;
        let me = &self.config.me;
        let write = LifeWrite {
            owner: OwnerRef::pod(Arc::clone(&me.pod_name), me.pod_uid.clone()),
            record: LifeRecord {
                pod_name: Arc::clone(&me.pod_name),
                pod_uid: me.pod_uid.clone(),
                container: me.container.clone(),
                container_id: me.container_id.clone(),
                process: me.process.clone(),
                nonce: judge::write_nonce(&self.config.nonce, self.writes),
            },
        };
        self.may_land.insert(self.writes);
        (self.writes, write)
    }

    /// No write that was made so far grants anything any more. Whoever stops standing disowns, and
    /// only who does not stand deletes own locks: no read of a lock that may be under a delete
    /// grants (L9, F4).
    pub(super) fn disown_writes(&mut self) {
        self.adoptable_from = self.writes + 1;
    }

    pub(super) fn send(&mut self, what: What, request: Request) {
        self.last_call += 1;
        let id = CallId(self.last_call);
        self.call = Some(Call {
            id,
            what,
            epoch: self.seen.epoch(),
        });
        self.queue.push_back(Action::Call { id, request });
    }

    /// F5: uid and resourceVersion both go with every delete.
    pub(super) fn send_delete(&mut self, what: What, version: Version) {
        self.send(what, Request::Delete { version });
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        self.queue.push_back(Action::Notify(notice));
    }

    /// A write that is seen has landed, and cannot land again.
    pub(super) fn note(&mut self, lock: &LockObject) {
        if let Some(number) = self.own_write(lock) {
            self.may_land.remove(&number);
        }
    }

    /// Back to waiting. The call under way, if any, no longer has a meaning (L9).
    pub(super) fn wait_again(&mut self, lost: LossReason) {
        self.phase = Phase::Waiting;
        self.call = None;
        self.woken = false;
        self.failures = 0;
        self.pause.reset();
        self.disown_writes();
        self.lost = Some(lost);
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Stand => self.stand(),
            Command::Withdraw => {
                self.standing = false;
                if matches!(self.phase, Phase::Waiting) {
                    self.disown_writes();
                }
            }
            Command::StepDown | Command::HandOver { .. } => self.step_down(LossReason::SteppedDown),
            Command::WorkEnded { release } => self.work_ended(*release),
        }
    }

    fn stand(&mut self) {
        if self.standing {
            return;
        }
        self.standing = true;
        if matches!(self.phase, Phase::Waiting) {
            self.lost = None;
            self.failures = 0;
            self.pause.reset();
            self.woken = true;
        }
    }

    fn watched(&mut self, sight: Sight<LockObject>) {
        let shown = match &sight {
            Sight::Seen(lock) => Some(lock.clone()),
            Sight::Gone(_) => None,
        };
        match (self.seen.watched(self.now.mono, sight), shown) {
            (Order::Older | Order::Same, _) => {}
            // A hint that cannot be put in order is no ground for anything: ask.
            (Order::CannotTell, _) => self.ask(),
            (Order::Newer, Some(lock)) => {
                self.note(&lock);
                match &self.phase {
                    Phase::Waiting if self.own_write(&lock).is_some() => self.woken = true,
                    Phase::Waiting | Phase::Releasing(_) => {}
                    Phase::Leading(_) => self.look_at_own(&lock),
                }
            }
            (Order::Newer, None) => match &self.phase {
                Phase::Waiting => self.woken = true,
                Phase::Leading(_) => self.lose(LossReason::Deleted),
                Phase::Releasing(_) => {}
            },
        }
    }

    fn ask(&mut self) {
        match &mut self.phase {
            Phase::Waiting => self.woken = true,
            Phase::Leading(term) => term.check = true,
            Phase::Releasing(_) => {}
        }
    }

    fn answered(&mut self, id: CallId, outcome: Outcome<Answer>) {
        // Answers to calls of an earlier term find no call that waits for them (L9).
        let Some(call) = self.call.take_if(|call| call.id == id) else {
            return;
        };
        if let Outcome::Done(Answer::Lock(lock)) = &outcome {
            self.note(lock);
        }
        match self.phase {
            Phase::Waiting => self.waiting_answered(call, outcome),
            Phase::Leading(_) => self.leading_answered(&call, outcome),
            Phase::Releasing(_) => self.release_answered(&call, outcome),
        }
    }

    fn drive(&mut self) {
        if self.call.is_some() {
            return;
        }
        match self.phase {
            Phase::Waiting => self.drive_waiting(),
            Phase::Leading(_) => self.drive_term(),
            Phase::Releasing(_) => {
                self.drive_release();
                // A release that was given up leaves a waiter behind.
                if matches!(self.phase, Phase::Waiting) {
                    self.drive_waiting();
                }
            }
        }
    }

    fn tell_holder(&mut self) {
        let holder = self.seen.holder().cloned();
        // Of what is no lock nobody can tell who holds it.
        if holder.is_none() && *self.seen.place() != Place::Absent {
            return;
        }
        let told = Some(Told(holder.clone()));
        if self.told_holder != told {
            self.told_holder = told;
            self.tell(Notice::Holder(holder));
        }
    }

    /// F11, once for each object and reason.
    pub(super) fn tell_foreign(&mut self, lock: &LockObject, why: Arc<str>) {
        let told = (lock.version.uid.clone(), why);
        if self.told_foreign.as_ref() != Some(&told) {
            let why = Arc::clone(&told.1);
            self.told_foreign = Some(told);
            self.tell(Notice::Warn(Warning::NotALock { why }));
        }
    }
}

impl Elector for LifeElector {
    type Request = Request;
    type Answer = Answer;
    type Object = LockObject;

    fn handle(&mut self, now: Now, event: Event<Answer, LockObject>) {
        if now.mono >= self.now.mono {
            self.now = now;
        } else {
            self.now.wall = now.wall;
        }
        match event {
            Event::Tick | Event::WatchClosed => {}
            Event::Command(command) => self.command(&command),
            Event::Answer { id, outcome } => self.answered(id, outcome),
            Event::Watch(sight) => self.watched(sight),
            // What happened before may have been missed.
            Event::WatchOpened => self.ask(),
        }
        self.heed();
        self.pass_time();
        self.drive();
        self.tell_holder();
    }

    fn poll(&mut self) -> Option<Action<Request>> {
        self.queue.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Leading(term) => self.term_deadline(term),
            _ if self.call.is_some() => None,
            Phase::Waiting => self.waiting_deadline(),
            Phase::Releasing(_) => Some(self.pause.until().max(self.now.mono)),
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
            _ => Status::Standby {
                holder: self.seen.holder().cloned(),
                error: self.last_error.clone().filter(|_| self.failures > 0),
            },
        }
    }
}
