//! The handle: how a server is built, embedded, served and asked about.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::clock::{Clock, SystemClock};
use crate::fault::{Fault, FaultId, Rule};
use crate::gc::{self, Gc, Queue};
use crate::http_server::{HttpServer, ServeError};
use crate::random::Random;
use crate::rbac::Denial;
use crate::record::{Recorder, RequestKey, Write, Writer};
use crate::resources::{NAMESPACES, Registry};
use crate::service::{ApiService, Connection};
use crate::state::State;
use crate::store::{Key, Store};
use crate::{meta, prepare};

/// The user that [`ApiServer::service`] and the server's token act as.
pub const ADMIN: &str = "kubernetes-admin";

/// An in-memory Kubernetes API server.
///
/// Clones share one state, which lives as long as any of them, and as any service or watch of it.
///
/// ```
/// use tenure_apiserver::ApiServer;
///
/// let server = ApiServer::builder().token("secret").seed(7).build();
/// assert!(server.object("namespaces", "", "default").is_some());
/// ```
#[derive(Clone)]
pub struct ApiServer {
    pub(crate) inner: Arc<Inner>,
}

/// Settings of an [`ApiServer`].
pub struct Builder {
    token: String,
    tokens: BTreeMap<String, String>,
    seed: u64,
    clock: Arc<dyn Clock>,
    gc: Gc,
    history: usize,
    log: usize,
    first_revision: u64,
    namespaces: Vec<String>,
}

pub(crate) struct Inner {
    state: Mutex<State>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The revision: written to after every write, and to wake watches for other reasons.
    pub(crate) wake: watch::Sender<u64>,
    pub(crate) reachable: watch::Sender<bool>,
    pub(crate) token: String,
}

impl ApiServer {
    /// A server with the settings of [`ApiServer::builder`] as they are.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Begins with the default settings.
    pub fn builder() -> Builder {
        Builder {
            token: "tenure".to_owned(),
            tokens: BTreeMap::new(),
            seed: 0,
            clock: Arc::new(SystemClock),
            gc: Gc::default(),
            history: 10_000,
            log: 10_000,
            first_revision: 1,
            namespaces: Vec::new(),
        }
    }

    /// A service that acts as [`ADMIN`] where a request brings no token of its own. It is what
    /// `kube::Client::new` wants.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), kube::Error> {
    /// use k8s_openapi::api::coordination::v1::Lease;
    /// use kube::api::{Api, ListParams};
    /// use tenure_apiserver::ApiServer;
    ///
    /// let server = ApiServer::new();
    /// let client = kube::Client::new(server.service(), "default");
    /// let leases: Api<Lease> = Api::default_namespaced(client);
    /// assert!(leases.list(&ListParams::default()).await?.items.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn service(&self) -> ApiService {
        self.service_as(ADMIN)
    }

    /// As [`ApiServer::service`], for another user: what [`ApiServer::deny`] and [`Fault::user`]
    /// tell apart.
    pub fn service_as(&self, user: impl Into<String>) -> ApiService {
        ApiService::new(self.connection(Some(user.into())))
    }

    /// The bearer token that acts as [`ADMIN`].
    pub fn token(&self) -> &str {
        &self.inner.token
    }

    /// Serves plain HTTP/1.1 on a loopback address; port 0 takes a free one.
    ///
    /// Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// An address that is not a loopback one is refused; the rest are those of binding.
    pub async fn serve_http(&self, addr: SocketAddr) -> Result<HttpServer, ServeError> {
        HttpServer::start(self.connection(None), &self.inner, addr).await
    }

    /// Strikes the requests that `fault` names, until it is spent or healed.
    pub fn inject(&self, fault: Fault) -> FaultId {
        let mut state = self.inner.lock();
        state.fault_count += 1;
        let id = FaultId(state.fault_count);
        state.faults.push_back(Rule {
            id,
            fault,
            seen: 0,
            struck: 0,
        });
        id
    }

    /// Ends a fault. Requests that hang because of it go on hanging.
    pub fn heal(&self, id: FaultId) {
        self.inner.lock().faults.retain(|rule| rule.id != id);
    }

    /// Ends all faults.
    pub fn heal_all(&self) {
        self.inner.lock().faults.clear();
    }

    /// How many requests a fault has struck; 0 for one that was healed.
    pub fn struck(&self, id: FaultId) -> u64 {
        self.inner
            .lock()
            .faults
            .iter()
            .find(|rule| rule.id == id)
            .map_or(0, |rule| rule.struck)
    }

    /// Whether requests are answered at all. While they are not, connections are lost: those of
    /// open watches too.
    pub fn set_reachable(&self, reachable: bool) {
        self.inner.reachable.send_replace(reachable);
        if !reachable {
            self.end_watches();
        }
    }

    /// Ends every open watch, as a restart of the server does.
    pub fn end_watches(&self) {
        self.inner.lock().watch_epoch += 1;
        self.inner.wake.send_modify(|_| {});
    }

    /// Takes a right away from everybody: requests of that verb for that resource get the real
    /// server's 403. `resource` is a plural, with its group or without, with a subresource as
    /// `pods/status`; `*` stands for every verb or resource.
    pub fn deny(&self, verb: impl Into<String>, resource: impl Into<String>) {
        self.push_denial(verb.into(), resource.into(), None);
    }

    /// As [`ApiServer::deny`], for one user.
    pub fn deny_user(
        &self,
        verb: impl Into<String>,
        resource: impl Into<String>,
        user: impl Into<String>,
    ) {
        self.push_denial(verb.into(), resource.into(), Some(user.into()));
    }

    /// Gives all rights back.
    pub fn allow_all(&self) {
        self.inner.lock().denials.clear();
    }

    /// The writes since the start, oldest first: the newest 10,000, or as many as the builder's
    /// `keep_writes` says.
    pub fn writes(&self) -> Vec<Write> {
        self.inner.lock().recorder.writes()
    }

    /// Every write from now on, in order. An end that is not read from holds them in memory.
    pub fn subscribe_writes(&self) -> mpsc::UnboundedReceiver<Write> {
        self.inner.lock().recorder.subscribe()
    }

    /// How many requests were answered, by verb, resource and code. A watch counts when it begins.
    pub fn requests(&self) -> BTreeMap<RequestKey, u64> {
        self.inner.lock().recorder.requests()
    }

    /// Forgets [`ApiServer::writes`] and [`ApiServer::requests`].
    pub fn clear_log(&self) {
        self.inner.lock().recorder.clear();
    }

    /// The present revision: the resourceVersion of the last write of all.
    pub fn revision(&self) -> u64 {
        self.inner.lock().store.revision()
    }

    /// Moves the revision forward to `revision`, as writes elsewhere do. It never goes back.
    pub fn skip_to_revision(&self, revision: u64) {
        self.inner.lock().store.skip_to(revision);
        self.inner.wake.send_modify(|_| {});
    }

    /// Forgets history up to and including `revision`: what begins to read before it gets 410.
    pub fn compact(&self, revision: u64) {
        self.inner.lock().store.compact(revision);
    }

    /// Collects every object whose owners are gone, and empties deleted namespaces, now:
    /// whatever the setting [`Gc`] says.
    pub fn collect_garbage(&self) {
        self.inner.change(gc::scan);
    }

    /// An object as it is stored; `resource` is the plural with its group, as
    /// `leases.coordination.k8s.io`; `namespace` is empty for resources without.
    pub fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = Key::new(&Arc::from(resource), namespace, name);
        self.inner
            .lock()
            .store
            .get(&key)
            .map(|stored| stored.value.clone())
    }

    fn connection(&self, user: Option<String>) -> Connection {
        Connection {
            inner: self.inner.clone(),
            user,
        }
    }

    fn push_denial(&self, verb: String, resource: String, user: Option<String>) {
        self.inner.lock().denials.push(Denial {
            verb,
            resource,
            user,
        });
    }
}

impl Default for ApiServer {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer")
            .field("revision", &self.revision())
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// The bearer token that acts as [`ADMIN`]; `tenure` by default.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = token.into();
        self
    }

    /// One more bearer token, for another user.
    #[must_use]
    pub fn user(mut self, token: impl Into<String>, user: impl Into<String>) -> Self {
        self.tokens.insert(token.into(), user.into());
        self
    }

    /// Where uids and generated names come from: equal seeds and equal requests give equal ones.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The wall clock of `creationTimestamp` and its like; the machine's by default.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// When dependents of deleted owners go; [`Gc::Immediate`] by default.
    #[must_use]
    pub fn gc(mut self, gc: Gc) -> Self {
        self.gc = gc;
        self
    }

    /// How many changes watches may lag behind before they get 410; 10,000 by default, at least 1.
    #[must_use]
    pub fn history(mut self, changes: usize) -> Self {
        self.history = changes;
        self
    }

    /// How many writes [`ApiServer::writes`] keeps; 10,000 by default.
    #[must_use]
    pub fn keep_writes(mut self, writes: usize) -> Self {
        self.log = writes;
        self
    }

    /// The revision to begin with, at least 1; the first write gets the next.
    #[must_use]
    pub fn first_revision(mut self, revision: u64) -> Self {
        self.first_revision = revision.max(1);
        self
    }

    /// One more namespace, beside the four that every cluster begins with.
    #[must_use]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespaces.push(name.into());
        self
    }

    /// The server, with its namespaces in place.
    pub fn build(self) -> ApiServer {
        let mut tokens = self.tokens;
        tokens.insert(self.token.clone(), ADMIN.to_owned());
        let state = State {
            store: Store::new(self.first_revision, self.history),
            registry: Registry::default(),
            random: Random::new(self.seed),
            clock: self.clock.clone(),
            gc: Queue::new(self.gc),
            recorder: Recorder::new(self.log),
            faults: VecDeque::new(),
            fault_count: 0,
            denials: Vec::new(),
            tokens,
            watch_epoch: 0,
        };
        let inner = Arc::new(Inner {
            state: Mutex::new(state),
            clock: self.clock,
            wake: watch::Sender::new(0),
            reachable: watch::Sender::new(true),
            token: self.token,
        });
        let always = ["default", "kube-node-lease", "kube-public", "kube-system"];
        let names = always.into_iter().map(str::to_owned).chain(self.namespaces);
        inner.change(|state| {
            for name in names {
                add_namespace(state, &name);
            }
            state.recorder.clear();
        });
        ApiServer { inner }
    }
}

impl Inner {
    /// The state. A panic elsewhere cannot leave it half written in a way that matters more than
    /// the panic, so a poisoned lock is used on.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, does what the change makes due, and wakes watches.
    pub(crate) fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> T) -> T {
        let (out, revision, delay) = {
            let mut state = self.lock();
            let out = change(&mut state);
            let delay = match state.gc.mode {
                Gc::Immediate => {
                    gc::run(&mut state, true);
                    None
                }
                Gc::Delayed(_) => {
                    let due = state.gc.due().filter(|due| state.gc.armed != Some(*due));
                    state.gc.armed = due.or(state.gc.armed);
                    due
                }
                Gc::Off => None,
            };
            (out, state.store.revision(), delay)
        };
        if let Some(due) = delay {
            self.collect_at(due);
        }
        self.wake.send_if_modified(|known| {
            let moved = *known != revision;
            *known = revision;
            moved
        });
        out
    }

    /// Runs the collector when its work is due. Without a runtime nothing is spawned: then only
    /// `collect_garbage` runs it.
    fn collect_at(self: &Arc<Self>, due: tokio::time::Instant) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let server = Arc::downgrade(self);
        runtime.spawn(async move {
            tokio::time::sleep_until(due).await;
            if let Some(server) = server.upgrade() {
                server.change(|state| gc::run(state, false));
            }
        });
    }
}

fn add_namespace(state: &mut State, name: &str) {
    let Some(resource) = state.registry.find_qualified(NAMESPACES) else {
        return;
    };
    let mut object = json!({"apiVersion": "v1", "kind": "Namespace", "spec": {}});
    meta::set(&mut object, "name", json!(name));
    meta::set(&mut object, "uid", json!(state.random.uid()));
    meta::set(&mut object, "creationTimestamp", json!(state.stamp()));
    prepare::create(&resource, &mut object);
    let key = State::key(&resource, "", name);
    state.put(
        &resource,
        &key,
        object,
        &Writer::controller("create", "system:apiserver"),
    );
}

/// How long a hanging request hangs: longer than any caller waits.
pub(crate) const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
