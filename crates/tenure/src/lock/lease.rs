//! The Lease protocol's requests as Kubernetes calls, and their answers back.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture, stream::BoxStream};
use tenure_core::{
    Outcome, ResourceVersion, Sight, Uid, Version,
    lease::{LeaseElector, Observed, Request},
};

use super::{
    Lock, Reply, ReplyOf, Sent, Watched,
    gate::{Claim, Gate},
    hub::{Hub, Inbox},
    kept::Kept,
    lease_json::{self, Extras, Lease, Read},
    memory::{Memory, version_of},
    watch,
    written::Written,
};
use crate::{
    call::{self, Resource},
    wire::Wire,
};

/// One Lease.
pub(crate) struct LeaseLock {
    wire: Wire,
    resource: Resource,
    limit: Duration,
    extras: Arc<Extras>,
    memory: Memory<Kept>,
    shared: Option<Shared>,
    inbox: Inbox,
    claim: Claim,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answered {
    read: Read,
    /// What the write replaced, if it was one.
    over: Option<Version>,
}

/// What the Leases of a set share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) hub: Arc<Hub>,
    pub(crate) gate: Gate,
}

impl LeaseLock {
    pub(crate) fn new(
        wire: Wire,
        namespace: &str,
        name: &str,
        limit: Duration,
        extras: Extras,
    ) -> Self {
        Self {
            wire,
            resource: Resource::lease(namespace, name),
            limit,
            extras: Arc::new(extras),
            memory: Memory::default(),
            shared: None,
            inbox: Inbox::default(),
            claim: Claim::default(),
        }
    }

    /// As one of a set.
    pub(crate) fn sharing(mut self, shared: Option<Shared>) -> Self {
        self.shared = shared;
        self
    }

    fn take(&mut self, lease: Lease) -> Observed {
        let Lease { observed, kept } = lease;
        self.memory.remember(&observed.version, || kept);
        observed
    }

    fn create(&self, write: &Written) -> String {
        lease_json::create(
            self.resource.name(),
            self.resource.namespace(),
            write,
            &self.extras,
        )
    }
}

impl Lock for LeaseLock {
    type Elector = LeaseElector;
    type Object = Answered;

    fn call(&mut self, request: Request) -> BoxFuture<'static, ReplyOf<Self>> {
        let (sent, over) = match request {
            Request::Read => (None, None),
            Request::Create(write) => {
                let written = Box::new(Written::new(write));
                let json = self.create(&written);
                (Some((written, json)), None)
            }
            Request::Replace { base, write } => match self.memory.recall(&base) {
                Some(kept) => {
                    let written = Box::new(Written::new(write));
                    let json = lease_json::replace(kept, &base, &written, &self.extras);
                    (Some((written, json)), Some(base))
                }
                // Not sent, and the core reads again.
                None => return std::future::ready(Outcome::Conflict).boxed(),
            },
        };
        let (wire, resource, limit) = (self.wire.clone(), self.resource.clone(), self.limit);
        let shared = self.shared.as_ref();
        let gate = shared.map(|shared| (shared.gate.clone(), self.claim.lay()));
        let write = sent.is_some();
        async move {
            // Whoever waits for a place has no request yet, and no room for its call.
            let call = |left| {
                let (written, json) = sent.unzip();
                let request = match (json, &over) {
                    (None, _) => resource.get(),
                    (Some(json), None) => resource.create(json),
                    (Some(json), Some(_)) => resource.replace(json),
                };
                let read = move |body: &[u8]| lease_json::read_answer(body, written.as_deref());
                call::call_for(&wire, request, left, read).boxed()
            };
            let outcome = match gate {
                None => call(limit).await,
                Some((gate, claim)) => gate.pass(write, claim, limit, call).await,
            };
            outcome.map(|read| Reply::Object(Answered { read, over }))
        }
        .boxed()
    }

    fn answer(&mut self, reply: Reply<Observed, Answered>) -> Outcome<Observed> {
        self.claim.met();
        match reply {
            Reply::Ready(observed) => Outcome::Done(observed),
            Reply::Object(Answered {
                read: Read::Lease(lease),
                over,
            }) => {
                if let Some(over) = over {
                    self.memory.forget(&over);
                }
                Outcome::Done(self.take(*lease))
            }
            Reply::Object(_) => {
                Outcome::Unknown("the answer is no Lease with a uid and resourceVersion".into())
            }
        }
    }

    fn sight(&mut self, sent: &Sent, gone: bool) -> Option<Sight<Observed>> {
        if gone {
            return version_of(&sent.object()).map(Sight::Gone);
        }
        match lease_json::read(sent.json())? {
            Read::Lease(lease) => Some(Sight::Seen(self.take(*lease))),
            Read::Stateless => None,
        }
    }

    fn taken_in(&mut self, newest: &ResourceVersion) {
        if self.shared.is_some() {
            self.inbox.knows(newest);
        }
    }

    fn uid(&self) -> Option<Uid> {
        self.memory.uid()
    }

    fn watch(&self) -> BoxStream<'static, Watched> {
        if let Some(shared) = &self.shared {
            return shared.hub.watch(self.resource.name(), self.inbox.clone());
        }
        watch::watch(
            self.wire.client().clone(),
            self.resource.collection(),
            self.resource.name().to_owned(),
        )
    }
}
