//! Which cluster, and whether it is there.

mod kubeconfig;

use std::{path::PathBuf, time::Duration};

use http::Request;
use kube::{Client, Config, config::KubeConfigOptions};
use serde_json::Value;
use tenure::{
    ContextError,
    context_info::{SystemSources, default_namespace as default_namespace_of},
};

use crate::{args::ClusterArgs, failure::Failure};

/// A choice of cluster; what is left out is found as kubectl finds it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterChoice {
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) context: Option<String>,
}

impl From<ClusterArgs> for ClusterChoice {
    fn from(args: ClusterArgs) -> Self {
        let ClusterArgs {
            kubeconfig,
            context,
        } = args;
        Self {
            kubeconfig,
            context,
        }
    }
}

/// What is known about a namespace.
#[derive(Debug)]
pub(crate) enum Namespace {
    There,
    Missing,
    /// It may be there: the server does not answer, or does not tell everybody.
    Unknown(kube::Error),
    /// No answer within [`ANSWER_LIMIT`].
    Silent,
}

/// How long a first question to the server may take.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(5);

impl ClusterChoice {
    /// The configuration of that cluster.
    pub(crate) async fn config(&self) -> Result<Config, Failure> {
        let choice = self.clone();
        let (read, files) = apart(move || kubeconfig::read(choice.kubeconfig.as_deref())).await?;
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let configured = match read {
            Ok(Some(kubeconfig)) => {
                let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
                config.map_err(|error| files.unusable(&error.to_string()).because(error))
            }
            Ok(None) if self.context.is_some() => Err(Failure::failed(
                "--context names one of a kubeconfig, and there is none here; name a file with \
                 --kubeconfig FILE or KUBECONFIG",
            )),
            Ok(None) => Err(Failure::failed(
                "no cluster is configured here; name one with --kubeconfig FILE or KUBECONFIG, or start \
                 one with `tenure dev-server`",
            )),
            Err(failure) => Err(failure),
        };
        if files.is_named() || self.context.is_some() {
            return configured;
        }
        // As kube infers it: in a Pod there is another way, whatever is wrong with a file.
        let mut config = configured.or_else(|failure| Config::incluster().map_err(|_| failure))?;
        config.apply_debug_overrides();
        Ok(config)
    }
}

/// Does this on a thread of its own, where it holds up neither a signal nor a limit on the wait: making a
/// client runs the command that a kubeconfig names for credentials, and a file may be a pipe.
pub(crate) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| {
        Failure::failed("the cluster's configuration broke off; please report it").because(error)
    })
}

/// A client for what is not election: it gives up rather than to go on trying for minutes.
pub(crate) async fn client(config: Config) -> Result<Client, Failure> {
    let made = apart(move || tenure::client::election_client(config)).await?;
    made.map_err(|error| {
        Failure::failed(
            "no client can be made from this configuration; check its server address, certificates \
             and credentials",
        )
        .because(error)
    })
}

/// Looks for a namespace.
pub(crate) async fn find_namespace(client: &Client, namespace: &str) -> Namespace {
    let request = Request::get(format!("/api/v1/namespaces/{namespace}")).body(Vec::new());
    let Ok(request) = request else {
        return Namespace::Missing;
    };
    let answer = tokio::time::timeout(ANSWER_LIMIT, client.request::<Value>(request)).await;
    match answer {
        Ok(Ok(_)) => Namespace::There,
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Namespace::Missing,
        Ok(Err(error)) => Namespace::Unknown(error),
        Err(_) => Namespace::Silent,
    }
}

/// The namespace that is meant where none is named; `configured` is the kubeconfig's. By the same order
/// for all verbs (`tenure::context_info`).
pub(crate) fn default_namespace(configured: &str) -> Result<String, Failure> {
    default_namespace_of(&SystemSources, configured).map_err(no_namespace_known)
}

/// What to say where nothing tells the namespace, or nothing that can be one.
pub(crate) fn no_namespace_known(error: ContextError) -> Failure {
    let told = match &error {
        ContextError::NamespaceInvalid {
            namespace,
            source_name,
        } => format!(
            "{namespace:?}, from {source_name}, cannot be a namespace; correct it, or name one with \
             --namespace"
        ),
        ContextError::NamespaceUnknown => {
            "the namespace of the lock is not known; name it with --namespace".to_owned()
        }
        error => error.to_string(),
    };
    Failure::failed(told).because(error)
}

/// What to say of a namespace that is not there.
pub(crate) fn no_namespace(namespace: &str) -> Failure {
    Failure::failed(format!(
        "there is no namespace {namespace:?} in this cluster; create it (kubectl create namespace \
         {namespace}), or name another with --namespace"
    ))
}
