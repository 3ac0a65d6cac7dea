//! One candidate on a bench: its clock is set by hand, its calls are answered by hand.

use std::time::Duration;

use tenure_core::{
    Action, CallId, Command, Elector, Event, Identity, Instant, LeaseTiming, MicroTime, Nonce,
    Notice, Now, Outcome, Sight, Version,
    lease::{LeaseConfig, LeaseElector, LeaseWrite, Observed, Request, Spec, WriteMark},
};

pub(crate) const ME: &str = "me";
/// Where the bench's clock starts.
pub(crate) const START: u64 = 1000;
/// More than any test hands in: a test whose loop would never end fails instead.
const MOST_EVENTS: u32 = 100_000;

pub(crate) struct Bench {
    pub(crate) elector: LeaseElector,
    /// Milliseconds since the start.
    pub(crate) now: u64,
    pub(crate) calls: Vec<(CallId, Request)>,
    pub(crate) notices: Vec<Notice>,
    events: u32,
    /// The write by which it leads, where it began as a leader.
    acquired: Option<LeaseWrite>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(LeaseTiming::default(), false)
    }

    pub(crate) fn with(timing: LeaseTiming, wait_when_absent: bool) -> Self {
        Self::of(LeaseConfig {
            timing,
            wait_when_absent,
            ..config()
        })
    }

    pub(crate) fn of(config: LeaseConfig) -> Self {
        Self {
            elector: LeaseElector::new(config),
            now: 0,
            calls: Vec::new(),
            notices: Vec::new(),
            events: 0,
            acquired: None,
        }
    }

    pub(crate) fn give(&mut self, event: Event<Observed, Observed>) {
        let mono = Instant::from_nanos((START + self.now) * 1_000_000);
        self.give_at(mono, event);
    }

    /// Wake the elector at exactly this moment, which need not be a whole millisecond.
    pub(crate) fn wake(&mut self, at: Instant) {
        self.now = at.as_nanos().div_ceil(1_000_000).saturating_sub(START);
        self.give_at(at, Event::Tick);
    }

    fn give_at(&mut self, mono: Instant, event: Event<Observed, Observed>) {
        self.events += 1;
        assert!(self.events < MOST_EVENTS, "no end at {} ms", self.now);
        let wall = MicroTime::from_micros(i64::try_from(self.now).expect("small") * 1000);
        self.elector.handle(Now { mono, wall }, event);
        while let Some(action) = self.elector.poll() {
            match action {
                Action::Call { id, request } => self.calls.push((id, request)),
                Action::Notify(notice) => self.notices.push(notice),
            }
        }
    }

    /// Let time pass up to `now`, waking the elector whenever it wants to be woken.
    pub(crate) fn until(&mut self, now: u64) {
        assert!(now < u64::MAX, "nothing is due");
        for _ in 0..10_000 {
            let due = self.due();
            if due > now {
                self.now = now;
                return;
            }
            self.now = self.now.max(due);
            self.give(Event::Tick);
        }
        panic!(
            "the elector wants to be woken without end at {} ms",
            self.now
        );
    }

    pub(crate) fn due(&self) -> u64 {
        self.elector.deadline().map_or(u64::MAX, |at| {
            at.as_nanos().div_ceil(1_000_000).saturating_sub(START)
        })
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.give(Event::Command(command));
    }

    pub(crate) fn watch(&mut self, observed: Observed) {
        self.give(Event::Watch(Sight::Seen(observed)));
    }

    pub(crate) fn gone(&mut self, uid: &str, rv: u64) {
        self.give(Event::Watch(Sight::Gone(Version::new(uid, rv.to_string()))));
    }

    pub(crate) fn answer(&mut self, id: CallId, outcome: Outcome<Observed>) {
        self.give(Event::Answer { id, outcome });
    }

    /// The one call that waits for an answer.
    pub(crate) fn call(&mut self) -> (CallId, Request) {
        assert_eq!(
            self.calls.len(),
            1,
            "L16: one call at a time: {:?}",
            self.calls
        );
        self.calls.remove(0)
    }

    pub(crate) fn read_is(&mut self, outcome: Outcome<Observed>) {
        let (id, request) = self.call();
        assert_eq!(request, Request::Read);
        self.answer(id, outcome);
    }

    /// The write that waits for an answer: what it replaces, and what it puts there.
    pub(crate) fn write(&mut self) -> (CallId, Option<Version>, LeaseWrite) {
        match self.call() {
            (id, Request::Create(write)) => (id, None, write),
            (id, Request::Replace { base, write }) => (id, Some(base), write),
            (_, Request::Read) => panic!("a read, not a write"),
        }
    }

    /// Stand, with a watch, before a Lease that looks like this.
    pub(crate) fn stand_before(&mut self, outcome: Outcome<Observed>) {
        self.give(Event::WatchOpened);
        self.command(Command::Stand);
        self.read_is(outcome);
    }

    /// Let time pass until the next call is made.
    pub(crate) fn until_a_call(&mut self) {
        while self.calls.is_empty() {
            self.until(self.due());
        }
    }

    /// A leader since `now`, by a takeover whose answer carried this resourceVersion.
    pub(crate) fn leading(rv: u64) -> Self {
        Self::new().lead(rv)
    }

    /// The same, from one that has been made.
    pub(crate) fn lead(self, rv: u64) -> Self {
        let mut bench = self;
        bench.stand_before(Outcome::Done(released("u", 5)));
        let (id, _, write) = bench.write();
        bench.answer(id, Outcome::Done(stored(&write, "u", rv)));
        assert!(bench.leads());
        bench.notices.clear();
        bench.acquired = Some(write);
        bench
    }

    /// The acquiring write of one who began as a leader, as the server has it.
    pub(crate) fn present(&self, rv: u64) -> Observed {
        stored(self.acquired.as_ref().expect("a leader"), "u", rv)
    }

    pub(crate) fn leads(&self) -> bool {
        let now = Instant::from_nanos((START + self.now) * 1_000_000);
        self.elector
            .belief()
            .is_some_and(|belief| belief.valid_until.is_none_or(|end| now < end))
    }

    pub(crate) fn told(&self, fits: impl Fn(&Notice) -> bool) -> bool {
        self.notices.iter().any(fits)
    }
}

pub(crate) fn config() -> LeaseConfig {
    LeaseConfig {
        identity: Identity::fixed(ME).expect("an identity"),
        nonce: Nonce::new("my-process"),
        timing: LeaseTiming::default(),
        wait_when_absent: false,
        cooldown: Duration::ZERO,
        trust_remote_clock: None,
        spread_renewals: false,
        seed: 1,
    }
}

/// A write as the server stored it.
pub(crate) fn stored(write: &LeaseWrite, uid: &str, rv: u64) -> Observed {
    Observed {
        version: Version::new(uid, rv.to_string()),
        spec: write.spec.clone(),
        mark: Some(write.mark.clone()),
        step_down: None,
        paused: None,
    }
}

/// A Lease held by somebody who writes no annotation.
pub(crate) fn foreign(holder: &str, seconds: i64, rv: u64) -> Observed {
    Observed {
        version: Version::new("u", rv.to_string()),
        spec: Spec {
            holder: Some(holder.into()),
            duration_seconds: Some(seconds),
            acquire_time: Some(MicroTime::from_micros(1)),
            renew_time: Some(MicroTime::from_micros(i64::try_from(rv).expect("small"))),
            transitions: Some(3),
            foreign: None,
        },
        mark: None,
        step_down: None,
        paused: None,
    }
}

/// A Lease held by another process of ours.
pub(crate) fn held(process: &str, seconds: u32, rv: u64) -> Observed {
    let mut held = foreign(process, seconds.into(), rv);
    held.mark = Some(WriteMark {
        nonce: Nonce::new(process),
        counter: rv,
        holder: process.into(),
        duration_seconds: seconds,
        renew_time: held.spec.renew_time.expect("set above"),
        released: false,
        successor: None,
    });
    held
}

/// A Lease that another process of ours gave up.
pub(crate) fn released(uid: &str, rv: u64) -> Observed {
    let mut free = held("other", 15, rv);
    free.version = Version::new(uid, rv.to_string());
    free.spec.holder = Some("".into());
    free.spec.duration_seconds = Some(1);
    if let Some(mark) = &mut free.mark {
        mark.holder = "".into();
        mark.released = true;
    }
    free
}

pub(crate) fn unknown() -> Outcome<Observed> {
    Outcome::Unknown("no answer".into())
}

pub(crate) fn absent() -> Outcome<Observed> {
    Outcome::NotFound("no such lease".into())
}

pub(crate) fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}
