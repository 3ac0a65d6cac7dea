//! No candidate: what clients of the Kubernetes API cost that do no more than to watch one Lease, by the
//! same crates and features. What a program on the library has beyond this is the library's.

use std::io::Write as _;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use futures::TryStreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// Watches a Lease until SIGTERM
#[derive(Debug, Parser)]
struct Options {
    /// Name of the Lease
    #[arg(long)]
    name: String,
    #[arg(long, default_value = "default")]
    namespace: String,
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Watches, each with a connection of its own
    #[arg(long, default_value_t = 1)]
    candidates: usize,
}

/// Before a watch that has ended is opened again.
const PAUSE: Duration = Duration::from_millis(200);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let kubeconfig = Kubeconfig::read_from(&options.kubeconfig).context("no kubeconfig")?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .context("this kubeconfig cannot be used")?;
    let mut watches = JoinSet::new();
    for _ in 0..options.candidates {
        let client = Client::try_from(config.clone())?;
        let api: Api<Lease> = Api::namespaced(client, &options.namespace);
        watches.spawn(keep_watching(api, options.name.clone()));
    }
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        Some(ended) = watches.join_next() => ended?,
    }
}

/// For ever. An error means that nobody listens.
async fn keep_watching(api: Api<Lease>, name: String) -> Result<()> {
    let mut is_told = false;
    loop {
        watch(&api, &name, &mut is_told).await?;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Until the server ends it, or does not answer.
async fn watch(api: &Api<Lease>, name: &str, is_told: &mut bool) -> Result<()> {
    let one = WatchParams::default().fields(&format!("metadata.name={name}"));
    let Ok(events) = api.watch(&one, "0").await else {
        return Ok(());
    };
    let mut events = pin!(events);
    while let Ok(Some(event)) = events.try_next().await {
        if let WatchEvent::Added(lease) | WatchEvent::Modified(lease) = event
            && !*is_told
        {
            tell(&lease)?;
            *is_told = true;
        }
    }
    Ok(())
}

/// In the words of a candidate that stands by.
fn tell(lease: &Lease) -> Result<()> {
    let spec = lease.spec.as_ref();
    let holder = spec.and_then(|spec| spec.holder_identity.as_ref());
    let line = json!({"event": "standby", "unix_ns": 0, "holder": holder});
    writeln!(std::io::stdout().lock(), "{line}").context("nobody listens")
}
