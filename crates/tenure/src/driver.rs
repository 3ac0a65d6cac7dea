//! One task, one `select!`: the clock, the API and the core. Nothing is decided here.
//!
//! The one thing this file has to get right is the order of the core's manual: read the clocks,
//! hand the event in, **publish belief**, then carry out the actions.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::StreamExt;
use tenure_core::{
    Action, Belief, CallId, Command, Elector, Event, Instant, LossReason, Notice, Now, Status,
};
use tokio::sync::{oneshot, watch};

use crate::{
    candidacy::Candidacy,
    holders::Holders,
    leadership::{Leadership, Released},
    lock::{Lock, ReplyOf, Watched},
    orders::{Arriving, Order, WeakOrders},
    published::Term,
    telling::Telling,
    under_way::UnderWay,
    warm::{BeforeTurn, Warmth},
};

/// What an election looks like from outside.
pub(crate) struct Outside {
    pub(crate) status: watch::Sender<Status>,
    pub(crate) holders: Arc<Holders>,
}

pub(crate) struct Driver<L: Lock> {
    lock: L,
    warmth: Warmth,
    before_turn: BeforeTurn,
    warming: UnderWay<(), ()>,
    elector: L::Elector,
    orders: Arriving,
    /// For the leaderships that are handed out. Weak: the election ends with its last handle.
    order_sender: WeakOrders,
    outside: Outside,
    candidacy: Arc<Candidacy>,
    /// Whether ended work frees the lock.
    release: bool,
    release_on_drop: bool,
    grace: Duration,
    waiting: VecDeque<oneshot::Sender<Leadership>>,
    calls: UnderWay<CallId, ReplyOf<L>>,
    term: Option<Arc<Term>>,
    /// Terms whose leadership was given back, until the core says what became of the lock.
    ending: Option<Arc<Term>>,
    telling: Telling,
}

/// What a driver is made of.
pub(crate) struct Parts<L: Lock> {
    pub(crate) lock: L,
    pub(crate) warmth: Warmth,
    pub(crate) elector: L::Elector,
    pub(crate) orders: Arriving,
    pub(crate) order_sender: WeakOrders,
    pub(crate) outside: Outside,
    pub(crate) candidacy: Arc<Candidacy>,
    pub(crate) release: bool,
    pub(crate) release_on_drop: bool,
    pub(crate) grace: Duration,
    pub(crate) telling: Telling,
}

type EventOf<L> =
    Event<<<L as Lock>::Elector as Elector>::Answer, <<L as Lock>::Elector as Elector>::Object>;

/// A driver that sleeps for longer looks at its clock in between: timers stop while a machine is
/// suspended, the clock that leadership is judged by does not (L4).
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

impl<L: Lock> Driver<L> {
    pub(crate) fn new(parts: Parts<L>) -> Box<Self> {
        let Parts {
            lock,
            warmth,
            elector,
            orders,
            order_sender,
            outside,
            candidacy,
            release,
            release_on_drop,
            grace,
            telling,
        } = parts;
        Box::new(Self {
            lock,
            warmth,
            before_turn: BeforeTurn::default(),
            warming: UnderWay::new(),
            elector,
            orders,
            order_sender,
            outside,
            candidacy,
            release,
            release_on_drop,
            grace,
            waiting: VecDeque::new(),
            calls: UnderWay::new(),
            term: None,
            ending: None,
            telling,
        })
    }

    /// Run until the last handle of the election is gone.
    ///
    /// Boxed: the future of a method that takes `self` has room for it twice.
    pub(crate) async fn run(mut self: Box<Self>) {
        let mut watch = self.lock.watch();
        let mut open = true;
        self.show_whether_it_stands();
        // After its last handle a driver finishes what is under way, such as a release.
        while open || self.term.is_some() || self.ending.is_some() || !self.calls.is_empty() {
            let sleep_until = self.sleep_until();
            self.candidacy.pulse.set(sleep_until);
            let clock = self.candidacy.clock.clone();
            let event: Option<EventOf<L>> = tokio::select! {
                biased;
                () = clock.sleep_until(sleep_until) => Some(Event::Tick),
                order = self.orders.next(), if open => if let Some(order) = order {
                    self.order(order)
                } else {
                    open = false;
                    Some(Event::Command(Command::Withdraw))
                },
                (id, reply) = self.calls.next(), if !self.calls.is_empty() => {
                    let outcome = reply.and_then(|reply| self.lock.answer(reply));
                    Some(Event::Answer { id, outcome })
                }
                Some(watched) = watch.next() => self.watched(watched),
                ((), ()) = self.warming.next(), if !self.warming.is_empty() => None,
            };
            if let Some(event) = event {
                self.feed(event);
            }
            self.show_whether_it_stands();
            self.keep_warm();
        }
        self.end();
        self.telling.finish().await;
    }

    fn show_whether_it_stands(&mut self) {
        let leads = self.term.is_some();
        let stands = leads || self.ending.is_some() || !self.waiting.is_empty();
        self.telling.stands(stands, leads);
    }

    fn keep_warm(&mut self) {
        let now = self.candidacy.clock.mono();
        if let Some(question) = self.warmth.ask(now) {
            self.warming.push((), Box::pin(question));
        }
        let turn = self.elector.turn();
        if let Some(question) = self.before_turn.ask(&self.warmth, turn, now) {
            self.warming.push((), Box::pin(question));
        }
    }

    fn sleep_until(&mut self) -> Instant {
        let now = self.candidacy.clock.mono();
        let longest = now.after(LONGEST_SLEEP);
        let dues = [
            self.elector.deadline(),
            self.warmth.due(),
            self.before_turn.due(self.elector.turn(), now),
        ];
        dues.into_iter().flatten().fold(longest, Instant::min)
    }

    fn feed(&mut self, event: EventOf<L>) {
        // The order of these two readings is rule L1's.
        let mono = self.candidacy.clock.mono();
        let wall = self.candidacy.clock.wall();
        self.elector.handle(Now { mono, wall }, event);
        self.publish();
        if let Some(newest) = self.elector.newest() {
            self.lock.taken_in(newest);
        }
        while let Some(action) = self.elector.poll() {
            match action {
                Action::Call { id, request } => {
                    self.warmth.used(mono);
                    let call = self.lock.call(request);
                    self.calls.push(id, call);
                }
                Action::Notify(notice) => self.notify(notice, mono),
            }
        }
    }

    /// Belief first: it is over before the first byte of a release leaves (L10).
    fn publish(&mut self) {
        match (self.elector.belief(), &self.term) {
            (Some(belief), Some(term)) => term.publish(&belief),
            (Some(belief), None) => self.begin_term(&belief),
            (None, Some(_)) => {
                if let Some(term) = self.term.take() {
                    term.end_belief();
                    self.ending = Some(term);
                    self.telling.belief_over();
                }
            }
            (None, None) => {}
        }
        let status = self.elector.status();
        self.outside.status.send_if_modified(|shown| {
            let changed = *shown != status;
            if changed {
                *shown = status;
            }
            changed
        });
    }

    fn begin_term(&mut self, belief: &Belief) {
        let candidacy = Arc::clone(&self.candidacy);
        self.term = Some(Arc::new(Term::new(belief, candidacy)));
    }

    fn notify(&mut self, notice: Notice, now: Instant) {
        self.telling.tell(&notice, || self.lock.uid());
        match notice {
            Notice::Acquired { .. } => self.hand_out(),
            Notice::Holder(holder) => {
                self.outside.holders.tell(holder);
            }
            Notice::Stop { reason, by } => {
                if let Some(term) = self.term.as_ref().or(self.ending.as_ref()) {
                    term.tell(reason, by);
                }
            }
            Notice::Lost(reason) => {
                if let Some(term) = self.ending.take() {
                    term.tell(reason, now.after(self.grace));
                    term.settle(Released::Lost);
                }
                self.count_waiting();
            }
            Notice::Released => self.settle(Released::Free),
            Notice::Kept => self.settle(Released::Kept),
            Notice::ReleaseFailed { error } => self.settle(Released::Failed(error)),
            _ => {}
        }
    }

    /// What became of the lock of the term that was given up.
    fn settle(&mut self, released: Released) {
        if let Some(term) = self.ending.take() {
            term.settle(released);
        }
        self.count_waiting();
    }

    /// Give the new term to the one who has waited longest and still waits.
    fn hand_out(&mut self) {
        let (Some(term), Some(orders)) = (self.term.clone(), self.order_sender.upgrade()) else {
            return;
        };
        let mut leadership = Leadership::new(term, orders, self.release_on_drop);
        while let Some(waiting) = self.waiting.pop_front() {
            match waiting.send(leadership) {
                Ok(()) => return,
                Err(back) => leadership = back,
            }
        }
        // Nobody waits any more.
        drop(leadership.release());
    }

    fn order(&mut self, order: Order) -> Option<EventOf<L>> {
        match order {
            Order::Acquire(waiting) => {
                self.waiting.push_back(waiting);
                self.wanted()
            }
            Order::Recount => {
                self.waiting.retain(|waiting| !waiting.is_closed());
                if self.waiting.is_empty() {
                    Some(Event::Command(Command::Withdraw))
                } else {
                    None
                }
            }
            Order::WorkEnded { term, release } => {
                let current = self
                    .term
                    .as_ref()
                    .is_some_and(|now| Arc::ptr_eq(now, &term));
                let ending = self
                    .ending
                    .as_ref()
                    .is_some_and(|now| Arc::ptr_eq(now, &term));
                if current {
                    let release = release && self.release;
                    return Some(Event::Command(Command::WorkEnded { release }));
                }
                if !ending {
                    // Lost before: there is nothing to give up.
                    term.settle(Released::Lost);
                }
                None
            }
            Order::StepDown { term, to } => {
                let asked = self
                    .term
                    .as_ref()
                    .filter(|now| term.as_ref().is_none_or(|term| Arc::ptr_eq(now, term)));
                let command = to.map_or(Command::StepDown, |to| Command::HandOver { to });
                asked.map(|_| Event::Command(command))
            }
        }
    }

    /// Stand, if somebody waits and no term is on.
    fn wanted(&mut self) -> Option<EventOf<L>> {
        self.waiting.retain(|waiting| !waiting.is_closed());
        let stand = !self.waiting.is_empty() && self.term.is_none();
        stand.then_some(Event::Command(Command::Stand))
    }

    /// A term has ended: whoever waits for the next one stands now.
    fn count_waiting(&mut self) {
        if let Some(event) = self.wanted() {
            let (mono, wall) = (self.candidacy.clock.mono(), self.candidacy.clock.wall());
            self.elector.handle(Now { mono, wall }, event);
            self.publish();
        }
    }

    fn watched(&mut self, watched: Watched) -> Option<EventOf<L>> {
        match watched {
            Watched::Opened => {
                self.telling.watch_opened();
                Some(Event::WatchOpened)
            }
            Watched::Closed { error, forbidden } => {
                self.telling.watch_closed(error, forbidden);
                Some(Event::WatchClosed)
            }
            Watched::Seen(sent) => self.lock.sight(&sent, false).map(Event::Watch),
            Watched::Gone(sent) => self.lock.sight(&sent, true).map(Event::Watch),
        }
    }

    fn end(&mut self) {
        for term in [self.term.take(), self.ending.take()].into_iter().flatten() {
            term.end_belief();
            term.tell(LossReason::Abandoned, self.candidacy.clock.mono());
            term.settle(Released::Lost);
        }
    }
}

impl<L: Lock> Drop for Driver<L> {
    /// A driver that panics or whose runtime ends leaves nobody believing.
    fn drop(&mut self) {
        self.end();
    }
}
