//! From checked settings to a running driver.

use std::{sync::Arc, time::Duration};

use rand::RngExt as _;
use tenure_core::{
    Elector, Identity, Nonce, Uid,
    lease::{LeaseConfig, LeaseElector},
    life::{LifeConfig, LifeElector, Me, ProcessId},
};
use tokio::sync::watch;

use crate::{
    beside::{About, LabelPlan, Plan},
    builder::{Builder, Kind},
    call::Resource,
    candidacy::Candidacy,
    client::Connection,
    context_info::{ContextInfo, OwnPod},
    driver::{Driver, Outside, Parts},
    election::LeaderElection,
    error::{ElectionError, SettingsError},
    holders::Holders,
    lock::{Lock, lease::LeaseLock, lease_json::Extras, life::LifeLock},
    names, orders,
    process::Processes,
    telling::Telling,
    wire::Wire,
};

impl Builder {
    pub(crate) fn begin(
        self,
        connect: Connect,
        context: &ContextInfo,
    ) -> Result<LeaderElection, ElectionError> {
        match self.kind {
            Kind::Lease => self.begin_lease(connect, context),
            Kind::ConfigMap | Kind::LeaderLock => self.begin_life(connect, context),
        }
    }

    fn begin_lease(
        self,
        connect: Connect,
        context: &ContextInfo,
    ) -> Result<LeaderElection, ElectionError> {
        let timing = self.timing.build().map_err(SettingsError::from)?;
        let nonce = self.nonce();
        let identity = match &self.identity {
            Some(fixed) => Identity::fixed(fixed),
            None => Identity::unique(context.name_for_identity(), context.pod_uid(), &nonce),
        }
        .map_err(SettingsError::from)?;
        let namespace = self.namespace_in(context)?;
        let elector = LeaseElector::new(LeaseConfig {
            identity: identity.clone(),
            nonce,
            timing,
            wait_when_absent: self.wait_when_absent,
            cooldown: self.cooldown.unwrap_or(timing.retry_period()),
            trust_remote_clock: self.trust_remote_clock,
            spread_renewals: self.shared.is_some(),
            seed: self.seed.unwrap_or_else(|| rand::rng().random()),
        });
        let plan = self.plan(
            context,
            Resource::lease(&namespace, &self.name),
            identity.as_str(),
            Some(timing.lease_duration()),
        )?;
        let (name, extras) = (self.name.clone(), self.extras());
        let make = {
            let namespace = namespace.clone();
            let shared = self
                .shared
                .as_ref()
                .map(|sharing| sharing.within(&namespace));
            move |wire| {
                LeaseLock::new(wire, &namespace, &name, timing.call_limit(), extras).sharing(shared)
            }
        };
        self.start(
            connect,
            namespace,
            identity.into(),
            timing.grace(),
            elector,
            plan,
            make,
        )
    }

    fn begin_life(
        self,
        connect: Connect,
        context: &ContextInfo,
    ) -> Result<LeaderElection, ElectionError> {
        let pod = context.own_pod()?;
        if let Some(asked) = self
            .namespace
            .as_deref()
            .filter(|asked| *asked != pod.namespace())
        {
            return Err(SettingsError::NotThePodsNamespace {
                asked: asked.to_owned(),
                pods: pod.namespace().to_owned(),
            }
            .into());
        }
        let timing = self.life;
        let elector = LifeElector::new(LifeConfig {
            me: me(pod, &*self.processes),
            nonce: self.nonce(),
            timing,
            delete_on_release: self.release,
            seed: self.seed.unwrap_or_else(|| rand::rng().random()),
        });
        let resource = match self.kind {
            Kind::LeaderLock => Resource::leader_lock(pod.namespace(), &self.name),
            _ => Resource::config_map(pod.namespace(), &self.name),
        };
        let plan = self.plan(context, resource.clone(), pod.name(), None)?;
        let extras = self.extras();
        let processes = Arc::clone(&self.processes);
        let make = move |wire| LifeLock::new(wire, resource, timing.call_limit, extras, processes);
        let (namespace, identity) = (pod.namespace().to_owned(), pod.name().into());
        self.start(
            connect,
            namespace,
            identity,
            timing.grace,
            elector,
            plan,
            make,
        )
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "what the kinds of lock differ in"
    )]
    fn start<L, M>(
        self,
        connect: Connect,
        namespace: String,
        identity: Arc<str>,
        grace: Duration,
        elector: L::Elector,
        plan: Plan,
        make: M,
    ) -> Result<LeaderElection, ElectionError>
    where
        L: Lock,
        L::Elector: Elector,
        M: FnOnce(Wire) -> L + Send + 'static,
    {
        let (orders, order_receiver) = orders::orders();
        let (status, status_receiver) = watch::channel(elector.status());
        let holders = Arc::new(Holders::default());
        let candidacy = Candidacy::new(self.name, namespace, identity, self.clock);
        let election = LeaderElection::new(
            orders.clone(),
            status_receiver,
            &holders,
            Arc::clone(&candidacy),
        );
        let telling = Telling::new(Arc::clone(&candidacy));
        let release_on_drop = self.release_on_drop;
        // A leader for life's core knows by itself whether to delete the lock (F10).
        let release = self.release || self.kind != Kind::Lease;
        let driver = move |connection: Connection| {
            let telling = telling.with(plan.over(&connection.wire(), &candidacy.clock));
            Driver::new(Parts {
                lock: make(connection.wire()),
                warmth: connection.warmth(),
                elector,
                orders: order_receiver,
                order_sender: orders.downgrade(),
                outside: Outside { status, holders },
                candidacy,
                release,
                release_on_drop,
                grace,
                telling,
            })
        };
        if self.dedicated_thread {
            connect.on_a_thread(driver)?;
        } else {
            let connection = connect.connection()?;
            tokio::spawn(driver(connection).run());
        }
        Ok(election)
    }

    /// What is to be done besides leading by `lock`.
    fn plan(
        &self,
        context: &ContextInfo,
        lock: Resource,
        identity: &str,
        lease: Option<Duration>,
    ) -> Result<Plan, ElectionError> {
        let labels = if self.label_pod {
            let pod = context.own_pod_ref().map_err(ElectionError::Context)?;
            let uid = match &pod.uid {
                Some(uid) => uid.clone(),
                None => context.own_pod()?.uid().to_owned(),
            };
            if pod.namespace != lock.namespace() {
                return Err(SettingsError::LabelsElsewhere {
                    lock: lock.namespace().to_owned(),
                    pods: pod.namespace,
                }
                .into());
            }
            Some(LabelPlan::new(pod, uid, lock.name().into(), lease))
        } else {
            None
        };
        let events = self.events.then(|| About {
            lock,
            identity: identity.into(),
            pod: context.own_pod_ref().ok(),
            run: self.seed.unwrap_or_else(|| rand::rng().random()),
        });
        Ok(Plan { events, labels })
    }

    fn nonce(&self) -> Nonce {
        match self.seed {
            Some(seed) => Nonce::from_bits(u128::from(seed)),
            None => Nonce::from_bits(rand::rng().random()),
        }
    }

    fn namespace_in(&self, context: &ContextInfo) -> Result<String, SettingsError> {
        let namespace = self
            .namespace
            .as_deref()
            .unwrap_or_else(|| context.namespace());
        names::check_label(namespace)?;
        Ok(namespace.to_owned())
    }

    fn extras(&self) -> Extras {
        Extras {
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
        }
    }
}

/// Who this process is, as far as it can be told for certain (F1 to F3).
fn me(pod: &OwnPod, processes: &dyn Processes) -> Me {
    Me {
        pod_name: pod.name().into(),
        pod_uid: Uid::new(pod.uid()),
        container: pod.container().map(Into::into),
        container_id: pod.container_id().map(Into::into),
        single_container: pod.has_one_container(),
        process: processes.own().map(|process| ProcessId {
            pid: process.pid,
            start_time: process.start,
            boot_id: process.boot.into(),
            pid_namespace: process.pid_namespace.into(),
        }),
    }
}

/// Where the election's client comes from.
pub(crate) enum Connect {
    To(Box<kube::Config>),
    Ready(Connection),
}

impl Connect {
    fn connection(self) -> Result<Connection, ElectionError> {
        match self {
            Self::To(config) => {
                Connection::new(*config).map_err(|error| ElectionError::Kubernetes(Box::new(error)))
            }
            Self::Ready(connection) => Ok(connection),
        }
    }

    /// A client's connections live on the runtime that made it, so it is made there.
    fn on_a_thread<L: Lock>(
        self,
        driver: impl FnOnce(Connection) -> Box<Driver<L>> + Send + 'static,
    ) -> Result<(), ElectionError> {
        let failed = |error: std::io::Error| {
            ElectionError::Kubernetes(Box::new(kube::Error::Service(error.into())))
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let connection = {
            let _inside = runtime.enter();
            self.connection()?
        };
        std::thread::Builder::new()
            .name("tenure".to_owned())
            .spawn(move || runtime.block_on(driver(connection).run()))
            .map_err(failed)?;
        Ok(())
    }
}
