//! The API server, and what it has kept of the lock so far.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{FutureExt, task::noop_waker_ref};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tenure_apiserver::{ApiServer, Gc, ResponseBody, Snapshot, Write};
use tokio::{runtime::Runtime, sync::mpsc};
use tower::Service;

use crate::{clock::Nanos, plan::LockKind};

/// The lock's name and namespace.
pub(super) const NAME: &str = "l";
/// A Lease beside it, which is nobody's business.
pub(super) const NEIGHBOUR: &str = "n";
pub(super) const NAMESPACE: &str = "default";

/// The server, driven by hand: its time stands still within a request, and it has no tasks.
pub(super) struct Api {
    server: ApiServer,
    runtime: Runtime,
    clock: Arc<AtomicU64>,
    writes: mpsc::UnboundedReceiver<Write>,
    kind: LockKind,
    pub(super) history: Vec<State>,
    /// What was stored after each write to the lock, where anybody will want it back.
    copies: Option<Vec<(Nanos, Snapshot)>>,
}

/// What the lock was from a moment on.
#[derive(Clone)]
pub(super) struct State {
    pub(super) at: Nanos,
    /// The object; of one that was deleted, its last state with the deletion's resourceVersion.
    pub(super) object: Arc<Value>,
    pub(super) gone: bool,
}

/// An answer of the server.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: ReplyBody,
}

pub(super) enum ReplyBody {
    Whole(Bytes),
    Watch(ResponseBody),
}

/// The wall clock of the server: true time.
struct TrueTime(Arc<AtomicU64>);

impl tenure_apiserver::Clock for TrueTime {
    fn now(&self) -> SystemTime {
        let start = Duration::from_secs(1_767_225_600);
        let nanos = Duration::from_nanos(self.0.load(Ordering::Relaxed));
        SystemTime::UNIX_EPOCH + start + nanos
    }
}

impl Api {
    /// A server with uids of its own, of which copies are kept or not.
    pub(super) fn new(seed: u64, kind: LockKind, copies: bool) -> std::io::Result<Self> {
        let clock = Arc::new(AtomicU64::new(0));
        let server = ApiServer::builder()
            .seed(seed)
            .clock(TrueTime(Arc::clone(&clock)))
            .gc(Gc::Off)
            .keep_writes(0)
            .build();
        let writes = server.subscribe_writes();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        Ok(Self {
            server,
            runtime,
            clock,
            writes,
            kind,
            history: Vec::new(),
            copies: copies.then(Vec::new),
        })
    }

    /// The lock's resource.
    pub(super) fn resource(&self) -> &'static str {
        match self.kind {
            LockKind::Lease => "leases.coordination.k8s.io",
            LockKind::ConfigMap => "configmaps",
            LockKind::LeaderLock => "leaderlocks.coralogix.com",
        }
    }

    /// The path of all objects of its kind.
    pub(super) fn collection(&self) -> String {
        let api = match self.kind {
            LockKind::Lease => "/apis/coordination.k8s.io/v1",
            LockKind::ConfigMap => "/api/v1",
            LockKind::LeaderLock => "/apis/coralogix.com/v1",
        };
        let plural = self.resource().split('.').next().unwrap_or_default();
        format!("{api}/namespaces/{NAMESPACE}/{plural}")
    }

    /// The lock's path.
    pub(super) fn path(&self) -> String {
        format!("{}/{NAME}", self.collection())
    }

    /// Somebody holds the Lease beside it, and writes to it.
    pub(super) fn neighbour_writes(&self, now: Nanos) {
        let mut lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": NEIGHBOUR},
            "spec": {"holderIdentity": "stranger", "leaseDurationSeconds": 15, "leaseTransitions": 1},
        });
        let collection = self.collection();
        let path = format!("{collection}/{NEIGHBOUR}");
        let old = self.server.object(self.resource(), NAMESPACE, NEIGHBOUR);
        let (method, path) = match &old {
            None => (Method::POST, collection),
            Some(old) => {
                lease["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
                lease["metadata"]["annotations"] = json!({"seen": now.to_string()});
                (Method::PUT, path)
            }
        };
        self.send(now, &method, &path, &lease);
    }

    /// The lock as it is.
    pub(super) fn lock(&self) -> Option<&State> {
        self.history.last().filter(|state| !state.gone)
    }

    /// The lock as it was then, if there was any by then.
    pub(super) fn lock_at(&self, then: Nanos) -> Option<&State> {
        let after = self.history.partition_point(|state| state.at <= then);
        after.checked_sub(1).map(|index| &self.history[index])
    }

    /// Applies a request at that moment.
    pub(super) fn ask(
        &self,
        now: Nanos,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Option<Reply> {
        self.clock.store(now, Ordering::Relaxed);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = path.parse().ok()?;
        *request.headers_mut() = headers.clone();
        let _inside = self.runtime.enter();
        let response = self.server.service().call(request).now_or_never()?.ok()?;
        let (parts, body) = response.into_parts();
        let is_watch = parts.status.is_success() && path.contains("watch=true");
        let body = if is_watch {
            ReplyBody::Watch(body)
        } else {
            ReplyBody::Whole(body.collect().now_or_never()?.ok()?.to_bytes())
        };
        Some(Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    /// The same for somebody who only has an object to send, and JSON to get.
    pub(super) fn send(
        &self,
        now: Nanos,
        method: &Method,
        path: &str,
        object: &Value,
    ) -> (u16, Value) {
        let mut headers = HeaderMap::new();
        let json = http::HeaderValue::from_static("application/json");
        headers.insert(http::header::CONTENT_TYPE, json);
        let body = if object.is_null() {
            Bytes::new()
        } else {
            Bytes::from(object.to_string())
        };
        match self.ask(now, method, path, &headers, body) {
            Some(Reply {
                status,
                body: ReplyBody::Whole(body),
                ..
            }) => (
                status.as_u16(),
                serde_json::from_slice(&body).unwrap_or_default(),
            ),
            _ => (0, Value::Null),
        }
    }

    /// What was written to the lock since this was asked last: the states from before and after.
    pub(super) fn take_writes(&mut self, now: Nanos) -> Vec<(Option<State>, State)> {
        let mut taken = Vec::new();
        while let Ok(write) = self.writes.try_recv() {
            if write.resource != self.resource() || write.name != NAME {
                continue;
            }
            let still_there = write.verb != "delete"
                || self
                    .server
                    .object(self.resource(), NAMESPACE, NAME)
                    .is_some_and(|object| {
                        object["metadata"]["uid"] == write.object["metadata"]["uid"]
                    });
            let state = State {
                at: now,
                object: write.object,
                gone: !still_there,
            };
            taken.push((self.lock().cloned(), state.clone()));
            self.history.push(state);
        }
        if let (Some(copies), false) = (&mut self.copies, taken.is_empty()) {
            copies.push((now, self.server.snapshot()));
        }
        taken
    }

    /// The next line of a watch, if it is there already; none at its end.
    pub(super) fn next_line(&self, body: &mut ResponseBody) -> Poll<Option<Bytes>> {
        let _inside = self.runtime.enter();
        let mut context = Context::from_waker(noop_waker_ref());
        match Pin::new(body).poll_frame(&mut context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(frame.into_data().ok()),
            Poll::Ready(_) => Poll::Ready(None),
        }
    }

    /// The garbage collector does what is due.
    pub(super) fn collect(&self, now: Nanos) {
        self.clock.store(now, Ordering::Relaxed);
        let _inside = self.runtime.enter();
        self.server.collect_garbage();
    }

    /// Put everything back to what it was then. False where there is no copy, or nothing to put
    /// back.
    pub(super) fn restore(&mut self, now: Nanos, then: Nanos) -> bool {
        let Some(copies) = &mut self.copies else {
            return false;
        };
        let after = copies.partition_point(|(at, _)| *at <= then);
        copies.truncate(after);
        let Some((_, copy)) = copies.last() else {
            return false;
        };
        if copy.revision() == self.server.revision() {
            return false;
        }
        let _inside = self.runtime.enter();
        self.server.restore(copy);
        let last = self.history.last().map(|state| Arc::clone(&state.object));
        let object = self.server.object(self.resource(), NAMESPACE, NAME);
        let (gone, object) = match object {
            Some(object) => (false, Arc::new(object)),
            None => (true, last.unwrap_or_default()),
        };
        self.history.push(State {
            at: now,
            object,
            gone,
        });
        true
    }

    /// The server itself, for what people and controllers do.
    pub(super) fn server(&self) -> &ApiServer {
        &self.server
    }
}
