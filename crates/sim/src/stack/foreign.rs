//! A foreign candidate: the one that follows client-go's rules at core depth, on the wire.

use std::{
    future::pending,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use http::{Method, Request as Call};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tenure::clock::Clock;
use tenure_core::{
    Action, CallId, Command, Elector as _, Event, MicroTime, Notice, Now, Outcome, ResourceVersion,
    Uid, Version,
    lease::{LeaseWrite, Observed, Request, Spec},
};
use tower::Service;

use crate::{
    core_depth::ClientGo,
    trace::{Believed, Happening},
};

use super::{inside::Inside, net::Network, record, sim_clock::LibraryClock};

/// The program of a foreign process.
pub(super) struct Foreign {
    inside: Arc<Inside>,
    clock: LibraryClock,
    network: Network,
    elector: ClientGo,
    collection: String,
    name: &'static str,
    /// The object as it read it last: what it updates.
    seen: Value,
    shown: Option<Believed>,
    /// Its work has been told to end.
    told: bool,
    asked: bool,
    open: Option<BoxFuture<'static, (CallId, Reply)>>,
}

/// A status and a body; none where no answer came.
type Reply = Option<(u16, Value)>;

impl Foreign {
    pub(super) fn new(
        network: Network,
        identity: Arc<str>,
        seed: u64,
        collection: String,
        name: &'static str,
    ) -> Self {
        let inside = Arc::clone(&network.inside);
        Self {
            clock: LibraryClock(Arc::clone(&inside.clock)),
            inside,
            network,
            elector: ClientGo::new(identity, seed),
            collection,
            name,
            seen: Value::Null,
            shown: None,
            told: false,
            asked: false,
            open: None,
        }
    }

    /// Stand, lead and stand again, until the process shall leave.
    pub(super) async fn run(mut self) {
        loop {
            self.give(Event::Command(Command::Stand));
            self.stand().await;
            if self.is_leaving() {
                return;
            }
            let pause = self.clock.mono().after(Duration::from_secs(1));
            self.clock.sleep_until(pause).await;
        }
    }

    /// Until it neither stands nor leads.
    async fn stand(&mut self) {
        let inside = Arc::clone(&self.inside);
        loop {
            if self.is_leaving() && !self.asked {
                self.ends();
            }
            if self.told {
                self.told = false;
                self.give(Event::Command(Command::WorkEnded { release: true }));
            }
            let due = self.elector.deadline();
            if due.is_none() && self.open.is_none() {
                self.asked = false;
                return;
            }
            let clock = self.clock.clone();
            let tick = async move {
                match due {
                    Some(due) => clock.sleep_until(due).await,
                    None => pending().await,
                }
            };
            let open = &mut self.open;
            let answer = async {
                match open {
                    Some(open) => open.await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = inside.cancel.notified() => self.ends(),
                (id, reply) = answer => {
                    self.open = None;
                    let outcome = self.outcome(reply);
                    self.give(Event::Answer { id, outcome });
                }
                () = tick => self.give(Event::Tick),
            }
        }
    }

    fn is_leaving(&self) -> bool {
        self.inside.leaving.load(Ordering::Relaxed)
    }

    /// Its context is cancelled.
    fn ends(&mut self) {
        self.asked = true;
        self.give(Event::Command(Command::StepDown));
        self.give(Event::Command(Command::Withdraw));
    }

    fn give(&mut self, event: Event<Observed, Observed>) {
        let now = Now {
            mono: self.clock.mono(),
            wall: self.clock.wall(),
        };
        self.elector.handle(now, event);
        while let Some(action) = self.elector.poll() {
            match action {
                Action::Call { id, request } => self.open = Some(self.send(id, request)),
                Action::Notify(Notice::Stop { .. }) => self.told = true,
                Action::Notify(_) => {}
            }
        }
        let belief = self.elector.belief().map(|belief| Believed {
            term: belief.term,
            token: record::number(belief.token.as_str()),
            until: belief.valid_until.map(|until| self.inside.truth(until)),
        });
        if belief != self.shown {
            self.shown = belief;
            let process = self.inside.id;
            self.inside.tell(Happening::Belief { process, belief });
        }
    }

    fn send(&mut self, id: CallId, request: Request) -> BoxFuture<'static, (CallId, Reply)> {
        let object = format!("{}/{}", self.collection, self.name);
        let (method, path, body) = match request {
            Request::Read => (Method::GET, object, None),
            Request::Create(write) => {
                let metadata = json!({"metadata": {"name": self.name}});
                let body = edited(metadata, &write);
                (Method::POST, self.collection.clone(), Some(body))
            }
            Request::Replace { base, write } => {
                let mut body = edited(self.seen.clone(), &write);
                body["metadata"]["uid"] = base.uid.as_str().into();
                body["metadata"]["resourceVersion"] = base.resource_version.as_str().into();
                (Method::PUT, object, Some(body))
            }
        };
        let body = body.map_or_else(Body::empty, |body| {
            Body::from(body.to_string().into_bytes())
        });
        let call = Call::builder().method(method).uri(path).body(body);
        let answer = call.map(|call| self.network.call(call));
        let limit = self.network.limit;
        async move {
            let told = async {
                let answer = answer.ok()?.await.ok()?;
                let status = answer.status().as_u16();
                let body = answer.into_body().collect().await.ok()?.to_bytes();
                Some((status, serde_json::from_slice(&body).unwrap_or_default()))
            };
            let reply = tokio::time::timeout(limit, told).await;
            (id, reply.ok().flatten())
        }
        .boxed()
    }

    fn outcome(&mut self, reply: Reply) -> Outcome<Observed> {
        match reply {
            Some((200 | 201, object)) => {
                let observed = observed(&object);
                self.seen = object;
                Outcome::Done(observed)
            }
            Some((404, body)) if body["kind"] == "Status" => Outcome::NotFound("".into()),
            Some((409, _)) => Outcome::Conflict,
            Some(_) => Outcome::Refused("".into()),
            None => Outcome::Unknown("".into()),
        }
    }
}

/// The object with what client-go knows of it set, and all else as it was.
fn edited(mut object: Value, write: &LeaseWrite) -> Value {
    let Spec {
        holder,
        duration_seconds,
        acquire_time,
        renew_time,
        transitions,
        foreign: _,
    } = &write.spec;
    let time = |time: &Option<MicroTime>| time.map(record::time);
    if !object["spec"].is_object() {
        object["spec"] = json!({});
    }
    let spec = &mut object["spec"];
    spec["holderIdentity"] = holder.as_deref().into();
    spec["leaseDurationSeconds"] = (*duration_seconds).into();
    spec["acquireTime"] = time(acquire_time).into();
    spec["renewTime"] = time(renew_time).into();
    spec["leaseTransitions"] = (*transitions).into();
    object
}

fn observed(object: &Value) -> Observed {
    let (metadata, spec) = (&object["metadata"], &object["spec"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let time = |value: &Value| {
        let micros = value.as_str().and_then(record::micros);
        micros.map(MicroTime::from_micros)
    };
    Observed {
        version: Version {
            uid: Uid::new(text(&metadata["uid"])),
            resource_version: ResourceVersion::new(text(&metadata["resourceVersion"])),
        },
        spec: Spec {
            holder: spec["holderIdentity"].as_str().map(Into::into),
            duration_seconds: spec["leaseDurationSeconds"].as_i64(),
            acquire_time: time(&spec["acquireTime"]),
            renew_time: time(&spec["renewTime"]),
            transitions: spec["leaseTransitions"].as_i64(),
            foreign: None,
        },
        mark: None,
        step_down: None,
        paused: None,
    }
}
