//! The least candidate on kube-leader-election, in the loop that its documentation shows, every 2 s.

use std::time::Duration;

use anyhow::Result;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use kube_leader_election::{LeaseLock, LeaseLockParams, LeaseLockResult};
use told::{Options, say, say_at, unix_ns};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::read();
    let mut terminate = told::terminate()?;
    let kubeconfig = Kubeconfig::read_from(&options.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let identity = &options.identity;
    let params = LeaseLockParams {
        holder_id: identity.clone(),
        lease_name: options.name.clone(),
        lease_ttl: Duration::from_secs(15),
    };
    let lock = LeaseLock::new(Client::try_from(config)?, &options.namespace, params);
    let mut leads = false;
    loop {
        match lock.try_acquire_or_renew().await {
            Ok(LeaseLockResult::Acquired(_)) if !leads => {
                leads = true;
                say("leading", identity, Some(identity));
            }
            Ok(LeaseLockResult::Acquired(_)) => {}
            Ok(LeaseLockResult::NotAcquired(lease)) => {
                if leads {
                    leads = false;
                    say("lost", identity, None);
                }
                let holder = lease.spec.and_then(|spec| spec.holder_identity);
                say("standby", identity, holder.as_deref());
            }
            Err(error) => eprintln!("{error}"),
        }
        tokio::select! {
            _ = terminate.recv() => break,
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }
    }
    if leads {
        let at = unix_ns();
        lock.step_down().await?;
        say_at("released", at, identity, None);
    }
    Ok(())
}
