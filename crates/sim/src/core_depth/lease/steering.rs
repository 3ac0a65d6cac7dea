//! People who ask the candidates for something, by annotations on the Lease (L25, L26).

use std::sync::Arc;

use tenure_core::{Paused, Sight, StepDown, Uid, lease::Observed};

use crate::{
    fault::{Fault, FaultKind},
    rng::Rng,
    trace::{Author, Happening, Write},
};

use super::{
    super::model::{Desk, pod_name},
    LeaseModel,
    server::{Asks as _, Requests, Stored},
};

impl LeaseModel {
    /// Somebody asks for something. False where there is nothing to be asked of.
    pub(super) fn steer(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        let Some(lease) = self.server.lease() else {
            return false;
        };
        let mut requests = lease.observed.requests();
        let mut rng = Rng::new(fault.salt, 45);
        let by: Arc<str> = format!("person-{}", fault.id).into();
        match fault.kind {
            FaultKind::AskStepDown => {
                let Some(asked) = true_request(&lease.observed, by) else {
                    return false;
                };
                let to = self.somebody(&mut rng);
                requests.step_down = Some(Box::new(StepDown { to, ..asked }));
            }
            FaultKind::AskNobody => {
                let asked = self.untrue_request(&lease.observed, by, &mut rng);
                requests.step_down = Some(Box::new(asked));
            }
            _ => {
                // What cannot be read says nothing, and is a pause all the same.
                let paused = if rng.chance(300) {
                    Paused::default()
                } else {
                    let reason = "moving house".into();
                    Paused { by, reason }
                };
                requests.paused = Some(Box::new(paused));
            }
        }
        self.ask(desk, requests)
    }

    /// Whatever is paused is no longer.
    pub(super) fn resume(&mut self, desk: &mut Desk<Self>) -> bool {
        let Some(lease) = self.server.lease() else {
            return false;
        };
        let requests = Requests {
            paused: None,
            ..lease.observed.requests()
        };
        self.ask(desk, requests)
    }

    fn ask(&mut self, desk: &mut Desk<Self>, requests: Requests) -> bool {
        let before = self.server.lease().map(Stored::snapshot);
        let since = self.server.lease().map_or(desk.now, |lease| lease.since);
        let Some(observed) = self.server.annotate(desk.now, requests) else {
            return false;
        };
        desk.tell(Happening::Wrote(Write {
            by: Author::Person,
            base: None,
            before,
            after: self.server.lease().map(Stored::snapshot),
            since,
            sent: desk.now,
            warrant: None,
        }));
        desk.news.push(Sight::Seen(observed));
        true
    }

    /// Whom a request names as the successor, where it names anybody.
    fn somebody(&self, rng: &mut Rng) -> Option<Arc<str>> {
        match rng.below(6) {
            0 => Some("nobody-of-that-name".into()),
            1 => Some(pod_name(rng.index(4))),
            2 => self.anybody(rng),
            _ => None,
        }
    }

    fn anybody(&self, rng: &mut Rng) -> Option<Arc<str>> {
        self.identities
            .get(rng.index(self.identities.len()))
            .cloned()
    }

    /// A request that is none to the present term: an earlier term's, another holder's, another
    /// object's, or one that names no term.
    fn untrue_request(&self, now: &Observed, by: Arc<str>, rng: &mut Rng) -> StepDown {
        let present = true_request(now, Arc::clone(&by)).unwrap_or(StepDown {
            holder: "nobody".into(),
            transitions: now.spec.transitions,
            uid: now.version.uid.clone(),
            to: None,
            by: Arc::clone(&by),
        });
        let earlier = StepDown {
            transitions: Some(present.transitions.unwrap_or(0) - 1),
            ..present.clone()
        };
        match rng.below(5) {
            0 => earlier,
            1 => {
                let state = self.server.copy(rng.next_u64());
                let asked = state.and_then(|state| true_request(state, by));
                let of_now = |asked: &StepDown| {
                    asked.holder == present.holder && asked.transitions == present.transitions
                };
                asked.filter(|asked| !of_now(asked)).unwrap_or(earlier)
            }
            2 => {
                let other = self.anybody(rng).filter(|other| *other != present.holder);
                let holder = other.unwrap_or_else(|| "somebody-else".into());
                StepDown { holder, ..present }
            }
            3 => StepDown {
                uid: Uid::new("lease-of-another-name"),
                ..present
            },
            _ => StepDown {
                transitions: None,
                ..present
            },
        }
    }
}

/// What a person writes who has read this, as `tenure step-down` does.
fn true_request(read: &Observed, by: Arc<str>) -> Option<StepDown> {
    Some(StepDown {
        holder: Arc::clone(read.spec.holder()?),
        transitions: read.spec.transitions,
        uid: read.version.uid.clone(),
        to: None,
        by,
    })
}
