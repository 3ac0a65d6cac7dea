//! Many Leases in one process.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use kube::Client;

use crate::{
    begin::Connect,
    builder::{Builder, Kind},
    client::Connection,
    context_info::ContextInfo,
    election::LeaderElection,
    error::{ElectionError, SettingsError},
    lock::{gate::Gate, hub::Hub, lease::Shared},
};

/// Elections for many Leases in one process: what is shared between them is shared. Cheap to clone.
///
/// ```no_run
/// use tenure::{LeaderElection, LeaderElectionSet, LeadershipHandle};
///
/// async fn serve(shard: u32, leadership: LeadershipHandle) -> Result<(), std::io::Error> {
///     while leadership.is_leading() {
///         // one step for this shard
///         # let _ = shard;
///         # tokio::task::yield_now().await;
///     }
///     Ok(())
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let set = LeaderElectionSet::in_cluster().await?;
/// for shard in 0..1000 {
///     let election = set.add(LeaderElection::lease_lock(format!("shard-{shard}")))?;
///     tokio::spawn(async move { election.run_until_done(|leadership| serve(shard, leadership)).await });
/// }
/// # Ok(())
/// # }
/// ```
///
/// Each is a [`LeaderElection`] like any other, with the same rules and the same ways to lead. What
/// a thousand of them by themselves would cost, a set does once:
///
/// - **one watch** for each namespace, on all its Leases. A watch cannot be narrowed to several
///   names, so the right to it holds for the whole namespace ([`Rights::set`](crate::rbac::Rights::set),
///   `tenure rbac --set`). Without that right each lock is polled.
/// - **one client**, with at most 16 writes and 8 reads under way at once (up to 64 of each where the API
///   server is far away), and so few connections.
///   A call that waits for its turn waits within its call limit (rule L16), and validity counts from
///   before it waited (rule L1). At a server that is too slow for all, the lock that has been without an
///   answer for longest is next, and fewer calls are under way at once.
/// - **renewals spread over the retry period**: after it was acquired a Lease is renewed for the
///   first time at a random moment of that period, and from then on once in each; at one of 64
///   moments that all share, and up to a 64th of the period early rather than late.
///
/// A lock is removed from the set by dropping its election, and what came of it. The watch ends with
/// the last election of its namespace.
#[derive(Clone)]
pub struct LeaderElectionSet {
    sharing: Sharing,
    connection: Connection,
    context: ContextInfo,
}

impl LeaderElectionSet {
    /// Find configuration and context where this process runs, as
    /// [`Builder::in_cluster`] does.
    ///
    /// # Errors
    /// [`ElectionError::Config`] or [`ElectionError::Context`] if they cannot be found;
    /// [`ElectionError::Kubernetes`] if no client can be made.
    pub async fn in_cluster() -> Result<Self, ElectionError> {
        let config = kube::Config::infer()
            .await
            .map_err(|error| ElectionError::Config(Box::new(error)))?;
        let context = ContextInfo::discover(&config).await?;
        Self::new(config, context)
    }

    /// A set that makes its own client from `config` (rule L16).
    ///
    /// # Errors
    /// [`ElectionError::Kubernetes`] if no client can be made. Whether the API server answers is
    /// not tried.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(config: kube::Config, context: ContextInfo) -> Result<Self, ElectionError> {
        let connection =
            Connection::new(config).map_err(|error| ElectionError::Kubernetes(Box::new(error)))?;
        Ok(Self::over(&connection, context))
    }

    /// A set over connections that somebody made.
    pub fn over(connection: &Connection, context: ContextInfo) -> Self {
        Self {
            sharing: Sharing(Arc::new(Inner {
                client: connection.client(),
                gate: Gate::new(),
                hubs: Mutex::default(),
            })),
            connection: connection.clone(),
            context,
        }
    }

    /// Begin an election for the Lease that `builder` is about. Its namespace is the builder's, else
    /// the context's.
    ///
    /// The same name may be added again: then two candidates of this process stand for it.
    ///
    /// # Errors
    /// [`ElectionError::Settings`] for settings that make no sense, and for what cannot be shared:
    /// a lock for life, a dedicated thread, another connection.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn add(&self, mut builder: Builder) -> Result<LeaderElection, ElectionError> {
        builder.check()?;
        let refused = match &builder {
            Builder { kind, .. } if *kind != Kind::Lease => Some(LEASES_ONLY),
            Builder {
                dedicated_thread: true,
                ..
            } => Some(NO_THREADS),
            Builder {
                connection: Some(_),
                ..
            } => Some(OWN_CONNECTION),
            Builder {
                label_pod: true, ..
            } => Some(ONE_LABEL),
            _ => None,
        };
        if let Some(why) = refused {
            return Err(SettingsError::NotInASet(why).into());
        }
        builder.shared = Some(self.sharing.clone());
        builder.begin(Connect::Ready(self.connection.clone()), &self.context)
    }
}

impl fmt::Debug for LeaderElectionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaderElectionSet")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

const LEASES_ONLY: &str = "a set is for Leases: a lock for life is not renewed, and has nothing that \
    many could share; build it by itself";
const NO_THREADS: &str = "the elections of a set share one runtime, so none has a thread of its own: \
    leave dedicated_thread out, or make the set on a thread of yours";
const OWN_CONNECTION: &str = "the elections of a set share its connection: leave connection out, or \
    make the set over that connection (LeaderElectionSet::over)";

const ONE_LABEL: &str =
    "a Pod has one label for its lock, and a set many locks: leave label_pod out";

/// What the elections of a set share.
#[derive(Clone)]
pub(crate) struct Sharing(Arc<Inner>);

struct Inner {
    client: Client,
    gate: Gate,
    /// By namespace. A hub lives as long as somebody listens.
    hubs: Mutex<BTreeMap<String, Weak<Hub>>>,
}

impl Sharing {
    /// What those of one namespace share.
    pub(crate) fn within(&self, namespace: &str) -> Shared {
        let mut hubs = self.0.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        let hub = hubs.get(namespace).and_then(Weak::upgrade);
        let hub = hub.unwrap_or_else(|| {
            let hub = Hub::new(self.0.client.clone(), namespace);
            hubs.retain(|_, hub| hub.strong_count() > 0);
            hubs.insert(namespace.to_owned(), Arc::downgrade(&hub));
            hub
        });
        Shared {
            hub,
            gate: self.0.gate.clone(),
        }
    }
}

impl fmt::Debug for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sharing").finish_non_exhaustive()
    }
}
