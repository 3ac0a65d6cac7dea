//! What was typed means: checked, nothing tried yet.

use std::time::Duration;

use tenure::{Kind, LeaseTiming, LifeTiming};

use super::args::{BesideArgs, StandArgs, TimingArgs};
use crate::{args::Lock, cluster::ClusterChoice, failure::Failure, names};

/// What to stand for, and how.
#[derive(Debug)]
pub(crate) struct StandOptions {
    pub(crate) lock: Kind,
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) cluster: ClusterChoice,
    pub(crate) identity: Option<String>,
    pub(crate) pod: Option<String>,
    /// Leave the lock held at the end.
    pub(crate) keep_lock: bool,
    pub(crate) beside: BesideArgs,
    /// As it was asked for; what is left out follows from the rest.
    pub(crate) timing: TimingArgs,
    /// How long others wait after a last sign of life (D); none for leader for life.
    pub(crate) lease_duration: Duration,
    /// How long the work may take to end once it has been told (G).
    pub(crate) grace: Duration,
    /// How long one call may take (C).
    pub(crate) call_limit: Duration,
}

/// Names that are none are refused, and timings that the kind of lock does not have, or that break
/// rule L3. The lock is given up at the end.
pub(crate) fn check(args: StandArgs) -> Result<StandOptions, Failure> {
    names::subdomain("lock", &args.name)?;
    if let Some(namespace) = &args.namespace {
        names::namespace(namespace)?;
    }
    if let Some(pod) = &args.pod {
        names::subdomain("Pod", pod)?;
    }
    let (lease_duration, grace, call_limit) = if args.lock == Lock::Lease {
        let timing = lease_timing(&args.timing)?;
        (timing.lease_duration(), timing.grace(), timing.call_limit())
    } else {
        if args.identity.is_some() {
            return Err(Failure::usage(
                "--identity is for --lock lease: a leader for life is known by its Pod, which \
                 --pod names",
            ));
        }
        let timing = life_timing(&args.timing)?;
        (Duration::ZERO, timing.grace, timing.call_limit)
    };
    Ok(StandOptions {
        lock: args.lock.into(),
        name: args.name,
        namespace: args.namespace,
        cluster: args.cluster.into(),
        identity: args.identity,
        pod: args.pod,
        keep_lock: false,
        beside: args.beside,
        timing: args.timing,
        lease_duration,
        grace,
        call_limit,
    })
}

/// Refuses what a Lease does not have, and what breaks rule L3.
fn lease_timing(args: &TimingArgs) -> Result<LeaseTiming, Failure> {
    let foreign = [
        ("--retry-first", args.retry_first.is_some()),
        ("--retry-most", args.retry_most.is_some()),
    ];
    if let Some((flag, _)) = foreign.iter().find(|(_, given)| *given) {
        return Err(Failure::usage(format!(
            "{flag} is for --lock config-map and leader-lock; for a Lease use --retry-period"
        )));
    }
    let mut timing = LeaseTiming::builder();
    if let Some(duration) = args.lease_duration {
        timing = timing.lease_duration(duration);
    }
    if let Some(duration) = args.renew_deadline {
        timing = timing.renew_deadline(duration);
    }
    if let Some(duration) = args.retry_period {
        timing = timing.retry_period(duration);
    }
    if let Some(duration) = args.call_limit {
        timing = timing.call_limit(duration);
    }
    if let Some(duration) = args.grace {
        timing = timing.grace(duration);
    }
    if let Some(share) = args.clock_error {
        timing = timing.clock_error(share);
    }
    let built = timing.build();
    built.map_err(|error| Failure::usage(error.to_string()))
}

fn life_timing(args: &TimingArgs) -> Result<LifeTiming, Failure> {
    let foreign = [
        ("--lease-duration", args.lease_duration.is_some()),
        ("--renew-deadline", args.renew_deadline.is_some()),
        ("--retry-period", args.retry_period.is_some()),
        ("--clock-error", args.clock_error.is_some()),
        ("--wait-when-absent", args.wait_when_absent),
        ("--cooldown", args.cooldown.is_some()),
        ("--trust-remote-clock", args.trust_remote_clock.is_some()),
    ];
    if let Some((flag, _)) = foreign.iter().find(|(_, given)| *given) {
        return Err(Failure::usage(format!(
            "{flag} is for --lock lease: a lock for life has no lease; leave it out"
        )));
    }
    let (retry_first, retry_most) = retry_pauses(args);
    let mut timing = LifeTiming {
        retry_first,
        retry_most,
        ..LifeTiming::default()
    };
    if let Some(limit) = args.call_limit {
        timing.call_limit = limit;
    }
    if let Some(grace) = args.grace {
        timing.grace = grace;
    }
    timing
        .check()
        .map_err(|error| Failure::usage(error.to_string()))
}

/// The first and the longest pause of a leader for life.
pub(crate) fn retry_pauses(args: &TimingArgs) -> (Duration, Duration) {
    let default = LifeTiming::default();
    let first = args.retry_first.unwrap_or_else(|| match args.retry_most {
        Some(most) => default.retry_first.min(most),
        None => default.retry_first,
    });
    let most = args
        .retry_most
        .unwrap_or_else(|| default.retry_most.max(first));
    (first, most)
}
