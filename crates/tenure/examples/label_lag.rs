//! How far the label `tenure.dev/role` lags behind leadership: over an API server in memory, or over the
//! control plane that `TENURE_CONTROL_PLANE` names.
//!
//! Two candidates hand over to each other. From the moment at which one leads until its Pod is seen with the
//! label, and from the moment at which it believes no more until it is seen without: both include the time
//! of the looks themselves, which follow one upon the other.

use std::time::Duration;

use tenure::{ContextInfo, Instant, LeaderElection, context_info::OwnPod};
use tenure_harness::{PodOptions, TestServer};

const TURNS: usize = 200;
const LIMIT: Duration = Duration::from_secs(30);

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let server = match TestServer::real_if_any().await? {
        Some(server) => server,
        None => TestServer::embedded().await?,
    };
    let namespace = server.namespace("lag").await?;
    let mut candidates = Vec::new();
    for name in ["a", "b"] {
        let options = PodOptions::default();
        let pod = server.create_pod(&namespace, name, &options).await?;
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        let pod = OwnPod::new(&namespace, name, uid);
        let context = ContextInfo::outside(&namespace, name).with_pod(pod);
        let builder = LeaderElection::lease_lock("lag")
            .cooldown(Duration::ZERO)
            .label_pod();
        candidates.push(builder.build(server.config(), context)?);
    }
    let (mut given, mut taken) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let (one, pod) = match turn % 2 {
            0 => (&candidates[0], "a"),
            _ => (&candidates[1], "b"),
        };
        let leadership = one.acquire().await?;
        given.push(seen(&server, &namespace, pod, true, tenure::now()).await?);
        let release = leadership.release();
        taken.push(seen(&server, &namespace, pod, false, tenure::now()).await?);
        release.await;
    }
    for (what, mut lags) in [("given", given), ("taken away", taken)] {
        lags.sort();
        let at = |share: usize| lags.get((lags.len() - 1) * share / 100).copied();
        println!(
            "the label is {what} after (median, 99 %, most): {:.1?} {:.1?} {:.1?}, of {}",
            at(50).unwrap_or_default(),
            at(99).unwrap_or_default(),
            at(100).unwrap_or_default(),
            lags.len()
        );
    }
    Ok(())
}

/// How long after `since` the Pod is seen with the label, or without.
async fn seen(
    server: &TestServer,
    namespace: &str,
    pod: &str,
    labelled: bool,
    since: Instant,
) -> Result<Duration, Failure> {
    loop {
        let pod = server.get_pod(namespace, pod).await?;
        let has = pod["metadata"]["labels"]["tenure.dev/role"] == "leader";
        let passed = tenure::now().since(since);
        if has == labelled {
            return Ok(passed);
        }
        if passed > LIMIT {
            return Err("the label did not follow".into());
        }
    }
}
