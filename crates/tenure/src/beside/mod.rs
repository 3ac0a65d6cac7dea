//! What an election does besides leading, where it is asked for: Kubernetes Events of its terms, and
//! labels on the own Pod.
//!
//! The driver says what is the case, without waiting for anything and without an answer. Tasks of their
//! own carry it to the API server; they are started when there is something to carry, and end with the
//! driver, at the latest [`FAREWELL`] after it has said its last word.

mod events;
mod labels;

use std::{sync::Arc, time::Duration};

use tenure_core::{Instant, LossReason, MicroTime, ResourceVersion, Uid};

use self::{events::Reporter, labels::Labeller};
pub(crate) use self::{
    events::{About, End},
    labels::{CANDIDATE_LABEL, LabelPlan},
};
use crate::{clock::SharedClock, wire::Wire};

/// How long what was said last has, to reach the API server, once the election has ended.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(5);

/// A Pod, as other objects name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodRef {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: Option<String>,
}

/// What is wanted besides leading.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) events: Option<About>,
    pub(crate) labels: Option<LabelPlan>,
}

/// What is done besides leading.
pub(crate) struct Beside {
    clock: SharedClock,
    events: Option<Reporter>,
    labels: Option<Labeller>,
}

impl Plan {
    /// `None` where nothing is wanted, which costs nothing.
    pub(crate) fn over(self, wire: &Wire, clock: &SharedClock) -> Option<Box<Beside>> {
        if self.events.is_none() && self.labels.is_none() {
            return None;
        }
        Some(Box::new(Beside {
            clock: clock.clone(),
            events: self.events.map(|about| Reporter::new(about, wire.clone())),
            labels: self.labels.map(|plan| Labeller::new(plan, wire.clone())),
        }))
    }
}

impl Beside {
    /// A term has begun, with this object as its lock.
    pub(crate) fn began(
        &mut self,
        lock: Option<Uid>,
        term: u64,
        token: &ResourceVersion,
        again: bool,
    ) {
        let (mono, wall) = self.readings();
        if let Some(events) = &mut self.events {
            events.began(mono, wall, lock, term, token, again);
        }
    }

    /// The work was told to end.
    pub(crate) fn stopping(&mut self, reason: &LossReason) {
        if let Some(events) = &mut self.events {
            events.stopping(reason);
        }
    }

    /// Nobody here believes any more.
    pub(crate) fn belief_over(&mut self) {
        let (_, wall) = self.readings();
        if let Some(events) = &mut self.events {
            events.belief_over(wall);
        }
    }

    /// The term has ended, in this way.
    pub(crate) fn over(&mut self, end: &End) {
        let (_, wall) = self.readings();
        if let Some(events) = &mut self.events {
            events.over(wall, end);
        }
    }

    /// Whether somebody here stands (or leads), and whether this process leads.
    pub(crate) fn stands(&mut self, stands: bool, leads: bool) {
        if let Some(labels) = &mut self.labels {
            labels.set(stands || leads, leads);
        }
    }

    /// Until what was said has arrived, or [`FAREWELL`].
    pub(crate) async fn finish(mut self: Box<Self>) {
        self.over(&End::Lost(LossReason::Abandoned));
        let Self { events, labels, .. } = *self;
        let events = async {
            if let Some(events) = events {
                events.finish().await;
            }
        };
        let labels = async {
            if let Some(labels) = labels {
                labels.finish().await;
            }
        };
        futures::join!(events, labels);
    }

    fn readings(&self) -> (Instant, MicroTime) {
        (self.clock.mono(), self.clock.wall())
    }
}

/// Who a candidate is, for Events.
pub(crate) fn pod_reference(pod: &PodRef) -> serde_json::Value {
    let mut reference = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": pod.namespace,
        "name": pod.name,
    });
    if let Some(uid) = &pod.uid {
        reference["uid"] = uid.as_str().into();
    }
    reference
}

/// Runs `work`, for at most [`FAREWELL`] after `ended`.
async fn until_after(ended: tokio_util::sync::CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = work => {}
        () = async {
            ended.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        } => {}
    }
}

/// What is known of a lock, for many.
type Text = Arc<str>;
