//! The least candidate on kubert's `LeaseManager`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use kubert::lease::{ClaimParams, LeaseManager};
use told::{Options, say, say_at, unix_ns};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::read();
    let mut terminate = told::terminate()?;
    let kubeconfig = Kubeconfig::read_from(&options.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let api = Api::<Lease>::namespaced(Client::try_from(config)?, &options.namespace);
    // The Lease has to be there.
    let lease: Lease = serde_json::from_value(serde_json::json!({
        "metadata": {"name": options.name}, "spec": {},
    }))?;
    match api.create(&PostParams::default(), &lease).await {
        Ok(_) => {}
        Err(kube::Error::Api(error)) if error.code == 409 => {}
        Err(error) => return Err(error).context("cannot create the Lease"),
    }
    let manager = LeaseManager::init(api, &options.name).await?;
    // Renewed when 5 s are left: what 15 s, 10 s come to here.
    let params = ClaimParams {
        lease_duration: Duration::from_secs(15),
        renew_grace_period: Duration::from_secs(5),
    };
    let identity = &options.identity;
    let (mut claims, task) = manager.spawn(identity, params).await?;
    let mut leads = false;
    loop {
        let holder = claims.borrow_and_update().holder.clone();
        if holder == *identity && !leads {
            leads = true;
            say("leading", identity, Some(identity));
        } else if holder != *identity {
            if leads {
                leads = false;
                say("lost", identity, None);
            }
            say("standby", identity, Some(&holder));
        }
        tokio::select! {
            _ = terminate.recv() => break,
            changed = claims.changed() => changed.context("the task has ended")?,
        }
    }
    // When nobody listens, it vacates the Lease.
    let at = unix_ns();
    drop(claims);
    task.await??;
    if leads {
        say_at("released", at, identity, None);
    }
    Ok(())
}
