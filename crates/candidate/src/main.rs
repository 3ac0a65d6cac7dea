//! The least program that stands for election with the library, and says what happens in the JSON
//! lines of `tenure campaign --json`: what a candidate costs when nothing else is in its process.
//!
//! It can also be a crowd: many candidates with connections of their own, or one candidate for each
//! of many locks, as a set.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tenure::clock::{Clock as _, SystemClock};
use tenure::{ContextInfo, LeaderElection, LeaderElectionSet, Status};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Stands for election until SIGTERM; whoever leads leaves at SIGUSR1, and stands again
#[derive(Debug, Parser)]
struct Options {
    /// Name of the Lease; with --locks, NAME-0, NAME-1 and so on
    #[arg(long)]
    name: String,
    #[arg(long, default_value = "default")]
    namespace: String,
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Seconds
    #[arg(long, default_value_t = 15)]
    lease_duration: u64,
    /// Seconds from one renewal to the next
    #[arg(long)]
    retry_period: Option<u64>,
    /// Candidates for each lock, each with connections of its own
    #[arg(long, default_value_t = 1)]
    candidates: usize,
    /// Locks, which are a set
    #[arg(long, default_value_t = 1)]
    locks: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let kubeconfig = Kubeconfig::read_from(&options.kubeconfig).context("no kubeconfig")?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .context("this kubeconfig cannot be used")?;
    let context = ContextInfo::outside(&options.namespace, "candidate");
    let mut leave = signal(SignalKind::user_defined1()).context("cannot wait for signals")?;
    let (end, ending) = watch::channel(false);
    let (leaver, leaving) = watch::channel(());
    let mut standing = Vec::new();
    for _ in 0..options.candidates {
        let lease = |name: String| {
            let duration = Duration::from_secs(options.lease_duration);
            let lock = LeaderElection::lease_lock(name).lease_duration(duration);
            match options.retry_period {
                Some(seconds) => lock.retry_period(Duration::from_secs(seconds)),
                None => lock,
            }
        };
        let elections = if options.locks == 1 {
            let alone = lease(options.name.clone());
            vec![alone.build(config.clone(), context.clone())?]
        } else {
            let set = LeaderElectionSet::new(config.clone(), context.clone())?;
            let locks = 0..options.locks;
            let of_set = locks.map(|lock| set.add(lease(format!("{}-{lock}", options.name))));
            of_set.collect::<Result<_, _>>()?
        };
        for election in elections {
            let (ending, leaving) = (ending.clone(), leaving.clone());
            standing.push(tokio::spawn(stand(election, ending, leaving)));
        }
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            Some(()) = leave.recv() => leaver.send_replace(()),
            () = orphaned() => std::process::exit(0),
        }
    }
    end.send_replace(true);
    for one in standing {
        one.await??;
    }
    Ok(())
}

/// Whoever started this is gone: nobody would end it.
async fn orphaned() {
    let parent = rustix::process::getppid();
    while rustix::process::getppid() == parent {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Stands, again after each loss and after it was asked to leave, until the end.
async fn stand(
    election: LeaderElection,
    mut end: watch::Receiver<bool>,
    mut leave: watch::Receiver<()>,
) -> Result<()> {
    let mut status = election.status();
    let mut told: Option<Arc<str>> = None;
    loop {
        let acquiring = election.acquire();
        tokio::pin!(acquiring);
        let leadership = loop {
            tell_standby(&election, &mut status, &mut told)?;
            tokio::select! {
                biased;
                () = over(&mut end) => return Ok(()),
                leadership = &mut acquiring => break leadership?,
                Ok(()) = status.changed() => {}
            }
        };
        told = None;
        leave.mark_unchanged();
        let identity = election.identity();
        let term = json!(leadership.term());
        let token = json!(leadership.token().as_str());
        say(
            "leading",
            unix_ns(),
            identity,
            Some(identity),
            &term,
            &token,
        )?;
        tokio::select! {
            reason = leadership.lost() => {
                leadership.release().await;
                eprintln!("{}: lost: {reason}", election.lock_name());
                say("lost", unix_ns(), identity, None, &term, &token)?;
            }
            () = over(&mut end) => {
                // Belief ends within `release`, before its first byte is sent.
                let at = unix_ns();
                leadership.release().await;
                return say("released", at, identity, None, &term, &token);
            }
            Ok(()) = leave.changed() => {
                let at = unix_ns();
                say("released", at, identity, None, &term, &token)?;
                leadership.release().await;
            }
        }
    }
}

async fn over(end: &mut watch::Receiver<bool>) {
    // An error would mean that nobody can end it any more.
    let _ = end.wait_for(|end| *end).await;
}

fn tell_standby(
    election: &LeaderElection,
    status: &mut watch::Receiver<Status>,
    told: &mut Option<Arc<str>>,
) -> Result<()> {
    let Status::Standby { holder, .. } = status.borrow_and_update().clone() else {
        return Ok(());
    };
    let Some(holder) = holder.map(|holder| holder.identity) else {
        return Ok(());
    };
    if *holder == *election.identity() || told.as_ref() == Some(&holder) {
        return Ok(());
    }
    let (at, none) = (unix_ns(), Value::Null);
    say(
        "standby",
        at,
        election.identity(),
        Some(&holder),
        &none,
        &none,
    )?;
    *told = Some(holder);
    Ok(())
}

/// An error means that nobody reads any more: then there is nobody to stand for.
fn say(
    event: &str,
    unix_ns: i64,
    identity: &str,
    holder: Option<&str>,
    term: &Value,
    token: &Value,
) -> Result<()> {
    let line = json!({
        "event": event, "unix_ns": unix_ns, "identity": identity, "holder": holder,
        "term": term, "token": token, "reason": null,
    });
    writeln!(std::io::stdout().lock(), "{line}").context("nobody reads any more")
}

fn unix_ns() -> i64 {
    SystemClock.wall().as_micros().saturating_mul(1000)
}
