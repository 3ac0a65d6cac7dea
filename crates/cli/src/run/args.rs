//! The command line of `tenure run` as it is typed.

use std::{ffi::OsString, time::Duration};

use clap::{Args, ValueEnum};

use super::{
    signals,
    supervisor::{OnLoss, Restart},
};
use crate::{args::duration, standing::StandArgs};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) stand: StandArgs,

    /// What to run while leading, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,

    /// Give up, with 124, when another leads after that long (such as 20, 20s, 2m). After a crash only
    /// one that is longer than the lease duration helps; 0 is as --nonblock
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub(crate) wait: Option<Duration>,

    /// Give up at once, with 124, when another leads or the lock is paused
    #[arg(long)]
    pub(crate) nonblock: bool,

    /// What to do when leadership is lost, once the command is gone
    #[arg(long, value_enum, default_value = "restart")]
    pub(crate) on_loss: OnLoss,

    /// Whether to run the command again, in the same term, when it has ended by itself
    #[arg(long, value_enum, default_value = "never")]
    pub(crate) restart: Restart,

    /// The pause before a restart; doubled from one to the next, up to 30s
    #[arg(
        long,
        value_name = "TIME",
        value_parser = duration,
        default_value = "1s"
    )]
    pub(crate) restart_pause: Duration,

    /// COMMAND is one string, for `sh -c`
    #[arg(long)]
    pub(crate) shell: bool,

    /// The signal that asks the command to end
    #[arg(
        long,
        value_name = "SIGNAL",
        value_parser = signals::parse,
        default_value = "TERM"
    )]
    pub(crate) stop_signal: i32,

    /// Run COMMAND all the time, and tell it by this signal when it leads and when no more; which of
    /// the two stands in the file that TENURE_STATE_FILE names
    #[arg(
        long,
        value_name = "SIGNAL",
        value_parser = signals::parse,
        conflicts_with_all = ["wait", "nonblock", "on_start", "on_stop", "pre_release"]
    )]
    pub(crate) signal_only: Option<i32>,

    /// How long the command may take to end when tenure is asked to end, and what it leaves behind
    /// when it has ended by itself. When leadership is lost it has less: see --grace
    #[arg(
        long,
        value_name = "TIME",
        value_parser = duration,
        default_value = "10s"
    )]
    pub(crate) stop_timeout: Duration,

    /// What holds the command and all that it starts
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) containment: ContainmentChoice,

    /// Run this by `sh -c` before the command starts; if it fails, the command does not start
    #[arg(long, value_name = "CMD")]
    pub(crate) on_start: Option<OsString>,

    /// Run this by `sh -c` when nothing of the command is left, as long as leadership lasts
    #[arg(long, value_name = "CMD")]
    pub(crate) on_stop: Option<OsString>,

    /// Run this by `sh -c` before leadership is given up, as long as it lasts
    #[arg(long, value_name = "CMD")]
    pub(crate) pre_release: Option<OsString>,

    /// How long each of these may take
    #[arg(
        long,
        value_name = "TIME",
        value_parser = duration,
        default_value = "1s"
    )]
    pub(crate) hook_timeout: Duration,
}

/// What holds the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ContainmentChoice {
    /// The strongest that the place allows, in the order of this list
    Auto,
    /// A PID namespace, where need be within a user namespace
    PidNamespace,
    /// A cgroup of its own (version 2, Linux 5.14 or later)
    Cgroup,
    /// A process group, and all processes that descend from it
    ProcessGroup,
}

const EXAMPLES: &str = "\
Examples:
  tenure run nightly -- ./report --all           one at a time, whoever starts it
  tenure run --shell nightly -- './a | ./b'
  tenure run -w 20s nightly -- ./job || echo \"ended with $?\"
                                                 longer than the lease duration: one that was
                                                 killed stands in the Lease for so long
  tenure run --restart always --on-start ./warm-up worker -- ./worker

Exit codes: the command's own; 128+N where signal N ended it. Of tenure itself:
  75   leadership was lost, with --on-loss exit
  124  another leads, or the lock is paused: --wait is over, or --nonblock
  125  tenure failed, or the command line makes no sense
  126  COMMAND cannot be run
  127  COMMAND was not found

COMMAND has TENURE_LOCK, TENURE_IDENTITY, TENURE_TERM and TENURE_TOKEN in its environment. SIGTERM and
SIGINT end it, then release the lock; a second SIGINT kills it. Other signals are handed on.";
