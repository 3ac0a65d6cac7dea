//! Which lock to stand for, and how, as it is typed.

use std::time::Duration;

use clap::Args;

use crate::args::{ClusterArgs, Lock, duration};

/// What all verbs that stand for election take.
#[derive(Debug, Args)]
pub(crate) struct StandArgs {
    /// Kind of lock
    #[arg(long, value_enum, default_value = "lease")]
    pub(crate) lock: Lock,

    /// Name of the lock
    pub(crate) name: String,

    /// Namespace of the lock [default: $NAMESPACE, $POD_NAMESPACE, the Pod's own, or the context's]
    #[arg(long, short)]
    pub(crate) namespace: Option<String>,

    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,

    /// Who to stand as; Lease only [default: the Pod's or the host's name, with a unique ending]
    #[arg(long)]
    pub(crate) identity: Option<String>,

    /// The Pod that this runs in: it owns a lock for life, and --label-pod labels it [default: $POD_NAME]
    #[arg(long)]
    pub(crate) pod: Option<String>,

    #[command(flatten)]
    pub(crate) beside: BesideArgs,

    #[command(flatten)]
    pub(crate) timing: TimingArgs,
}

#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct BesideArgs {
    /// Tell in Kubernetes Events when a term begins and when it ends, and why
    #[arg(long)]
    pub(crate) events: bool,

    /// Label the own Pod: tenure.dev/candidate=NAME, and tenure.dev/role=leader while it leads
    #[arg(long)]
    pub(crate) label_pod: bool,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Timing (such as 15s, 1.5s, 500ms, 2m)")]
pub(crate) struct TimingArgs {
    /// How long others wait after a leader's last sign of life; whole seconds; Lease [default: 15s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) lease_duration: Option<Duration>,

    /// How long a renewal is trusted; Lease [default: two thirds of the lease duration]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) renew_deadline: Option<Duration>,

    /// From one renewal to the next; Lease [default: a fifth of the renew deadline]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) retry_period: Option<Duration>,

    /// How wrong clocks' rates may be, 0 to 0.5; Lease [default: 0.05]
    #[arg(long, value_name = "SHARE")]
    pub(crate) clock_error: Option<f64>,

    /// Never take a lock that is not there without waiting first; Lease
    #[arg(long)]
    pub(crate) wait_when_absent: bool,

    /// How long one who has released the Lease leaves it to others, at most an hour; Lease
    /// [default: the retry period]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) cooldown: Option<Duration>,

    /// DANGER: do not wait out a Lease that by its own renewTime ended that long ago, or longer,
    /// when it is first seen; rests on wall clocks that are never that far apart; Lease
    #[arg(long, value_name = "MAX_SKEW", value_parser = duration)]
    pub(crate) trust_remote_clock: Option<Duration>,

    /// First pause between two tries; config-map, leader-lock [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) retry_first: Option<Duration>,

    /// Longest pause between two tries; config-map, leader-lock [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) retry_most: Option<Duration>,

    /// How long one call to the API server may take [default: by the other timings]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) call_limit: Option<Duration>,

    /// How long before its end leadership counts as lost [default: by the other timings]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) grace: Option<Duration>,
}
