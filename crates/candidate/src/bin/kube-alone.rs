//! No candidate: what a client of the Kubernetes API costs that does no more than to watch one Lease,
//! by the same crates and features. What a program on the library has beyond this is the library's.

use std::io::Write as _;
use std::path::PathBuf;
use std::pin::pin;

use anyhow::{Context, Result};
use clap::Parser;
use futures::TryStreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

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
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let kubeconfig = Kubeconfig::read_from(&options.kubeconfig).context("no kubeconfig")?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .context("this kubeconfig cannot be used")?;
    let api: Api<Lease> = Api::namespaced(Client::try_from(config)?, &options.namespace);
    let one = WatchParams::default().fields(&format!("metadata.name={}", options.name));
    let mut events = pin!(api.watch(&one, "0").await?);
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            event = events.try_next() => match event? {
                Some(WatchEvent::Added(lease) | WatchEvent::Modified(lease)) => tell(&lease)?,
                Some(_) => {}
                None => return Ok(()),
            }
        }
    }
}

/// In the words of a candidate that stands by.
fn tell(lease: &Lease) -> Result<()> {
    let holder = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.as_ref());
    let line = json!({"event": "standby", "unix_ns": 0, "holder": holder});
    writeln!(std::io::stdout().lock(), "{line}").context("nobody listens")
}
