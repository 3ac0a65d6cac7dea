//! From a lock's name to a running election.

use std::{sync::Arc, time::Duration};

use tenure_core::{Identity, LeaseTiming, LifeTiming, TimingError, timing::LeaseTimingBuilder};

use crate::{
    begin::Connect,
    beside::CANDIDATE_LABEL,
    client::Connection,
    clock::{self, SharedClock},
    context_info::ContextInfo,
    election::LeaderElection,
    error::{ElectionError, SettingsError},
    lock::{
        asked_json::{PAUSED_ANNOTATION, STEP_DOWN_ANNOTATION},
        life_json::OWNER_ANNOTATION,
        written::WRITE_ANNOTATION,
    },
    names,
    process::{SharedProcesses, SystemProcesses},
    set::Sharing,
};

/// What an election is made of. Nothing has to be set to be safe.
#[derive(Clone, Debug)]
#[must_use = "an election begins with `build` or `in_cluster`"]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Builder {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) timing: LeaseTimingBuilder,
    pub(crate) life: LifeTiming,
    pub(crate) release: bool,
    pub(crate) release_on_drop: bool,
    pub(crate) identity: Option<String>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) annotations: Vec<(String, String)>,
    pub(crate) wait_when_absent: bool,
    pub(crate) cooldown: Option<Duration>,
    pub(crate) trust_remote_clock: Option<Duration>,
    pub(crate) dedicated_thread: bool,
    pub(crate) events: bool,
    pub(crate) label_pod: bool,
    pub(crate) connection: Option<Connection>,
    /// Set for those of a set.
    pub(crate) shared: Option<Sharing>,
    pub(crate) clock: SharedClock,
    pub(crate) processes: SharedProcesses,
    pub(crate) seed: Option<u64>,
    set: Vec<(&'static str, Option<Kind>)>,
}

/// A kind of lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A `Lease` that is renewed.
    Lease,
    /// A `ConfigMap` that its owner Pod keeps for life.
    ConfigMap,
    /// A `LeaderLock` that its owner Pod keeps for life.
    LeaderLock,
}

impl LeaderElection {
    /// Election by a `Lease` that the leader renews: a dead leader is replaced when its lease has
    /// run out, and no Pod is needed. The usual choice.
    pub fn lease_lock(name: impl Into<String>) -> Builder {
        Builder::new(Kind::Lease, name.into())
    }

    /// Leader for life on a `ConfigMap`: it leads until its Pod is gone and the garbage collector
    /// has removed the lock (or until it gives it up). Needs a Pod.
    pub fn config_map_lock(name: impl Into<String>) -> Builder {
        Builder::new(Kind::ConfigMap, name.into())
    }

    /// Leader for life on the custom resource `LeaderLock` (see [`crd`](crate::crd)). Needs a Pod.
    pub fn leader_lock(name: impl Into<String>) -> Builder {
        Builder::new(Kind::LeaderLock, name.into())
    }
}

impl Builder {
    fn new(kind: Kind, name: String) -> Self {
        Self {
            kind,
            name,
            namespace: None,
            timing: LeaseTiming::builder(),
            life: LifeTiming::default(),
            release: true,
            release_on_drop: false,
            identity: None,
            labels: Vec::new(),
            annotations: Vec::new(),
            wait_when_absent: false,
            cooldown: None,
            trust_remote_clock: None,
            dedicated_thread: false,
            events: false,
            label_pod: false,
            connection: None,
            shared: None,
            clock: clock::system_clock(),
            processes: Arc::new(SystemProcesses),
            seed: None,
            set: Vec::new(),
        }
    }

    fn only(mut self, kind: Option<Kind>, what: &'static str) -> Self {
        self.set.push((what, kind));
        self
    }

    /// The namespace of the lock. Default: the context's. For leader for life it must be the own
    /// Pod's, since an owner and what it owns share one.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// D: how long others wait after the last sign of life. Whole seconds, 1 s to 2^31 - 1 s;
    /// rounded up. Default 15 s. Lease only.
    pub fn lease_duration(mut self, duration: Duration) -> Self {
        self.timing = self.timing.lease_duration(duration);
        self.only(Some(Kind::Lease), LEASE_ONLY)
    }

    /// H: how long a successful renewal is trusted. Less than D by the margin of rule L3. Default:
    /// two thirds of D. Lease only.
    pub fn renew_deadline(mut self, duration: Duration) -> Self {
        self.timing = self.timing.renew_deadline(duration);
        self.only(Some(Kind::Lease), LEASE_ONLY)
    }

    /// R: the pause between renewals. Default: a fifth of H. Lease only.
    pub fn retry_period(mut self, duration: Duration) -> Self {
        self.timing = self.timing.retry_period(duration);
        self.only(Some(Kind::Lease), LEASE_ONLY)
    }

    /// C: how long one call to the API server may take. Default: a quarter of what R leaves of H,
    /// 2 s with the default timings; 10 s for leader for life.
    pub fn call_limit(mut self, duration: Duration) -> Self {
        self.timing = self.timing.call_limit(duration);
        self.life.call_limit = duration;
        self
    }

    /// G: how long the work may take to end once it was told. Default: three eighths of what R
    /// leaves of H, 3 s with the default timings; 10 s for leader for life.
    pub fn grace(mut self, duration: Duration) -> Self {
        self.timing = self.timing.grace(duration);
        self.life.grace = duration;
        self
    }

    /// rho: how wrong clocks' rates may be, 0 to 0.5. Default 0.05. Lease only.
    pub fn clock_error(mut self, rho: f64) -> Self {
        self.timing = self.timing.clock_error(rho);
        self.only(Some(Kind::Lease), LEASE_ONLY)
    }

    /// The pauses between tries: the first, doubled up to the longest. Default 1 s to 30 s. Leader
    /// for life only; a watch wakes a waiter without any pause.
    pub fn retry(mut self, first: Duration, most: Duration) -> Self {
        self.life.retry_first = first;
        self.life.retry_most = most;
        self.only(None, LIFE_ONLY)
    }

    /// Whether the lock is deleted when leadership is given up, rather than left to the garbage
    /// collector. Default true. Leader for life only.
    pub fn delete_lock_on_release(mut self, delete: bool) -> Self {
        self.release = delete;
        self.only(None, LIFE_ONLY)
    }

    /// Whether the Lease is freed when leadership is given up, rather than left to run out.
    /// Default true. Lease only.
    pub fn release(mut self, release: bool) -> Self {
        self.release = release;
        self.only(Some(Kind::Lease), LEASE_ONLY)
    }

    /// Whether dropping a [`Leadership`](crate::Leadership) gives the lock up. Default false.
    ///
    /// **Danger**: a drop cannot know whether the work has ended. If anything that was started
    /// under the leadership still runs (a spawned task, a thread, a request under way), it works
    /// beside the next leader. Turn it on only where nothing outlives the value.
    pub fn release_on_drop(mut self, release: bool) -> Self {
        self.release_on_drop = release;
        self
    }

    /// A fixed identity (rule L8). Default: unique for each start of a process,
    /// `<pod name>_<pod uid>_<nonce>`. Lease only.
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self.only(Some(Kind::Lease), LEASE_ONLY)
    }

    /// A label to be put on the lock.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// An annotation to be put on the lock.
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.push((key.into(), value.into()));
        self
    }

    /// Never create a Lease with oneself as its holder, even without any sign that there was one:
    /// create it free and wait one lease duration (rule L14, the strict way). It closes the case
    /// in which a held Lease is deleted and a candidate that never saw it comes next. Default
    /// false. Lease only.
    pub fn wait_when_absent(mut self, wait: bool) -> Self {
        self.wait_when_absent = wait;
        self.only(Some(Kind::Lease), LEASE_ONLY)
    }

    /// For how long whoever gave the Lease up leaves it to others (rule L23), 0 s to 1 h. Default:
    /// one retry period. It ends early where nobody else comes: after a second, or a tenth of D
    /// where that is less. Lease only.
    pub fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = Some(cooldown);
        self.only(Some(Kind::Lease), LEASE_ONLY)
    }

    /// Do not wait out a Lease that, when this process first sees it, has by its own `renewTime`
    /// not been renewed for longer than its duration, ours, and `max_skew` (rule L24). Default: wait
    /// (rule L2). Lease only.
    ///
    /// A first start after a night without any leader then leads at once, rather than after one
    /// lease duration. It is judged once, at the first sight; a record that lacks its holder, its
    /// duration or its `renewTime` is waited out.
    ///
    /// **Danger**: it rests on wall clocks, the only thing here that does. If the clock of the
    /// machine that renews is behind this one's by more than `max_skew`, or this one's ahead, a
    /// leader that is alive is taken for a dead one, and two lead until the first hears of it. Turn
    /// it on only where the clocks of all machines are watched, and `max_skew` is well above what
    /// they have ever been apart. A minute is little.
    pub fn trust_remote_clock(mut self, max_skew: Duration) -> Self {
        self.trust_remote_clock = Some(max_skew);
        self.only(Some(Kind::Lease), LEASE_ONLY)
    }

    /// Run the election on a thread and a connection of its own, so that a starved runtime cannot
    /// keep it from renewing. `is_leading` is right in any case.
    pub fn dedicated_thread(mut self) -> Self {
        self.dedicated_thread = true;
        self
    }

    /// Tell in Kubernetes Events (`events.k8s.io/v1`), beside the lock, when a term begins
    /// (`BecameLeader`) and when it ends (`StoppedLeading`), with the reason. Default: not.
    ///
    /// They are written by a task of their own, which leading never waits for: an Event that the API
    /// server does not take within half a minute is left out, as are those of more than ten terms within a
    /// few minutes; the next one says how many. It needs the right to create events
    /// ([`Rights::events`](crate::rbac::Rights::events)); without it, that is said once in the log. At the
    /// end of the election the last one has up to a second to leave, which
    /// [`close`](LeaderElection::close) waits for.
    pub fn events(mut self) -> Self {
        self.events = true;
        self
    }

    /// Label the own Pod: `tenure.dev/candidate: <name of the lock>` while it stands or leads, and
    /// `tenure.dev/role: leader` only while it leads. Default: not. A Service can select by them.
    ///
    /// A task of its own keeps them so, and leading never waits for it: it looks every 10 s (at most half a
    /// lease duration), puts back what somebody changed, and takes the role from Pods whose process
    /// could not give it up, where it has the rights for it
    /// ([`Rights::label_pod`](crate::rbac::Rights::label_pod)). The labels follow leadership, with a lag;
    /// they are for routing and for people, and grant nothing. One election of a Pod can have them. The
    /// lock's name must be a label's value (at most 63 characters), and the lock in the Pod's namespace.
    pub fn label_pod(mut self) -> Self {
        self.label_pod = true;
        self
    }

    /// Share a connection with other elections instead of opening one.
    pub fn connection(mut self, connection: &Connection) -> Self {
        self.connection = Some(connection.clone());
        self
    }

    /// Another clock than the machine's, for tests.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// Other processes than the machine's, for simulations (rule F3).
    #[doc(hidden)]
    pub fn processes(mut self, processes: SharedProcesses) -> Self {
        self.processes = processes;
        self
    }

    /// Where the spread of contenders comes from, for tests that must be repeatable. The nonce
    /// follows from it too, so two candidates must never share one.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Find configuration and context where this process runs (see
    /// [`ContextInfo::discover`]), and begin.
    ///
    /// # Errors
    /// As [`build`](Self::build), and [`ElectionError::Config`] or [`ElectionError::Context`] if
    /// they cannot be found.
    pub async fn in_cluster(self) -> Result<LeaderElection, ElectionError> {
        self.check()?;
        let config = kube::Config::infer()
            .await
            .map_err(|error| ElectionError::Config(Box::new(error)))?;
        let context = ContextInfo::discover(&config).await?;
        self.build(config, context)
    }

    /// Begin. The election makes its own client from `config` (rule L16).
    ///
    /// # Errors
    /// [`ElectionError::Settings`] for settings that make no sense, with the rule in the text;
    /// [`ElectionError::Context`] if the context lacks what this kind of lock needs;
    /// [`ElectionError::Kubernetes`] if no client can be made. Whether the API server answers is
    /// not tried.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "an election has its own context"
    )]
    pub fn build(
        self,
        config: kube::Config,
        context: ContextInfo,
    ) -> Result<LeaderElection, ElectionError> {
        self.check()?;
        let connect = match &self.connection {
            Some(connection) => Connect::Ready(connection.clone()),
            None => Connect::To(Box::new(config)),
        };
        self.begin(connect, &context)
    }

    /// As [`build`](Self::build), over a client that somebody made: for servers inside the
    /// process. A client that retries by itself breaks rule L16.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "an election has its own context"
    )]
    pub fn build_over(
        self,
        client: kube::Client,
        context: ContextInfo,
    ) -> Result<LeaderElection, ElectionError> {
        self.check()?;
        self.begin(Connect::Ready(Connection::over(client)), &context)
    }

    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        names::check_subdomain(&self.name)?;
        if let Some(namespace) = &self.namespace {
            names::check_label(namespace)?;
        }
        self.timing.build()?;
        self.life.check()?;
        if let Some(asked) = self.cooldown.filter(|asked| *asked > LONGEST_COOLDOWN) {
            return Err(SettingsError::Cooldown(asked));
        }
        if let Some(identity) = &self.identity {
            Identity::fixed(identity)?;
        }
        for (what, kind) in &self.set {
            let fits = match kind {
                Some(kind) => *kind == self.kind,
                None => self.kind != Kind::Lease,
            };
            if !fits {
                return Err(SettingsError::NotForThisLock(what));
            }
        }
        if self.label_pod {
            let label = [(CANDIDATE_LABEL.to_owned(), self.name.clone())];
            names::check_metadata(&label, &[], &[])?;
        }
        let reserved = [
            WRITE_ANNOTATION,
            OWNER_ANNOTATION,
            STEP_DOWN_ANNOTATION,
            PAUSED_ANNOTATION,
        ];
        names::check_metadata(&self.labels, &self.annotations, &reserved)
    }
}

const LONGEST_COOLDOWN: Duration = Duration::from_secs(3600);
const LEASE_ONLY: &str = "this setting is for a Lease (lease_duration, renew_deadline, \
    retry_period, clock_error, release, identity, wait_when_absent, cooldown, \
    trust_remote_clock): a leader for life has no \
    lease, and is known by its Pod; leave it out";
const LIFE_ONLY: &str = "this setting is for leader for life (retry, delete_lock_on_release): a \
    Lease has retry_period and release; leave it out";

impl From<TimingError> for ElectionError {
    fn from(error: TimingError) -> Self {
        Self::Settings(error.into())
    }
}
