//! Which cluster, and whether it is there.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http::Request;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;

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
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let Some(path) = &self.kubeconfig else {
            for path in found_kubeconfigs() {
                whole_characters(&path)?;
            }
            return if self.context.is_some() {
                Config::from_kubeconfig(&options).await.map_err(|error| {
                    Failure::failed(format!(
                        "the kubeconfig cannot be used ({error}); correct it, or name another with \
                         --kubeconfig and --context"
                    ))
                    .because(error)
                })
            } else {
                Config::infer().await.map_err(|error| {
                    Failure::failed(
                        "no cluster is configured here; name one with --kubeconfig FILE or \
                         KUBECONFIG, or start one with `tenure dev-server`",
                    )
                    .because(error)
                })
            };
        };
        whole_characters(path)?;
        let unusable = |error: kube::config::KubeconfigError| {
            Failure::failed(format!(
                "the kubeconfig {} cannot be used ({}); correct it, or name another with \
                 --kubeconfig",
                path.display(),
                first_line(&error.to_string()),
            ))
            .because(error)
        };
        let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
        Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(unusable)
    }
}

/// A client for what is not election: it gives up rather than to go on trying for minutes.
pub(crate) fn client(config: Config) -> Result<Client, Failure> {
    tenure::client::election_client(config).map_err(|error| {
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

/// What to say of a namespace that is not there.
pub(crate) fn no_namespace(namespace: &str) -> Failure {
    Failure::failed(format!(
        "there is no namespace {namespace:?} in this cluster; create it (kubectl create namespace \
         {namespace}), or name another with --namespace"
    ))
}

/// The files in which a configuration is looked for where none is named.
fn found_kubeconfigs() -> Vec<PathBuf> {
    match std::env::var_os("KUBECONFIG") {
        Some(paths) => std::env::split_paths(&paths).collect(),
        None => std::env::home_dir()
            .map(|home| home.join(".kube/config"))
            .into_iter()
            .collect(),
    }
}

/// Refuses a file in UTF-16 that ends within a character: kube panics over it. Whether there is
/// such a file at all is its business.
fn whole_characters(path: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let is_utf16 = matches!(bytes.as_slice(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    if is_utf16 && !bytes.len().is_multiple_of(2) {
        return Err(Failure::failed(format!(
            "the kubeconfig {} cannot be used (it is UTF-16, and ends within a character); correct \
             it, or name another with --kubeconfig",
            path.display()
        )));
    }
    Ok(())
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_ends_within_a_character_is_refused() {
        for bytes in [&b"\xff\xfea"[..], b"\xfe\xff\0a\0", b"\xff\xfe\0"] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            let choice = ClusterChoice {
                kubeconfig: Some(file.path().to_owned()),
                context: None,
            };
            let told = choice.config().await.unwrap_err().message(false);
            assert!(told.contains("ends within a character"), "{told}");
        }
    }
}
