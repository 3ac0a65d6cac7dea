//! A candidate: the real elector, under a clock that runs at its own rate.

use tenure_core::{
    Action, CallId, Command, Elector, Event, Identity, Instant, LeaseTiming, MicroTime, Nonce,
    Notice, Now,
    lease::{LeaseConfig, LeaseElector, Observed, Request},
};

pub(crate) struct Candidate {
    pub(crate) elector: LeaseElector,
    /// Which start of this candidate's process it is.
    pub(crate) life: u64,
    /// True nanoseconds at which its clock read `offset`.
    offset: u64,
    rate: f64,
    /// Until then (true time) it does nothing.
    pub(crate) frozen_until: u64,
    /// Whether its work runs.
    pub(crate) working: bool,
}

/// What a candidate wants of the world.
#[allow(clippy::large_enum_variant, reason = "few of them live at a time")]
pub(crate) enum Wish {
    Send(CallId, Request),
    /// The work was told to end.
    Told,
    /// Its term is over.
    Over,
    Acquired,
}

impl Candidate {
    pub(crate) fn new(
        slot: usize,
        life: u64,
        timing: LeaseTiming,
        rate: f64,
        seed: u64,
        strict: bool,
    ) -> Self {
        let nonce = Nonce::new(format!("{slot}-{life}"));
        let identity = Identity::unique(&format!("c{slot}"), None, &nonce).expect("an identity");
        let config = LeaseConfig {
            identity,
            nonce,
            timing,
            wait_when_absent: strict,
            cooldown: std::time::Duration::ZERO,
            trust_remote_clock: None,
            spread_renewals: false,
            seed,
        };
        Self {
            elector: LeaseElector::new(config),
            life,
            offset: 1_000_000_000 * (slot as u64 + 1),
            rate,
            frozen_until: 0,
            working: false,
        }
    }

    /// What its clock reads at a true time.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    pub(crate) fn reads(&self, truth: u64) -> Instant {
        Instant::from_nanos(self.offset + (truth as f64 * self.rate) as u64)
    }

    /// The true time at which its clock reads this, rounded up.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    pub(crate) fn truth(&self, reading: Instant) -> u64 {
        (reading.as_nanos().saturating_sub(self.offset) as f64 / self.rate) as u64 + 1
    }

    /// Whether `is_leading()` would be true at that true time.
    pub(crate) fn believes(&self, truth: u64) -> bool {
        let now = self.reads(truth);
        self.elector
            .belief()
            .is_some_and(|belief| belief.valid_until.is_none_or(|end| now < end))
    }

    pub(crate) fn handle(&mut self, truth: u64, event: Event<Observed, Observed>) -> Vec<Wish> {
        let wall = i64::try_from(truth / 1000).expect("a short run");
        let now = Now {
            mono: self.reads(truth),
            wall: MicroTime::from_micros(wall),
        };
        self.elector.handle(now, event);
        let mut wishes = Vec::new();
        while let Some(action) = self.elector.poll() {
            match action {
                Action::Call { id, request } => wishes.push(Wish::Send(id, request)),
                Action::Notify(Notice::Acquired { .. }) => {
                    self.working = true;
                    wishes.push(Wish::Acquired);
                }
                Action::Notify(Notice::Stop { .. }) => wishes.push(Wish::Told),
                Action::Notify(
                    Notice::Lost(_)
                    | Notice::Released
                    | Notice::ReleaseFailed { .. }
                    | Notice::Kept,
                ) => {
                    self.working = false;
                    wishes.push(Wish::Over);
                }
                Action::Notify(_) => {}
            }
        }
        wishes
    }

    pub(crate) fn command(&mut self, truth: u64, command: Command) -> Vec<Wish> {
        self.handle(truth, Event::Command(command))
    }
}
