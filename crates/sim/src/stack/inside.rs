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
use tenure::{Instant, Leadership, LeadershipHandle, Status};
use tenure_core::Notice;
use tokio::sync::{Notify, oneshot, watch};

use crate::{
    clock::{MILLI, MachineClock, Nanos},
    trace::{Believed, Happening, ProcessId, Seeing},
};

use super::{
    looks::{begins, look_at_belief, look_at_status, look_at_terms},
    net::Answer,
    promises::Promises,
    sim_clock::SimClock,
};

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

pub(super) struct State {
    pub(super) machine: MachineClock,
    pub(super) out: Vec<(Nanos, Out)>,
    pub(super) status: Option<watch::Receiver<Status>>,
    pub(super) terms: Vec<Term>,
    pub(super) shown: Option<Believed>,
    pub(super) shown_status: Option<(bool, Discriminant<Status>)>,
    pub(super) knows: bool,
    pub(super) sent: u64,
    /// How often it had stopped when it was looked at last.
    pub(super) stops: u32,
}

/// A leadership that the process was given.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a step that was taken or not"
)]
pub(super) struct Term {
    pub(super) handle: LeadershipHandle,
    /// When it ends, by the clock, as it was last looked at.
    pub(super) until: Option<Instant>,
    /// It was looked at.
    pub(super) known: bool,
    pub(super) announced: bool,
    pub(super) told: bool,
    pub(super) over: bool,
    /// When it was over and not told so, by a clock that stands still while the machine sleeps.
    pub(super) over_since: Option<tokio::time::Instant>,
    /// Somebody has asked it to end.
    pub(super) asked: bool,
    /// How it was given up, where it was.
    pub(super) given_up: Option<Notice>,
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
        self.is_to_hand_over(None);
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
        look_at_terms(state, self, reading, settled, &mut told);
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
