//! The least candidate on kube-lease-manager.

use anyhow::{Context as _, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use kube_lease_manager::LeaseManagerBuilder;
use told::{Options, say, say_at, unix_ns};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::read();
    let mut terminate = told::terminate()?;
    let kubeconfig = Kubeconfig::read_from(&options.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let api = Api::<Lease>::namespaced(client.clone(), &options.namespace);
    let identity = &options.identity;
    // Renewed when 5 s are left: what 15 s, 10 s come to here.
    let manager = LeaseManagerBuilder::new(client, &options.name)
        .with_namespace(&options.namespace)
        .with_identity(identity)
        .with_duration(15)
        .with_grace(5)
        .build()
        .await?;
    let (mut states, task) = manager.watch().await;
    let mut leads = false;
    // It does not say who leads; that it stands by is told once somebody does.
    let seen = api.get(&options.name).await.ok();
    let holder = seen.and_then(|lease| lease.spec?.holder_identity);
    if let Some(holder) = holder.filter(|holder| !holder.is_empty() && holder != identity) {
        say("standby", identity, Some(&holder));
    }
    loop {
        let now = *states.borrow_and_update();
        if now != leads {
            leads = now;
            say(if leads { "leading" } else { "lost" }, identity, None);
        }
        tokio::select! {
            _ = terminate.recv() => break,
            changed = states.changed() => changed.context("the task has ended")?,
        }
    }
    // When nobody listens, it releases the Lease.
    let at = unix_ns();
    drop(states);
    task.await??;
    if leads {
        say_at("released", at, identity, None);
    }
    Ok(())
}
