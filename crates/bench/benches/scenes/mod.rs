//! What is timed and counted of the protocol's core: two candidates for one Lease, a clock that is
//! set by hand, and a server that does what it is asked.

use std::hint::black_box;
use std::time::Duration;

use tenure_core::{
    Action, Command, Elector as _, Event, Identity, Instant, LeaseTiming, MicroTime, Nonce, Now,
    Outcome, Sight, Version,
    lease::{LeaseConfig, LeaseElector, Observed, Request},
};

/// A leader and one who stands by, both with a watch.
pub(crate) struct Pair {
    leader: LeaseElector,
    standby: LeaseElector,
    server: Server,
    now: Instant,
}

impl Pair {
    /// The first leads, the second has seen it.
    pub(crate) fn new() -> Self {
        let mut pair = Self {
            leader: candidate("leader"),
            standby: candidate("standby"),
            server: Server::default(),
            now: Instant::from_nanos(1_000_000_000),
        };
        for elector in [&mut pair.leader, &mut pair.standby] {
            pair.server.give(elector, pair.now, Event::WatchOpened);
            let stand = Event::Command(Command::Stand);
            pair.server.give(elector, pair.now, stand);
        }
        assert!(pair.leader.belief().is_some() && pair.standby.belief().is_none());
        pair
    }

    /// The leader's turn: its timer, its write, the answer.
    #[inline(never)]
    pub(crate) fn counted_renewal(&mut self) {
        self.renew();
    }

    /// The same, not counted.
    pub(crate) fn renew(&mut self) {
        if let Some(due) = black_box(self.leader.deadline()) {
            self.now = self.now.max(due);
        }
        self.server.give(&mut self.leader, self.now, Event::Tick);
    }

    /// The standby is shown what the leader wrote.
    #[inline(never)]
    pub(crate) fn counted_sight(&mut self) {
        let Some(lease) = self.server.lease.clone() else {
            return;
        };
        let event = Event::Watch(Sight::Seen(lease));
        self.server.give(&mut self.standby, self.now, event);
    }

    /// How often the server has written.
    pub(crate) fn writes(&self) -> u64 {
        self.server.writes
    }

    /// Whether the first has led to this day.
    pub(crate) fn leads(&self) -> bool {
        self.leader.belief().is_some()
    }
}

#[derive(Default)]
struct Server {
    lease: Option<Observed>,
    writes: u64,
}

impl Server {
    /// Hands the event in, and answers at once whatever is asked then.
    fn give(
        &mut self,
        elector: &mut LeaseElector,
        mono: Instant,
        event: Event<Observed, Observed>,
    ) {
        let wall = MicroTime::from_micros(i64::try_from(mono.as_nanos() / 1000).unwrap_or(0));
        let now = Now { mono, wall };
        elector.handle(now, event);
        while let Some(action) = elector.poll() {
            match black_box(action) {
                Action::Call { id, request } => {
                    let outcome = self.answer(request);
                    elector.handle(now, Event::Answer { id, outcome });
                }
                Action::Notify(_) => {}
            }
        }
    }

    fn answer(&mut self, request: Request) -> Outcome<Observed> {
        let (base, write) = match (request, &self.lease) {
            (Request::Read, Some(lease)) => return Outcome::Done(lease.clone()),
            (Request::Read, None) => return Outcome::NotFound("not found".into()),
            (Request::Create(_), Some(_)) => return Outcome::AlreadyExists,
            (Request::Create(write), None) => (None, write),
            (Request::Replace { base, write }, _) => (Some(base), write),
        };
        if base.as_ref() != self.lease.as_ref().map(|lease| &lease.version) {
            return Outcome::Conflict;
        }
        self.writes += 1;
        let lease = Observed {
            version: Version::new("uid", self.writes.to_string()),
            spec: write.spec,
            mark: Some(write.mark),
            step_down: None,
            paused: None,
        };
        self.lease = Some(lease.clone());
        Outcome::Done(lease)
    }
}

fn candidate(name: &str) -> LeaseElector {
    LeaseElector::new(LeaseConfig {
        identity: Identity::fixed(name).expect("a name that holds"),
        nonce: Nonce::new(name),
        timing: LeaseTiming::default(),
        wait_when_absent: false,
        cooldown: Duration::ZERO,
        trust_remote_clock: None,
        spread_renewals: false,
        seed: 1,
    })
}
