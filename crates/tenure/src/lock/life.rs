//! The life protocol's requests as Kubernetes calls, and their answers back.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture, stream::BoxStream};
use serde_json::Value;
use tenure_core::{
    Outcome, Sight, Uid,
    life::{Answer, LifeElector, LifeWrite, LockObject, ProcessId, ProcessSight, Request},
};

use super::{
    Lock, Reply, ReplyOf, Sent, Watched,
    lease_json::Extras,
    life_json,
    memory::{Memory, version_of},
    pod_json, watch,
};
use crate::{
    call::{self, Ask, Resource},
    object,
    process::{self, Fate, Processes, SharedProcesses},
    wire::Wire,
};

/// One lock for life, of either kind.
pub(crate) struct LifeLock {
    wire: Wire,
    resource: Resource,
    limit: Duration,
    extras: Arc<Extras>,
    memory: Memory<Box<str>>,
    processes: SharedProcesses,
}

impl LifeLock {
    pub(crate) fn new(
        wire: Wire,
        resource: Resource,
        limit: Duration,
        extras: Extras,
        processes: SharedProcesses,
    ) -> Self {
        Self {
            wire,
            resource,
            limit,
            extras: Arc::new(extras),
            memory: Memory::default(),
            processes,
        }
    }

    fn take(&mut self, object: &Value) -> Option<LockObject> {
        let observed = life_json::observed(object)?;
        let json = || object::text(object).into();
        self.memory.remember(&observed.version, json);
        Some(observed)
    }

    fn create(&self, write: &LifeWrite) -> Value {
        let api = self.resource.api();
        let api_version = if api.group.is_empty() {
            api.version.to_owned()
        } else {
            format!("{}/{}", api.group, api.version)
        };
        life_json::create(
            &api_version,
            api.kind,
            self.resource.namespace(),
            self.resource.name(),
            write,
            &self.extras,
        )
    }

    fn send(&self, ask: Ask) -> BoxFuture<'static, Outcome<Value>> {
        let (wire, limit) = (self.wire.clone(), self.limit);
        async move { call::call(&wire, ask, limit).await }.boxed()
    }
}

impl Lock for LifeLock {
    type Elector = LifeElector;
    type Object = Value;

    fn call(&mut self, request: Request) -> BoxFuture<'static, ReplyOf<Self>> {
        let request = match request {
            Request::Read => self.resource.get(),
            Request::Create(write) => self.resource.create(object::text(&self.create(&write))),
            Request::Replace { base, write } => match self.memory.recall(&base) {
                Some(json) => {
                    let object = serde_json::from_str(json).unwrap_or_default();
                    let object = life_json::replace(object, &base, &write, &self.extras);
                    self.resource.replace(object::text(&object))
                }
                // Not sent, and the core reads again.
                None => return std::future::ready(Outcome::Conflict).boxed(),
            },
            Request::Delete { version } => {
                let call = self.send(self.resource.delete(&version));
                return async move { call.await.map(|answer| deleted(&version, answer)) }.boxed();
            }
            Request::ReadPod { name } => {
                let call = self.send(Resource::pod(self.resource.namespace(), &name).get());
                return async move { call.await.and_then(|pod| pod_seen(&pod)) }.boxed();
            }
            Request::InspectProcess(process) => {
                let sight = Reply::Ready(Answer::Process(inspect(&*self.processes, &process)));
                return std::future::ready(Outcome::Done(sight)).boxed();
            }
        };
        let call = self.send(request);
        async move { call.await.map(Reply::Object) }.boxed()
    }

    fn answer(&mut self, reply: Reply<Answer, Value>) -> Outcome<Answer> {
        match reply {
            Reply::Ready(answer) => Outcome::Done(answer),
            Reply::Object(object) => match self.take(&object) {
                Some(lock) => Outcome::Done(Answer::Lock(lock)),
                None => Outcome::Unknown(
                    "the answer is no object with a uid and resourceVersion".into(),
                ),
            },
        }
    }

    fn sight(&mut self, sent: &Sent, gone: bool) -> Option<Sight<LockObject>> {
        let object = sent.object();
        if gone {
            return version_of(&object).map(Sight::Gone);
        }
        self.take(&object).map(Sight::Seen)
    }

    fn uid(&self) -> Option<Uid> {
        self.memory.uid()
    }

    fn watch(&self) -> BoxStream<'static, Watched> {
        watch::watch(
            self.wire.client().clone(),
            self.resource.collection(),
            self.resource.name().to_owned(),
        )
    }
}

/// A delete is answered by a `Status`, by the object as it was, or by the object that a finalizer
/// holds back.
fn deleted(version: &tenure_core::Version, answer: Value) -> Reply<Answer, Value> {
    let held_back = answer
        .pointer("/metadata/deletionTimestamp")
        .is_some_and(|time| !time.is_null())
        && answer
            .pointer("/metadata/finalizers")
            .and_then(Value::as_array)
            .is_some_and(|finalizers| !finalizers.is_empty())
        && version_of(&answer).is_some_and(|now| now.uid == version.uid);
    if held_back {
        Reply::Object(answer)
    } else {
        Reply::Ready(Answer::Deleted)
    }
}

fn pod_seen(pod: &Value) -> Outcome<Reply<Answer, Value>> {
    match pod_json::sight(pod) {
        Some(sight) => Outcome::Done(Reply::Ready(Answer::Pod(sight))),
        None => Outcome::Unknown("the answer is no Pod with a uid".into()),
    }
}

fn inspect(processes: &dyn Processes, process: &ProcessId) -> ProcessSight {
    let process = process::ProcessId {
        pid: process.pid,
        start: process.start_time,
        boot: process.boot_id.as_ref().to_owned(),
        pid_namespace: process.pid_namespace.as_ref().to_owned(),
    };
    match processes.inspect(&process) {
        Fate::Gone => ProcessSight::Gone,
        Fate::Alive => ProcessSight::Alive,
        Fate::CannotTell => ProcessSight::Unknown,
    }
}
