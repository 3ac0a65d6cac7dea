//! A candidate that follows the rules of client-go's `leaderelection`, with its default timings,
//! as one that a fleet may have to live with.
//!
//! The rules, as far as they matter here: it tries every retry period; a record is waited out from
//! when it was last seen to change, for the local lease duration, unless it has no holder; the
//! retry period after a renewal was answered its leader tries again, and it goes on until no try
//! has succeeded for the renew deadline after that, whatever the tries showed; a call has no other
//! limit; the release is written over the record that was read last.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tenure_core::{
    Action, Belief, CallId, Command, Elector, Event, Instant, LossReason, MicroTime, Nonce, Notice,
    Now, Outcome, ResourceVersion, Status,
    lease::{LeaseWrite, Observed, Request, Spec, WriteMark},
};

const LEASE_DURATION: Duration = Duration::from_secs(15);
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY_PERIOD: Duration = Duration::from_secs(2);

pub(crate) struct ClientGo {
    identity: Arc<str>,
    now: Now,
    standing: bool,
    leads: Option<Term>,
    seen: Option<Observed>,
    seen_at: Instant,
    try_at: Instant,
    call: Option<(CallId, What)>,
    calls: u64,
    random: u64,
    queue: VecDeque<Action<Request>>,
}

struct Term {
    token: ResourceVersion,
    /// It stops when no try has succeeded until then.
    until: Instant,
    leaving: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Get,
    Create,
    Update,
    Release,
}

impl ClientGo {
    pub(crate) fn new(identity: Arc<str>, seed: u64) -> Self {
        Self {
            identity,
            now: Now::default(),
            standing: false,
            leads: None,
            seen: None,
            seen_at: Instant::default(),
            try_at: Instant::default(),
            call: None,
            calls: 0,
            random: seed,
            queue: VecDeque::new(),
        }
    }

    pub(super) fn identity(&self) -> Arc<str> {
        Arc::clone(&self.identity)
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Stand => self.standing = true,
            Command::Withdraw => self.standing = false,
            Command::StepDown | Command::HandOver { .. } => {
                let by = self.now.mono.after(RETRY_PERIOD);
                if let Some(term) = &mut self.leads
                    && !term.leaving
                {
                    // ReleaseOnCancel releases first, and only then stops.
                    term.leaving = true;
                    let reason = LossReason::SteppedDown;
                    self.queue
                        .push_back(Action::Notify(Notice::Stop { reason, by }));
                }
            }
            Command::WorkEnded { release } => {
                if self.leads.take().is_some() {
                    self.standing = false;
                    self.call = None;
                    if *release && self.seen.is_some() {
                        self.release();
                    } else {
                        self.queue.push_back(Action::Notify(Notice::Kept));
                    }
                }
            }
        }
    }

    fn answered(&mut self, id: CallId, outcome: Outcome<Observed>) {
        let Some((_, what)) = self.call.take_if(|(open, _)| *open == id) else {
            return;
        };
        match (what, outcome) {
            (What::Release, _) => self.queue.push_back(Action::Notify(Notice::Released)),
            (What::Get, Outcome::Done(observed)) => self.got(observed),
            (What::Get, Outcome::NotFound(_)) => {
                let write = self.record(0, None);
                self.call(What::Create, Request::Create(write));
            }
            (What::Create | What::Update, Outcome::Done(observed)) => self.succeeded(observed),
            // A failed update of a leader is followed by a read, as its slow path does it.
            (What::Update, _) if self.leads.is_some() => self.call(What::Get, Request::Read),
            _ => {}
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "it is used up here")]
    fn got(&mut self, observed: Observed) {
        self.observe(observed.clone());
        let holder = observed.spec.holder();
        let mine = holder == Some(&self.identity);
        let valid = self.now.mono < self.seen_at.after(LEASE_DURATION);
        if holder.is_some() && !mine && valid {
            return;
        }
        self.update(&observed);
    }

    fn update(&mut self, base: &Observed) {
        let spec = &base.spec;
        let mine = spec.holder() == Some(&self.identity);
        let mut write = self.record(spec.transitions.unwrap_or(0), spec.foreign.clone());
        if mine {
            write.spec.acquire_time = spec.acquire_time;
        } else {
            let next = write.spec.transitions.unwrap_or(0).saturating_add(1);
            write.spec.transitions = Some(next.min(i32::MAX.into()));
        }
        let base = base.version.clone();
        self.call(What::Update, Request::Replace { base, write });
    }

    fn release(&mut self) {
        let Some(base) = self.seen.clone() else {
            return;
        };
        let mut write = self.record(base.spec.transitions.unwrap_or(0), base.spec.foreign);
        write.spec.holder = Some("".into());
        write.spec.duration_seconds = Some(1);
        let base = base.version;
        self.call(What::Release, Request::Replace { base, write });
    }

    fn record(&self, transitions: i64, foreign: Option<Arc<str>>) -> LeaseWrite {
        let now = self.now.wall;
        let holder = Arc::clone(&self.identity);
        LeaseWrite {
            spec: Spec {
                holder: Some(Arc::clone(&holder)),
                duration_seconds: Some(15),
                acquire_time: Some(now),
                renew_time: Some(now),
                transitions: Some(transitions),
                foreign,
            },
            // The counter zero stands for no annotation of ours.
            mark: WriteMark {
                nonce: Nonce::new("none"),
                counter: 0,
                holder,
                duration_seconds: 15,
                renew_time: MicroTime::from_micros(0),
                released: false,
                successor: None,
            },
            acquires: false,
        }
    }

    fn succeeded(&mut self, observed: Observed) {
        let token = observed.version.resource_version.clone();
        self.observe(observed);
        let now = self.now.mono;
        if let Some(term) = &mut self.leads {
            self.try_at = now.after(RETRY_PERIOD);
            term.until = self.try_at.after(RENEW_DEADLINE);
        } else {
            // The loop that renews begins with a try.
            self.try_at = now;
            self.leads = Some(Term {
                token: token.clone(),
                until: now.after(RENEW_DEADLINE),
                leaving: false,
            });
            let term = 0;
            let again = false;
            self.queue
                .push_back(Action::Notify(Notice::Acquired { term, token, again }));
        }
    }

    fn observe(&mut self, observed: Observed) {
        let same = self
            .seen
            .as_ref()
            .is_some_and(|seen| seen.spec == observed.spec);
        if !same {
            self.seen_at = self.now.mono;
        }
        self.seen = Some(observed);
    }

    fn call(&mut self, what: What, request: Request) {
        self.calls += 1;
        let id = CallId(self.calls);
        self.call = Some((id, what));
        self.queue.push_back(Action::Call { id, request });
    }

    fn drive(&mut self) {
        let now = self.now.mono;
        if let Some(term) = self.leads.take_if(|term| now >= term.until) {
            if !term.leaving {
                let by = now;
                let reason = LossReason::Expired;
                self.queue
                    .push_back(Action::Notify(Notice::Stop { reason, by }));
            }
            self.call = None;
            self.standing = false;
            self.queue
                .push_back(Action::Notify(Notice::Lost(LossReason::Expired)));
        }
        let wanted = self.standing || self.leads.is_some();
        if self.call.is_some() || !wanted || now < self.try_at {
            return;
        }
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let jitter = Duration::from_nanos((self.random >> 33) % 2_400_000_000);
        self.try_at = now.after(match self.leads {
            Some(_) => RETRY_PERIOD,
            None => RETRY_PERIOD + jitter,
        });
        let seen = self.seen.clone();
        match seen {
            Some(seen) if self.leads.is_some() && seen.spec.holder() == Some(&self.identity) => {
                self.update(&seen);
            }
            _ => self.call(What::Get, Request::Read),
        }
    }
}

impl Elector for ClientGo {
    type Request = Request;
    type Answer = Observed;
    type Object = Observed;

    fn handle(&mut self, now: Now, event: Event<Observed, Observed>) {
        self.now = now;
        match event {
            Event::Command(command) => self.command(&command),
            Event::Answer { id, outcome } => self.answered(id, outcome),
            // It has no watch.
            Event::Tick | Event::Watch(_) | Event::WatchOpened | Event::WatchClosed => {}
        }
        self.drive();
    }

    fn poll(&mut self) -> Option<Action<Request>> {
        self.queue.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        let next = (self.call.is_none() && (self.standing || self.leads.is_some()))
            .then(|| self.try_at.max(self.now.mono));
        let end = self.leads.as_ref().map(|term| term.until);
        [next, end].into_iter().flatten().min()
    }

    fn belief(&self) -> Option<Belief> {
        self.leads.as_ref().map(|term| Belief {
            term: 0,
            token: term.token.clone(),
            valid_until: Some(term.until),
        })
    }

    fn status(&self) -> Status {
        match &self.leads {
            Some(term) => Status::Leading {
                term: 0,
                token: term.token.clone(),
                valid_until: Some(term.until),
            },
            None => Status::Standby {
                holder: None,
                error: None,
            },
        }
    }
}
