//! The command line as it is typed. What it means is worked out once, in `tasks`.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::standing::StandArgs;

/// Leader election on Kubernetes: see it, stand for it, get it ready.
#[derive(Debug, Parser)]
#[command(name = "tenure", version, after_help = EXAMPLES, subcommand_required = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Say more: causes of errors and the election's log; twice for every call
    #[arg(short, long, global = true, action = ArgAction::Count, display_order = LAST)]
    pub(crate) verbose: u8,

    /// How the log is written, on standard error
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value = "text",
        display_order = LAST
    )]
    pub(crate) log_format: LogFormat,

    /// Settings for what is not said here, nor by TENURE_... in the environment: YAML, a flag's name
    /// for each key, under its verb or at the top. --FLAG=false takes back a flag that is on there
    #[arg(long, global = true, value_name = "FILE", display_order = LAST)]
    pub(crate) config: Option<PathBuf>,
}

/// Behind the flags of each verb.
const LAST: usize = 900;

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line of words for each event
    #[default]
    Text,
    /// A line of JSON for each event
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch an election: kill the leader, see it replaced, see it hand over (no cluster needed)
    Demo(DemoArgs),
    /// Stand for election and say what happens, one line an event
    Campaign(CampaignArgs),
    /// Run a command while leading; nothing of it is left before another leads
    #[cfg(unix)]
    Run(Box<crate::run::RunArgs>),
    /// Stand for election, and answer over HTTP whether it leads
    Sidecar(Box<crate::sidecar::args::SidecarArgs>),
    /// Ask the leader to step down
    StepDown(crate::steer::args::StepDownArgs),
    /// Ask the leader to hand over to another candidate
    HandOver(crate::steer::args::HandOverArgs),
    /// Have nobody lead by a Lease until it is resumed
    Pause(crate::steer::args::PauseArgs),
    /// End a pause
    Resume(crate::steer::args::ResumeArgs),
    /// Break the lock of a holder that is dead
    Release(crate::steer::args::ReleaseArgs),
    #[command(flatten)]
    See(crate::see::SeeCommand),
    /// Print the rights that a candidate needs, as YAML
    Rbac(RbacArgs),
    /// Print the definition of the custom resource LeaderLock, as YAML, or install it
    Crd(CrdArgs),
    /// Serve a small in-memory Kubernetes API on this machine, for trying things and for tests
    DevServer(DevServerArgs),
    /// One candidate of the demo, told on its standard input what to do
    #[command(hide = true)]
    DemoCandidate,
}

/// A kind of lock.
#[allow(clippy::enum_variant_names, reason = "a LeaderLock is called so")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lock {
    /// A Lease that its leader renews; a dead leader is replaced when it has run out
    Lease,
    /// A ConfigMap that its leader's Pod owns for life
    #[value(alias = "configmap")]
    ConfigMap,
    /// A LeaderLock (a custom resource, see `tenure crd`) that its leader's Pod owns for life
    #[value(alias = "leaderlock")]
    LeaderLock,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// Kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or the own Pod's service account]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig [default: its current one]
    #[arg(long)]
    pub(crate) context: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = DEMO_EXAMPLES)]
pub(crate) struct DemoArgs {
    /// Kind of lock
    #[arg(long, value_enum, default_value = "lease")]
    pub(crate) lock: Lock,

    /// How many candidates stand, each a process of its own
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) candidates: usize,

    /// Lease timings as in production (15/10/2 s) rather than short ones; about 25 s in all
    #[arg(long)]
    pub(crate) real_timings: bool,

    /// Write what happened as a picture
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Print nothing but a summary, as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// How long each leader leads before something happens to it
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2s", hide = true)]
    pub(crate) lead_for: Duration,

    /// Run on this cluster instead of the embedded server (its Pods are never scheduled)
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Context of that kubeconfig [default: its current one]
    #[arg(long, requires = "kubeconfig")]
    pub(crate) context: Option<String>,

    /// Namespace on that cluster [default: the context's]
    #[arg(long, short, requires = "kubeconfig")]
    pub(crate) namespace: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = CAMPAIGN_EXAMPLES)]
pub(crate) struct CampaignArgs {
    #[command(flatten)]
    pub(crate) stand: StandArgs,

    /// One JSON object a line, even in a terminal
    #[arg(long)]
    pub(crate) json: bool,

    /// Leave the lock held at the end: a Lease runs out, a lock for life stays with its Pod
    #[arg(long)]
    pub(crate) keep_lock: bool,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(after_help = RBAC_EXAMPLES)]
pub(crate) struct RbacArgs {
    /// Kind of lock
    #[arg(long, value_enum, default_value = "lease")]
    pub(crate) lock: Lock,

    /// Names of the locks [default: all locks of that kind in the namespace]
    pub(crate) names: Vec<String>,

    /// For many Leases that one process leads (LeaderElectionSet): it watches all Leases of the
    /// namespace at once
    #[arg(long)]
    pub(crate) set: bool,

    /// For --events: Events may be created
    #[arg(long, conflicts_with = "steer")]
    pub(crate) events: bool,

    /// For --label-pod: Pods may be read, patched and listed
    #[arg(long, conflicts_with = "steer")]
    pub(crate) label_pod: bool,

    /// Instead: the rights to steer, for step-down, hand-over, pause, resume and release
    #[arg(long, conflicts_with = "set")]
    pub(crate) steer: bool,

    /// Namespace of the lock
    #[arg(long, short)]
    pub(crate) namespace: String,

    /// Service account of the candidates; OTHER:NAME for one of another namespace
    #[arg(long, value_name = "NAME")]
    pub(crate) service_account: String,
}

#[derive(Debug, Args)]
pub(crate) struct CrdArgs {
    /// Install it where it is missing, and wait until it is served
    #[arg(long)]
    pub(crate) install: bool,

    /// Kubeconfig file for --install
    #[arg(long, value_name = "FILE", requires = "install")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig
    #[arg(long, requires = "install")]
    pub(crate) context: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = DEV_SERVER_EXAMPLES)]
pub(crate) struct DevServerArgs {
    /// Port on 127.0.0.1 [default: a free one]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) port: u16,

    /// Where to write the kubeconfig once it is ready to serve; removed at the end [default: a new
    /// temporary file]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig_out: Option<PathBuf>,

    /// Begin with the definition of LeaderLock installed
    #[arg(long)]
    pub(crate) with_crd: bool,
}

/// `15s`, `1.5s`, `500ms`, `2m`, `1h`; a bare number is in seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[number.len()..];
    let known = |number: &f64| number.is_finite() && *number >= 0.0;
    let number = number
        .parse::<f64>()
        .ok()
        .filter(known)
        .ok_or("give a number and a unit, such as 15s or 500ms")?;
    let seconds_each = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        unit => return Err(format!("{unit:?} is no unit of time: use ms, s, m or h")),
    };
    Duration::try_from_secs_f64(number * seconds_each).map_err(|_| "that is too long".to_owned())
}

const EXAMPLES: &str = "\
Examples:
  tenure demo                                    see an election, no cluster needed
  tenure campaign nightly                        stand for election on the Lease nightly
  tenure run nightly -- ./report --all           run a command while leading
  tenure status -A                               who holds which lock, and how it is
  tenure rbac nightly -n shop --service-account worker | kubectl apply -f -
  tenure dev-server                              an API server to try it on";

const DEMO_EXAMPLES: &str = "\
Examples:
  tenure demo
  tenure demo --lock config-map --candidates 5
  tenure demo --real-timings --svg demo.svg
  tenure demo --json | jq .takeover_ms
  tenure demo --kubeconfig ~/.kube/config -n default";

const CAMPAIGN_EXAMPLES: &str = "\
Examples:
  tenure campaign nightly
  tenure campaign nightly | while read -r event; do echo \"$event\"; done
  tenure campaign nightly --lease-duration 30s --identity host-1
  tenure campaign --lock config-map nightly --pod worker-0 -n shop

Events: standby, leading, jeopardy (renewals fail), lost, released. SIGTERM or Ctrl-C releases the
lock and ends with 0, as does a pipe that nobody reads any more; a second one ends at once. Output that
cannot be written (a full disk) releases the lock and ends with 1.";

const RBAC_EXAMPLES: &str = "\
Examples:
  tenure rbac nightly -n shop --service-account worker | kubectl apply -f -
  tenure rbac --lock config-map -n shop --service-account worker
  tenure rbac --set shard-0 shard-1 -n shop --service-account worker
  tenure rbac --events --label-pod nightly -n shop --service-account worker";

const DEV_SERVER_EXAMPLES: &str = "\
Examples:
  tenure dev-server --kubeconfig-out dev.kubeconfig &
  KUBECONFIG=dev.kubeconfig kubectl get ns
  KUBECONFIG=dev.kubeconfig tenure campaign nightly";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_makes_sense_to_clap() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn durations_are_read_with_units_and_without() {
        assert_eq!(duration("15"), Ok(Duration::from_secs(15)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for bad in [
            "", "s", "-1s", "1 s", "1d", "nan", "inf", "1e400s", "1e300s", "é",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
