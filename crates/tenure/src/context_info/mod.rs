//! Who and where this process is.
//!
//! | what | from, in this order | needed for |
//! |---|---|---|
//! | namespace | `NAMESPACE`, `POD_NAMESPACE`, the service account's file, the kubeconfig | every lock |
//! | Pod's name | `POD_NAME`, the token's claim | leader for life |
//! | Pod's uid | `POD_UID`, the token's claim and the kubelet's mounts, which must agree; and the Pod read by its name (rule F2) | leader for life |
//! | container | the kubelet's mount of the termination log, `CONTAINER_NAME`, a Pod with one container (rule F3) | re-entry after a restart |
//! | container's id | control group of this process below that of its Pod | certain death |
//!
//! A Lease needs no Pod: what is missing is then left out of the identity. What is missing for
//! leader for life is kept as an error that says what to add to which manifest, and returned by
//! [`ContextInfo::own_pod`].

mod error;
mod mounts;
mod pod;
mod sources;
mod token;

use std::time::Duration;

use kube::{Client, Config};
use tenure_core::Outcome;

pub use self::{
    error::ContextError,
    pod::OwnPod,
    sources::{FixedSources, Sources, SystemSources},
};
use crate::{
    beside::PodRef,
    call::{self, Resource, with_causes},
    client::election_client,
    names,
    wire::Wire,
};
use mounts::Mounts;
use token::Claims;

/// Who and where this process is. Discovered, or built by hand with
/// [`outside`](Self::outside).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextInfo {
    namespace: String,
    name: String,
    pod_uid: Option<String>,
    container: Option<String>,
    container_id: Option<String>,
    service_account: Option<String>,
    pod: Result<OwnPod, ContextError>,
    /// The own Pod by what this process was told, where it could not be read.
    told: Option<PodRef>,
}

impl ContextInfo {
    /// A context by hand, for a program that runs outside of a cluster, or in a test: the
    /// namespace of its locks, and a name that people know it by.
    pub fn outside(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            pod_uid: None,
            container: None,
            container_id: None,
            service_account: None,
            pod: Err(ContextError::NoPod),
            told: None,
        }
    }

    /// Say which Pod this process stands for. With this, leader for life works where nothing can
    /// be discovered.
    #[must_use]
    pub fn with_pod(mut self, pod: OwnPod) -> Self {
        self.name.clone_from(&pod.name);
        self.pod_uid = Some(pod.uid.clone());
        self.container.clone_from(&pod.container);
        self.container_id.clone_from(&pod.container_id);
        self.service_account.clone_from(&pod.service_account);
        self.pod = Ok(pod);
        self
    }

    /// Put the locks into another namespace. A leader for life cannot: its lock is beside its Pod.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Find out who and where this process is: from its environment, from files of the kubelet's,
    /// and from its own Pod, which is read once if its name is known (up to three tries, 10 s in
    /// all). `config` is that of the election.
    ///
    /// A Pod that is not known or cannot be read is no error here, but in
    /// [`own_pod`](Self::own_pod): a Lease does without.
    ///
    /// # Errors
    /// [`ContextError::NamespaceUnknown`], [`ContextError::NamespaceInvalid`],
    /// [`ContextError::Client`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn discover(config: &Config) -> Result<Self, ContextError> {
        let client = election_client(config.clone())
            .map_err(|error| ContextError::Client(with_causes(&error)))?;
        let token = config.auth_info.token_file.as_deref();
        Self::discover_from(&client, &SystemSources, token).await
    }

    /// [`discover`](Self::discover) over a client that somebody made, and from `sources`.
    /// `token_file` is where the own service account's token is; by default, where Kubernetes
    /// mounts it.
    ///
    /// # Errors
    /// As [`discover`](Self::discover).
    pub async fn discover_from(
        client: &Client,
        sources: &impl Sources,
        token_file: Option<&str>,
    ) -> Result<Self, ContextError> {
        let told = Told::from(sources, token_file);
        let namespace = default_namespace(sources, client.default_namespace())?;
        let pod = match &told.pod_name {
            None => Err(ContextError::PodNameUnknown),
            Some(name) => {
                // A Pod is where its token says; NAMESPACE may speak of the locks alone.
                let home = told.claims.namespace.as_deref().unwrap_or(&namespace);
                read_own_pod(client, home, name)
                    .await
                    .and_then(|pod| told.accept(pod))
            }
        };
        if let Err(error) = &pod {
            tracing::debug!(%error, "the own Pod is not known; a Lease does without");
        }
        let pod_uid = match &pod {
            Ok(pod) => Some(pod.uid.clone()),
            Err(_) => told.uids.first().map(|(uid, _)| uid.clone()),
        };
        let unread = matches!(
            &pod,
            Err(ContextError::PodRefused(_) | ContextError::PodUnread(_))
        );
        let pod_ref = told.pod_ref(&namespace).filter(|_| unread);
        let container = match &pod {
            Ok(pod) => pod.container.clone(),
            Err(_) => told.mounts.container.clone(),
        };
        let container_id = pod_uid.as_deref().and_then(|uid| told.container_id(uid));
        let service_account = match &pod {
            Ok(OwnPod {
                service_account: Some(account),
                ..
            }) => Some(account.clone()),
            _ => told.claims.service_account.clone(),
        };
        Ok(Self {
            namespace,
            name: told.name(sources),
            pod_uid,
            container,
            pod: pod.map(|pod| OwnPod {
                container_id: container_id.clone(),
                ..pod
            }),
            container_id,
            service_account,
            told: pod_ref,
        })
    }

    /// The namespace of the locks.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The Pod's name, or what people know this process by: it begins the identity (rule L8).
    /// Never empty where it was discovered, and without `_`.
    pub fn name_for_identity(&self) -> &str {
        &self.name
    }

    /// The uid of the own Pod, as far as anything tells it.
    pub fn pod_uid(&self) -> Option<&str> {
        self.pod_uid.as_deref()
    }

    /// The name of the own container, as far as anything tells it.
    pub fn container(&self) -> Option<&str> {
        self.container.as_deref()
    }

    /// The id of the own container, without the runtime's prefix, where it can be tied to this
    /// process: what a leader writes down to be found dead by.
    pub fn container_id(&self) -> Option<&str> {
        self.container_id.as_deref()
    }

    /// The own service account, as far as anything tells it.
    pub fn service_account(&self) -> Option<&str> {
        self.service_account.as_deref()
    }

    /// The own Pod, which a leader for life must know.
    ///
    /// # Errors
    /// What is missing or stands against it, with what to add to which manifest.
    pub fn own_pod(&self) -> Result<&OwnPod, ContextError> {
        self.pod.as_ref().map_err(Clone::clone)
    }

    /// The own Pod, as other objects name it: without its uid where that is not known.
    pub(crate) fn own_pod_ref(&self) -> Result<PodRef, ContextError> {
        match (&self.pod, &self.told) {
            (Ok(pod), _) => Ok(PodRef {
                namespace: pod.namespace.clone(),
                name: pod.name.clone(),
                uid: Some(pod.uid.clone()),
            }),
            (Err(_), Some(told)) => Ok(told.clone()),
            (Err(error), None) => Err(error.clone()),
        }
    }
}

/// The namespace of locks for which none is named, by the order of [`discover`](ContextInfo::discover):
/// `NAMESPACE`, `POD_NAMESPACE`, the service account's file, and then `configured`, which is
/// [`Config::default_namespace`]. For a program that looks at locks and stands for none.
///
/// # Errors
/// [`ContextError::NamespaceUnknown`], [`ContextError::NamespaceInvalid`].
pub fn default_namespace(sources: &impl Sources, configured: &str) -> Result<String, ContextError> {
    let file = format!("{SERVICE_ACCOUNT}/namespace");
    let found = [
        (env(sources, "NAMESPACE"), "NAMESPACE"),
        (env(sources, "POD_NAMESPACE"), "POD_NAMESPACE"),
        (filled(sources.read(&file)), "the service account's file"),
        (filled(Some(configured.to_owned())), "the kubeconfig"),
    ];
    let (namespace, source_name) = found
        .into_iter()
        .find_map(|(namespace, by)| Some((namespace?, by)))
        .ok_or(ContextError::NamespaceUnknown)?;
    match names::check_label(&namespace) {
        Ok(()) => Ok(namespace),
        Err(_) => Err(ContextError::NamespaceInvalid {
            namespace,
            source_name,
        }),
    }
}

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const READ_LIMIT: Duration = Duration::from_secs(3);
const READ_PAUSE: Duration = Duration::from_millis(300);
const READ_TRIES: usize = 3;

/// What this process was told about itself.
struct Told {
    pod_name: Option<String>,
    claims: Claims,
    mounts: Mounts,
    container_env: Option<String>,
    /// Every uid that somebody names for the own Pod, and who does.
    uids: Vec<(String, &'static str)>,
    cgroup: String,
    mountinfo: String,
}

impl Told {
    fn from(sources: &impl Sources, token_file: Option<&str>) -> Self {
        let default_token = format!("{SERVICE_ACCOUNT}/token");
        let token = sources
            .read(token_file.unwrap_or(&default_token))
            .unwrap_or_default();
        let claims = token::parse_token(&token);
        let mountinfo = sources.read("/proc/self/mountinfo").unwrap_or_default();
        let mounts = mounts::parse_mountinfo(&mountinfo);
        let uids = [
            (env(sources, "POD_UID"), "POD_UID"),
            (claims.pod_uid.clone(), "the service account's token"),
            (mounts.pod_uid.clone(), "the kubelet's mounts"),
        ];
        Self {
            pod_name: env(sources, "POD_NAME").or_else(|| claims.pod_name.clone()),
            container_env: env(sources, "CONTAINER_NAME"),
            uids: uids
                .into_iter()
                .filter_map(|(uid, by)| Some((uid?, by)))
                .collect(),
            cgroup: sources.read("/proc/self/cgroup").unwrap_or_default(),
            claims,
            mounts,
            mountinfo,
        }
    }

    /// The own Pod, if nothing that is said of it disagrees.
    fn pod_ref(&self, namespace: &str) -> Option<PodRef> {
        let uid = self.uids.first().map(|(uid, _)| uid.clone());
        let agreed = self
            .uids
            .iter()
            .all(|(other, _)| Some(other) == uid.as_ref());
        Some(PodRef {
            namespace: self
                .claims
                .namespace
                .as_deref()
                .unwrap_or(namespace)
                .to_owned(),
            name: self.pod_name.clone().filter(|_| agreed)?,
            uid,
        })
    }

    /// Whether the Pod that was read is the own one (rule F2), and which of its containers this
    /// is (rule F3).
    fn accept(&self, mut pod: OwnPod) -> Result<OwnPod, ContextError> {
        if pod.mirror {
            return Err(ContextError::MirrorPod(pod.name));
        }
        if let [(first, first_source), rest @ ..] = self.uids.as_slice()
            && let Some((second, second_source)) = rest.iter().find(|(uid, _)| uid != first)
        {
            return Err(ContextError::UidsDisagree {
                first: first.clone(),
                first_source,
                second: second.clone(),
                second_source,
            });
        }
        if let Some((claimed, source_name)) = self.uids.iter().find(|(uid, _)| *uid != pod.uid) {
            return Err(ContextError::PodReplaced {
                name: pod.name,
                found: pod.uid,
                claimed: claimed.clone(),
                source_name,
            });
        }
        pod.container = self.container_of(&pod);
        Ok(pod)
    }

    /// Other programs use `CONTAINER_NAME` for things of their own, so one that names none of the
    /// Pod's containers is passed over.
    fn container_of(&self, pod: &OwnPod) -> Option<String> {
        let known = |name: &&String| pod.containers.contains(name);
        let mounted = self.mounts.container.as_ref().filter(known);
        let named = self.container_env.as_ref().filter(known);
        if let (None, None, Some(other)) = (mounted, named, &self.container_env) {
            tracing::info!(
                CONTAINER_NAME = %other,
                containers = ?pod.containers,
                "CONTAINER_NAME names no container of this Pod, and is passed over"
            );
        }
        let only = pod.containers.first().filter(|_| pod.has_one_container());
        mounted.or(named).or(only).cloned()
    }

    fn container_id(&self, uid: &str) -> Option<String> {
        mounts::container_id(&self.cgroup, &self.mountinfo, uid)
    }

    /// What people know this process by. The part of an identity before the first `_` is a name
    /// (L8), so there is none in it.
    fn name(&self, sources: &impl Sources) -> String {
        let name = self
            .pod_name
            .clone()
            .or_else(|| env(sources, "HOSTNAME"))
            .or_else(|| filled(sources.read("/proc/sys/kernel/hostname")))
            .or_else(|| filled(sources.read("/etc/hostname")))
            .unwrap_or_else(|| "tenure".to_owned());
        name.replace(
            |c: char| c == '_' || c.is_control() || c.is_whitespace(),
            "-",
        )
    }
}

async fn read_own_pod(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<OwnPod, ContextError> {
    let read = Resource::pod(namespace, name);
    let wire = Wire::over(client.clone());
    let mut tries = 0;
    loop {
        tries += 1;
        let why = match call::call(&wire, read.get(), READ_LIMIT).await {
            Outcome::Done(object) => match OwnPod::parse(&object) {
                Some(pod) => return Ok(pod),
                None => format!("the answer to a read of the Pod {name} is none"),
            },
            Outcome::NotFound(told) => {
                return Err(ContextError::PodNotFound {
                    name: name.to_owned(),
                    namespace: namespace.to_owned(),
                    told: told.to_string(),
                });
            }
            Outcome::Refused(told) => return Err(ContextError::PodRefused(told.to_string())),
            Outcome::Unknown(told) => told.to_string(),
            Outcome::AlreadyExists | Outcome::Conflict => "a read met a conflict".to_owned(),
        };
        if tries == READ_TRIES {
            return Err(ContextError::PodUnread(why));
        }
        tokio::time::sleep(READ_PAUSE).await;
    }
}

fn env(sources: &impl Sources, name: &str) -> Option<String> {
    filled(sources.env(name))
}

fn filled(text: Option<String>) -> Option<String> {
    let text = text?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
