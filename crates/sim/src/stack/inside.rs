//! What the inside of a process and the world share: what it sends and shows goes out here, with
//! the true time at which it did so.

use std::{
    mem::Discriminant,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use tenure::{Instant, Leadership, LeadershipHandle, LossReason, Status};
use tenure_core::Notice;
use tokio::sync::{Notify, oneshot, watch};

use crate::{
    clock::{MILLI, MachineClock, Nanos},
    trace::{Believed, Happening, ProcessId, Seeing},
};

use super::{net::Answer, promises::Promises, sim_clock::SimClock};

/// One process, seen from both sides.
pub(super) struct Inside {
    pub(super) id: ProcessId,
    pub(super) clock: Arc<SimClock>,
    pub(super) gate: Gate,
    /// How many watches are open.
    pub(super) streams: AtomicUsize,
    /// Its work does not end when it is told to.
    pub(super) stubborn: AtomicBool,
    /// It stands no more.
    pub(super) leaving: AtomicBool,
    /// Whoever waits for leadership, or holds it, drops it.
    pub(super) cancel: Notify,
    /// Since which reading nobody waits for leadership; 0 while somebody does.
    idle: AtomicU64,
    /// The next request stops before its first byte leaves.
    pub(super) stop_before_send: Mutex<Option<Nanos>>,
    /// A leadership that outlives the runtime.
    kept: Mutex<Option<Leadership>>,
    pub(super) promises: Promises,
    state: Mutex<State>,
}

/// Something that a process did.
pub(super) enum Out {
    /// It is to be told.
    Tell(Box<Happening>),
    /// It has ordered a release, and ends.
    Ordered,
    /// It says that the lock is free, by a release of its own.
    Freed,
    /// A request left.
    Request(Box<Outgoing>),
    /// A write to the fenced resource left.
    Fence(u64),
}

/// A request on its way, with where its answer goes.
pub(super) struct Outgoing {
    pub(super) number: u64,
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Nobody waited for leadership when it left.
    pub(super) idle: bool,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// Stops the runtime where nothing is left to do at a moment.
#[derive(Default)]
pub(super) struct Gate {
    /// It shall stop as soon as it is idle.
    pub(super) stop: AtomicBool,
    pub(super) idle: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

struct State {
    machine: MachineClock,
    out: Vec<(Nanos, Out)>,
    status: Option<watch::Receiver<Status>>,
    terms: Vec<Term>,
    shown: Option<Believed>,
    shown_status: Option<(bool, Discriminant<Status>)>,
    knows: bool,
    sent: u64,
    /// How often it had stopped when it was looked at last.
    stops: u32,
}

/// A leadership that the process was given.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a step that was taken or not"
)]
struct Term {
    handle: LeadershipHandle,
    /// When it ends, by the clock, as it was last looked at.
    until: Option<Instant>,
    /// It was looked at.
    known: bool,
    announced: bool,
    told: bool,
    over: bool,
    /// When it was over and not told so, by a clock that stands still while the machine sleeps.
    over_since: Option<tokio::time::Instant>,
    /// Somebody has asked it to end.
    asked: bool,
    /// How it was given up, where it was.
    given_up: Option<Notice>,
}

/// By when, in time that it is awake, the work of a leadership that is over knows it.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

impl Inside {
    pub(super) fn new(id: ProcessId, clock: Arc<SimClock>, machine: MachineClock) -> Self {
        Self {
            id,
            clock,
            gate: Gate::default(),
            streams: AtomicUsize::new(0),
            stubborn: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            cancel: Notify::new(),
            idle: AtomicU64::new(0),
            stop_before_send: Mutex::new(None),
            kept: Mutex::new(None),
            promises: Promises::default(),
            state: Mutex::new(State {
                machine,
                out: Vec::new(),
                status: None,
                terms: Vec::new(),
                shown: None,
                shown_status: None,
                knows: false,
                sent: 0,
                stops: 0,
            }),
        }
    }

    /// The machine's clock goes otherwise from now on.
    pub(super) fn set_machine(&self, machine: MachineClock) {
        self.state().machine = machine;
    }

    pub(super) fn shows(&self, status: watch::Receiver<Status>) {
        self.state().status = Some(status);
    }

    /// What has come out since this was asked last.
    pub(super) fn take_out(&self) -> Vec<(Nanos, Out)> {
        std::mem::take(&mut self.state().out)
    }

    /// Something happened, now by the process's own clock.
    pub(super) fn emit(&self, out: Out) {
        let mut state = self.state();
        let now = state.machine.truth(self.clock.reading());
        state.out.push((now, out));
    }

    pub(super) fn tell(&self, what: Happening) {
        self.emit(Out::Tell(Box::new(what)));
    }

    /// The moment of true time at which its clock shows that.
    pub(super) fn truth(&self, reading: Instant) -> Nanos {
        self.state().machine.truth(reading)
    }

    /// The next message's number.
    pub(super) fn next_number(&self) -> u64 {
        let mut state = self.state();
        state.sent += 1;
        (u64::from(self.id.0) << 32) | state.sent
    }

    /// It has learnt that the lock is or was there, and which state of it.
    pub(super) fn sees(&self, version: u64, how: Seeing) {
        let absent = how == Seeing::Absent;
        let known = self.state().knows;
        self.state().knows |= !absent;
        if !known || absent || version > 0 {
            self.tell(Happening::Sees {
                process: self.id,
                version,
                how,
            });
        }
    }

    /// It was given leadership.
    pub(super) fn leads(&self, handle: LeadershipHandle) {
        self.state().terms.push(Term {
            handle,
            until: None,
            known: false,
            announced: false,
            told: false,
            over: false,
            over_since: None,
            asked: false,
            given_up: None,
        });
    }

    /// The program itself is about to give its leadership up.
    pub(super) fn gives_up(&self, leadership: &LeadershipHandle, how: Notice) {
        let mut state = self.state();
        let mut terms = state.terms.iter_mut().rev();
        if let Some(term) = terms.find(|term| term.handle.token() == leadership.token()) {
            term.given_up = Some(how);
        }
    }

    /// Keep a leadership where it outlives the runtime.
    pub(super) fn keep(&self, leadership: Leadership) {
        let before = self.lock_kept().replace(leadership);
        debug_assert!(before.is_none(), "one leadership at a time");
    }

    /// The leadership that is kept, if one is.
    pub(super) fn kept(&self) -> Option<Leadership> {
        self.lock_kept().take()
    }

    fn lock_kept(&self) -> MutexGuard<'_, Option<Leadership>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The leadership of now, if there is one.
    pub(super) fn leadership(&self) -> Option<LeadershipHandle> {
        let state = self.state();
        let term = state.terms.last().filter(|term| !term.over)?;
        Some(term.handle.clone())
    }

    /// The program has dropped everything that its last leadership came with.
    pub(super) fn is_done_with(&self) {
        if self.leads_still() {
            self.tell(Happening::Broken {
                process: Some(self.id),
                what: "a leadership that was dropped leads on (L9)".into(),
            });
        }
    }

    /// Nobody waits for leadership from now on; or somebody does.
    pub(super) fn set_idle(&self, idle: bool) {
        let since = if idle {
            self.clock.reading().as_nanos()
        } else {
            0
        };
        self.idle.store(since, Ordering::Relaxed);
        self.tell(Happening::Stands {
            process: self.id,
            stands: !idle,
        });
    }

    /// A leadership of before, which is over.
    pub(super) fn former(&self) -> Option<LeadershipHandle> {
        let state = self.state();
        let term = state.terms.iter().rev().find(|term| term.over)?;
        Some(term.handle.clone())
    }

    /// Somebody asks the present leadership to end.
    pub(super) fn is_asked_to_end(&self) {
        if let Some(term) = self.state().terms.last_mut() {
            term.asked = true;
        }
    }

    /// Whether nobody waits for leadership, and that not just since this moment.
    pub(super) fn is_idle(&self) -> bool {
        let since = self.idle.load(Ordering::Relaxed);
        since > 0 && self.clock.reading().as_nanos() > since + MILLI
    }

    /// Whether the last leadership may still be believed in.
    pub(super) fn leads_still(&self) -> bool {
        let handle = self.state().terms.last().map(|term| term.handle.clone());
        handle.is_some_and(|handle| handle.is_leading())
    }

    /// Whatever is over has been told so: at once, but for a machine that slept, whose timers are
    /// late.
    pub(super) fn look_back(&self, reading: Instant) {
        let moment = self.clock.moment(reading);
        let mut state = self.state();
        let untold = state.terms.iter_mut().rev().take(4).any(|term| {
            if !term.over || term.handle.lost_reason().is_some() {
                return false;
            }
            let since = *term.over_since.get_or_insert(moment);
            moment.duration_since(since) > TOLD_WITHIN
        });
        drop(state);
        if untold {
            self.tell(Happening::Broken {
                process: Some(self.id),
                what: "a leadership is over, and its work was not told (L10)".into(),
            });
        }
    }

    /// Look at everything that the process shows, at this reading of its clock, and tell what has
    /// changed. `settled`: nothing is half done inside.
    pub(super) fn look(&self, reading: Instant, settled: bool) {
        let mut state = self.state();
        let state = &mut *state;
        let now = state.machine.truth(reading);
        let mut told = Vec::new();
        look_at_belief(state, self, reading, &mut told);
        if settled {
            look_at_status(state, self.id, &mut told);
        }
        look_at_terms(state, self.id, settled, &mut told);
        // Where it stopped in the middle of something, nobody can say when that was done.
        let stops = self.clock.stops();
        let stopped = std::mem::replace(&mut state.stops, stops) != stops;
        for what in told {
            let late = stopped && !begins(&what);
            let at = if late { now + 2 } else { now };
            state.out.push((at, Out::Tell(Box::new(what))));
        }
        if stopped {
            let slept = Happening::Slept {
                process: self.id,
                since: now,
            };
            state.out.push((now + 1, Out::Tell(Box::new(slept))));
        }
    }

    /// What comes out of a process that is stopped between two moments.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    /// Whom to wake when it is idle.
    pub(super) fn wakes(&self, waker: &Waker) {
        let mut known = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(waker.clone());
    }

    /// The runtime has nothing left to do at this moment.
    pub(super) fn parks(&self) {
        if self.stop.load(Ordering::Relaxed) {
            self.idle.store(true, Ordering::Relaxed);
            let waker = self
                .waker
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

fn look_at_belief(state: &mut State, inside: &Inside, reading: Instant, told: &mut Vec<Happening>) {
    let id = inside.id;
    let clock = &inside.clock;
    let mut believed = None;
    // By the process's own clock: when that runs at another rate, the end moves in true time, and
    // nothing was renewed (seed 501418).
    let mut later = false;
    let last = state.terms.len().checked_sub(1);
    for (index, term) in state.terms.iter_mut().enumerate().rev().take(4) {
        if !clock.pretending(reading, || term.handle.is_leading()) {
            continue;
        }
        if term.over || Some(index) != last {
            told.push(Happening::Broken {
                process: Some(id),
                what: "a leadership that was over leads again".into(),
            });
        }
        let until = if term.known && ends_at(clock, term, reading, term.until) {
            term.until
        } else {
            end_of(clock, term, reading)
        };
        if term.handle.valid_until() != until {
            told.push(Happening::Broken {
                process: Some(id),
                what: "leads until another moment than it says".into(),
            });
        }
        later = term.known && until > term.until;
        term.until = until;
        term.known = true;
        believed = Some(Believed {
            term: term.handle.term(),
            token: term.handle.token().as_str().parse().unwrap_or(0),
            until: until.map(|until| state.machine.truth(until)),
        });
        break;
    }
    if believed == state.shown {
        return;
    }
    state.shown = believed;
    told.push(Happening::Belief {
        process: id,
        belief: believed,
    });
    if later && !inside.has_heard_of_itself() {
        told.push(Happening::Broken {
            process: Some(id),
            what: "renews its Lease, and was not told that it holds it".into(),
        });
    }
    if later && state.terms.last().is_some_and(|term| term.announced) {
        let recovered = state
            .status
            .as_ref()
            .is_some_and(|status| matches!(*status.borrow(), Status::Jeopardy { .. }));
        told.push(Happening::Notice {
            process: id,
            notice: Notice::Renewed { recovered },
        });
    }
}

/// Whether it is about a term that begins or goes on, rather than about its end.
fn begins(what: &Happening) -> bool {
    matches!(
        what,
        Happening::Belief { .. }
            | Happening::Notice {
                notice: Notice::Acquired { .. } | Notice::Renewed { .. },
                ..
            }
    )
}

/// Whether `is_leading` would end at exactly that reading.
fn ends_at(clock: &SimClock, term: &Term, now: Instant, until: Option<Instant>) -> bool {
    let leads =
        |nanos: u64| clock.pretending(Instant::from_nanos(nanos), || term.handle.is_leading());
    match until {
        None => leads(u64::MAX / 2),
        Some(until) => {
            let until = until.as_nanos();
            until > now.as_nanos() && leads(until - 1) && !leads(until)
        }
    }
}

/// The first reading at which `is_leading` would be false, if nothing else happened: what the
/// library says of it where that is true, else what a search finds.
fn end_of(clock: &SimClock, term: &Term, now: Instant) -> Option<Instant> {
    let claimed = term.handle.valid_until();
    if ends_at(clock, term, now, claimed) {
        return claimed;
    }
    let leads =
        |nanos: u64| clock.pretending(Instant::from_nanos(nanos), || term.handle.is_leading());
    let (mut yes, mut no) = (now.as_nanos(), u64::MAX / 2);
    if leads(no) {
        return None;
    }
    while no - yes > 1 {
        let middle = yes + (no - yes) / 2;
        if leads(middle) {
            yes = middle;
        } else {
            no = middle;
        }
    }
    Some(Instant::from_nanos(no))
}

fn look_at_status(state: &mut State, id: ProcessId, told: &mut Vec<Happening>) {
    let Some(receiver) = &state.status else {
        return;
    };
    let status = receiver.borrow().clone();
    let kind = (status.leads(), std::mem::discriminant(&status));
    if state.shown_status != Some(kind) {
        state.shown_status = Some(kind);
        told.push(Happening::Status {
            process: id,
            status,
        });
    }
}

fn look_at_terms(state: &mut State, id: ProcessId, settled: bool, told: &mut Vec<Happening>) {
    let believes = state.shown.is_some();
    let Some(term) = state.terms.last_mut().filter(|term| !term.over) else {
        return;
    };
    let notified = |notice| Happening::Notice {
        process: id,
        notice,
    };
    if !term.announced && believes {
        term.announced = true;
        told.push(notified(Notice::Acquired {
            term: term.handle.term(),
            token: term.handle.token().clone(),
            again: false,
        }));
    }
    if let (true, false, Some(reason)) = (believes, term.told, term.handle.lost_reason()) {
        term.told = true;
        if reason == LossReason::SteppedDown && !term.asked && term.given_up.is_none() {
            told.push(Happening::Broken {
                process: Some(id),
                what: "told its work to step down, and nobody had asked for it".into(),
            });
        }
        let by = term.handle.stop_by().unwrap_or_default();
        told.push(notified(Notice::Stop { reason, by }));
        told.push(Happening::GivenUntil {
            process: id,
            by: state.machine.truth(by),
            ends: term.until.map(|until| state.machine.truth(until)),
        });
    }
    if !believes && settled {
        term.over = true;
        let lost = state
            .status
            .as_ref()
            .and_then(|status| match &*status.borrow() {
                Status::Lost { reason } => Some(reason.clone()),
                _ => None,
            });
        if !term.announced {
            // It was over before anybody could look at it.
            return;
        }
        match (lost, term.given_up.take()) {
            (
                Some(
                    LossReason::SteppedDown
                    | LossReason::Abandoned
                    | LossReason::Asked(_)
                    | LossReason::Paused(_),
                )
                | None,
                Some(how),
            ) => {
                told.push(notified(how));
            }
            (Some(reason), _) => told.push(notified(Notice::Lost(reason))),
            (None, None) => told.push(notified(Notice::Released)),
        }
    }
}
