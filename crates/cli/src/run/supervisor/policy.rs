//! What was asked for, checked.

use std::time::Duration;

use crate::run::exit::Exit;

/// What to do when leadership is lost, once nothing of the command is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OnLoss {
    /// Stand for election again
    Restart,
    /// End with 75
    Exit,
}

/// When to run the command again, in the same term, after it has ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Restart {
    /// Never: give leadership up, and end with the command's code
    Never,
    /// When its code is not 0, or a signal ended it
    OnFailure,
    /// Always
    Always,
}

impl Restart {
    /// Whether to run the command again that has ended like this.
    pub(crate) fn again(self, exit: Exit) -> bool {
        match self {
            Self::Never => false,
            Self::OnFailure => exit != Exit::Code(0),
            Self::Always => true,
        }
    }
}

/// The pauses between restarts, each twice as long as the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pauses {
    /// Restarts in a row, none of which ran for long.
    restarts: u32,
}

impl Pauses {
    /// One that ran for long begins anew.
    pub(crate) fn ran_for(&mut self, policy: &Policy, ran: Duration) {
        if ran >= policy.longest_pause {
            self.restarts = 0;
        }
    }

    pub(crate) fn next(&mut self, policy: &Policy) -> Duration {
        let factor = 2_u32.saturating_pow(self.restarts.min(16));
        self.restarts = self.restarts.saturating_add(1);
        policy
            .first_pause
            .saturating_mul(factor)
            .min(policy.longest_pause)
    }
}

/// A moment at which something else than the command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// Before the command starts.
    OnStart,
    /// After nothing of the command is left.
    OnStop,
    /// Before leadership is given up.
    PreRelease,
}

impl Hook {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OnStart => "on-start",
            Self::OnStop => "on-stop",
            Self::PreRelease => "pre-release",
        }
    }
}

/// Which hooks there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hooks {
    pub(crate) on_start: bool,
    pub(crate) on_stop: bool,
    pub(crate) pre_release: bool,
}

impl Hooks {
    pub(crate) fn has(self, hook: Hook) -> bool {
        match hook {
            Hook::OnStart => self.on_start,
            Hook::OnStop => self.on_stop,
            Hook::PreRelease => self.pre_release,
        }
    }
}

/// What the supervisor goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) on_loss: OnLoss,
    pub(crate) restart: Restart,
    /// The pause before the first restart; doubled from one to the next.
    pub(crate) first_pause: Duration,
    pub(crate) longest_pause: Duration,
    /// How long to stand, each time.
    pub(crate) wait: Option<Duration>,
    pub(crate) nonblock: bool,
    pub(crate) hooks: Hooks,
    pub(crate) hook_limit: Duration,
    /// How long before the end of leadership whatever still runs is killed.
    pub(crate) margin: Duration,
    /// How long the command may take to end while leadership goes on.
    pub(crate) stop_timeout: Duration,
    /// How long an end waits until the release was answered.
    pub(crate) release_limit: Duration,
}
