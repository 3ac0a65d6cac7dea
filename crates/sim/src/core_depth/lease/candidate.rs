//! A candidate for a Lease: ours, or one that follows client-go's rules.

use std::sync::Arc;

use tenure_core::{
    Action, Belief, Elector, Event, Identity, Instant, Nonce, Now, Status,
    lease::{LeaseConfig, LeaseElector, Observed, Request},
};

use crate::clock::Nanos;

use super::{
    super::model::{Newcomer, pod_name},
    client_go::ClientGo,
};

#[allow(
    clippy::large_enum_variant,
    reason = "there are four of them in a run, and they stay where they are"
)]
pub(crate) enum LeaseCandidate {
    Ours(LeaseElector, LeaseConfig),
    Foreign(ClientGo),
}

impl LeaseCandidate {
    pub(super) fn new(newcomer: &Newcomer<'_>, identities: &[Arc<str>]) -> Self {
        let seat = &newcomer.plan.seats[newcomer.seat];
        let name = pod_name(newcomer.seat);
        if seat.foreign {
            let id = newcomer.process.0;
            return Self::Foreign(ClientGo::new(
                format!("{name}_go-{id}").into(),
                newcomer.seed,
            ));
        }
        let nonce = Nonce::new(format!("n{}", newcomer.process.0));
        let twin = newcomer.twin_of.map(|twin| &identities[twin.0 as usize]);
        let identity = match twin {
            Some(identity) => Identity::fixed(identity),
            None if seat.fixed_identity => Identity::fixed(&name),
            None => Identity::unique(&name, None, &nonce),
        };
        let config = LeaseConfig {
            identity: identity.expect("a name that can be written"),
            nonce,
            timing: seat.timing.lease(),
            wait_when_absent: newcomer.plan.strict,
            cooldown: seat.cooldown,
            trust_remote_clock: seat.max_skew,
            spread_renewals: seat.in_set,
            seed: newcomer.seed,
        };
        Self::Ours(LeaseElector::new(config.clone()), config)
    }

    pub(super) fn identity(&self) -> Arc<str> {
        match self {
            Self::Ours(_, config) => config.identity.as_str().into(),
            Self::Foreign(foreign) => foreign.identity(),
        }
    }

    pub(super) fn nonce(&self) -> Arc<str> {
        match self {
            Self::Ours(_, config) => config.nonce.as_str().into(),
            Self::Foreign(foreign) => foreign.identity(),
        }
    }

    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(..))
    }

    pub(super) fn grace(&self) -> Nanos {
        match self {
            Self::Ours(_, config) => {
                u64::try_from(config.timing.grace().as_nanos()).unwrap_or(u64::MAX)
            }
            Self::Foreign(_) => 0,
        }
    }
}

impl Elector for LeaseCandidate {
    type Request = Request;
    type Answer = Observed;
    type Object = Observed;

    fn handle(&mut self, now: Now, event: Event<Observed, Observed>) {
        match self {
            Self::Ours(elector, _) => elector.handle(now, event),
            Self::Foreign(foreign) => foreign.handle(now, event),
        }
    }

    fn poll(&mut self) -> Option<Action<Request>> {
        match self {
            Self::Ours(elector, _) => elector.poll(),
            Self::Foreign(foreign) => foreign.poll(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Ours(elector, _) => elector.deadline(),
            Self::Foreign(foreign) => foreign.deadline(),
        }
    }

    fn belief(&self) -> Option<Belief> {
        match self {
            Self::Ours(elector, _) => elector.belief(),
            Self::Foreign(foreign) => foreign.belief(),
        }
    }

    fn status(&self) -> Status {
        match self {
            Self::Ours(elector, _) => elector.status(),
            Self::Foreign(foreign) => foreign.status(),
        }
    }
}
