//! What the command line of `tenure run` means: checked, nothing tried yet.

use std::{ffi::OsString, time::Duration};

use tenure::Kind;

use super::{
    args::{ContainmentChoice, RunArgs},
    containment::Containment,
    supervisor::{Hook, Hooks, Policy},
};
use crate::{
    failure::Failure,
    standing::{self, StandOptions},
};

/// What is to be run, and how.
#[derive(Debug)]
pub(crate) struct RunOptions {
    pub(crate) stand: StandOptions,
    pub(crate) command: Vec<OsString>,
    /// The first of them that the place allows.
    pub(crate) containments: Vec<Containment>,
    pub(crate) policy: Policy,
    pub(crate) stop_signal: i32,
    /// The command runs all the time, and is told by this signal.
    pub(crate) signal_only: Option<i32>,
    pub(crate) on_start: Option<OsString>,
    pub(crate) on_stop: Option<OsString>,
    pub(crate) pre_release: Option<OsString>,
}

impl RunOptions {
    pub(crate) fn hook(&self, hook: Hook) -> Option<&OsString> {
        match hook {
            Hook::OnStart => self.on_start.as_ref(),
            Hook::OnStop => self.on_stop.as_ref(),
            Hook::PreRelease => self.pre_release.as_ref(),
        }
    }
}

/// The longest pause between two restarts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The part of the grace that is kept for killing, and the most that is kept.
const MARGIN_SHARE: u32 = 4;
const MOST_MARGIN: Duration = Duration::from_secs(1);

pub(crate) fn check(args: RunArgs) -> Result<RunOptions, Failure> {
    let hooks = Hooks {
        on_start: args.on_start.is_some(),
        on_stop: args.on_stop.is_some(),
        pre_release: args.pre_release.is_some(),
    };
    let stand = standing::check(args.stand)?;
    let grace = stand.grace;
    let margin = (grace / MARGIN_SHARE).min(MOST_MARGIN);
    room_to_stop(stand.lock, grace, margin, hooks, args.hook_timeout)?;
    let command = if args.shell {
        let [script] = args.command.as_slice() else {
            return Err(Failure::usage(
                "--shell takes COMMAND as one string: put it in quotes, or leave --shell out",
            ));
        };
        shell(script)
    } else {
        args.command
    };
    let policy = Policy {
        on_loss: args.on_loss,
        restart: args.restart,
        first_pause: args.restart_pause,
        longest_pause: LONGEST_PAUSE.max(args.restart_pause),
        // As `flock -w 0`: whoever has no time may still have the lock that is free.
        wait: args.wait.filter(|wait| !wait.is_zero()),
        nonblock: args.nonblock || args.wait == Some(Duration::ZERO),
        hooks,
        hook_limit: args.hook_timeout,
        margin,
        stop_timeout: args.stop_timeout,
        // The release, and one look at what became of it.
        release_limit: stand.call_limit.saturating_mul(2),
    };
    Ok(RunOptions {
        stand,
        command,
        containments: containments(args.containment),
        policy,
        stop_signal: args.stop_signal,
        signal_only: args.signal_only,
        on_start: args.on_start,
        on_stop: args.on_stop,
        pre_release: args.pre_release,
    })
}

/// What runs a line of shell.
pub(crate) fn shell(script: &OsString) -> Vec<OsString> {
    vec!["sh".into(), "-c".into(), script.clone()]
}

fn containments(choice: ContainmentChoice) -> Vec<Containment> {
    match choice {
        ContainmentChoice::Auto => Containment::ALL.to_vec(),
        ContainmentChoice::PidNamespace => {
            vec![Containment::PidNamespace, Containment::UserPidNamespace]
        }
        ContainmentChoice::Cgroup => vec![Containment::Cgroup],
        ContainmentChoice::ProcessGroup => vec![Containment::ProcessGroup],
    }
}

/// When a loss is foretold, the grace holds all of it: the command's own end, the hooks, and the
/// killing of what is left then (L10).
fn room_to_stop(
    kind: Kind,
    grace: Duration,
    margin: Duration,
    hooks: Hooks,
    hook_timeout: Duration,
) -> Result<(), Failure> {
    let after = u32::from(hooks.on_stop) + u32::from(hooks.pre_release);
    let needed = hook_timeout.saturating_mul(after).saturating_add(margin);
    if needed < grace {
        return Ok(());
    }
    let hooks = if after == 0 {
        String::new()
    } else {
        format!(", {:?} for hooks", hook_timeout.saturating_mul(after))
    };
    let longer = if kind == Kind::Lease {
        "--grace or --lease-duration"
    } else {
        "--grace"
    };
    Err(Failure::usage(format!(
        "a grace of {grace:?} leaves the command no time to end before its leadership does: \
         {margin:?} of it are kept for killing{hooks}; give a longer {longer}, or a shorter \
         --hook-timeout"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l10_what_comes_after_the_command_must_fit_before_the_end() {
        let seconds = Duration::from_secs;
        let hooks = Hooks {
            on_start: true,
            on_stop: true,
            pre_release: true,
        };
        let check = |grace, margin, hooks, hook_timeout| {
            room_to_stop(Kind::Lease, grace, margin, hooks, hook_timeout)
        };
        assert!(check(seconds(3), seconds(1), Hooks::default(), seconds(60)).is_ok());
        assert!(check(seconds(4), seconds(1), hooks, seconds(1)).is_ok());
        let told = check(seconds(3), seconds(1), hooks, seconds(1)).unwrap_err();
        let told = told.message(false);
        assert!(told.contains("2s for hooks"), "{told}");
        assert!(check(Duration::ZERO, Duration::ZERO, Hooks::default(), seconds(1)).is_err());
    }
}
