//! The init: starts the command, hands signals on to it, reaps what it leaves behind. In a PID
//! namespace it is process 1, and everything in it dies with it. Below it is one more stage, which
//! becomes the command.

use std::{
    ffi::OsString,
    io,
    os::{fd::AsFd as _, fd::OwnedFd, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use rustix::process::{Pid, Signal};

use super::{
    containment::{Containment, cgroup, group, pidns},
    exit,
    stage::{self, Bell, KILL_PAUSE},
    wire::{Cause, Link, Order, Report},
};
use crate::console::LOG_FORMAT_VARIABLE;

/// The stage's name on its own command line.
pub(super) const STAGE: &str = "__init";

/// The name of the stage that becomes the command.
pub(super) const EXEC_STAGE: &str = "__exec";

/// The stage: `__init CONTAINMENT [CGROUP] -- COMMAND ARGS`.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let Some((settings, command)) = super::split(arguments) else {
        return ExitCode::FAILURE;
    };
    stage::call_it(c"tenure-init");
    let containment = settings.first().and_then(|name| Containment::named(name));
    let (Some(containment), Ok(bell), Ok((mut above, stdin))) =
        (containment, Bell::new(), Link::inherited())
    else {
        return ExitCode::FAILURE;
    };
    let mut init = Init {
        containment,
        cgroup: settings.get(1).map(PathBuf::from),
        command: command.to_vec(),
        stdin: Some(stdin),
        first: None,
        started: false,
    };
    match init.settle() {
        Ok(()) => {
            above.send(&Report::Ready {
                init: 0,
                cgroup: None,
            });
            init.serve(&bell, &mut above);
            ExitCode::SUCCESS
        }
        Err(error) => {
            let why = format!("it cannot be entered: {error}");
            above.send(&Report::Refused { why });
            ExitCode::FAILURE
        }
    }
}

/// The stage: `__exec PARENT -- COMMAND ARGS`. It becomes the command.
pub(super) fn exec(arguments: &[OsString]) -> ExitCode {
    let Some((settings, [program, rest @ ..])) = super::split(arguments) else {
        return ExitCode::from(exit::FAILED);
    };
    if !dies_with(settings) {
        return ExitCode::from(exit::FAILED);
    }
    // The stages above keep signals out, which is inherited.
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
    let error = Command::new(program)
        .args(rest)
        .env_remove(LOG_FORMAT_VARIABLE)
        .exec();
    let (code, why) = if error.kind() == io::ErrorKind::NotFound {
        let why = if program.is_empty() {
            "has no name: COMMAND is an empty word"
        } else if Path::new(program).is_file() {
            "has no interpreter here; check its first line, or its dynamic loader"
        } else {
            "is not there; check its name and PATH"
        };
        (exit::NOT_FOUND, why)
    } else {
        (
            exit::NOT_EXECUTABLE,
            "cannot be run; check its mode and format",
        )
    };
    let program = program.display();
    crate::console::fail(&format!("tenure: the command {program} {why} ({error})"));
    ExitCode::from(code)
}

/// Whether that is the command line, as /proc shows it, of a process that is to become the command and
/// has not yet.
#[cfg(target_os = "linux")]
pub(super) fn is_stage(line: &[u8]) -> bool {
    let second = line.split(|byte| *byte == 0).nth(1);
    second.is_some_and(|word| word == STAGE.as_bytes() || word == EXEC_STAGE.as_bytes())
}

/// From now on this process is killed when its parent is gone; false if it is gone already. Within
/// a PID namespace, which has no parent named here, the kernel sees to it.
fn dies_with(settings: &[OsString]) -> bool {
    let parent = settings.first().and_then(|parent| parent.to_str());
    let Some(parent) = parent.and_then(|parent| parent.parse::<i32>().ok()) else {
        return true;
    };
    #[cfg(target_os = "linux")]
    if rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
        return false;
    }
    rustix::process::getppid().map(Pid::as_raw_pid) == Some(parent)
}

struct Init {
    containment: Containment,
    cgroup: Option<PathBuf>,
    command: Vec<OsString>,
    stdin: Option<OwnedFd>,
    /// The command's first process, which leads its group.
    first: Option<Pid>,
    started: bool,
}

impl Init {
    fn settle(&self) -> io::Result<()> {
        if self.containment.is_namespace() {
            return pidns::settle();
        }
        #[cfg(target_os = "linux")]
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        match &self.cgroup {
            Some(path) => cgroup::enter(path),
            None => Ok(()),
        }
    }

    /// Until nothing is left of the command, or whoever is above is gone.
    fn serve(&mut self, bell: &Bell, above: &mut Link) {
        loop {
            for order in above.receive() {
                self.obey(order, above);
            }
            let reaped = stage::reap();
            for (pid, exit) in reaped.ended {
                if self.first == Some(pid) {
                    self.first = None;
                    above.send(&Report::Ended { exit });
                }
            }
            let idle = reaped.none_left;
            if above.ended() {
                if idle || self.containment.is_namespace() {
                    // As process 1 it takes everything along.
                    return;
                }
                self.kill();
            } else if self.started && idle {
                if self.containment.is_namespace() && alone_here() {
                    // Said before this process ends: taking a namespace apart takes milliseconds.
                    let cause = Cause::Over;
                    above.send(&Report::Empty { cause });
                }
                return;
            }
            let until = above.ended().then(|| tenure::now().after(KILL_PAUSE));
            let fds: &[_] = if above.ended() { &[] } else { &[above.as_fd()] };
            if bell.wait(fds, until).is_err() {
                return;
            }
        }
    }

    fn obey(&mut self, order: Order, above: &mut Link) {
        match order {
            Order::Start { env, .. } if !self.started => {
                self.started = true;
                match self.start(env) {
                    Ok(pid) => {
                        self.first = Some(pid);
                        let pid = pid.as_raw_pid();
                        above.send(&Report::Started { pid });
                    }
                    Err(error) => {
                        let told = format!("tenure: no process can be started ({error})");
                        crate::console::fail(&told);
                        above.send(&Report::Ended {
                            exit: exit::Exit::Code(exit::FAILED),
                        });
                    }
                }
            }
            Order::Signal {
                signal,
                first_alone,
            } => {
                if let (Some(signal), Some(first)) = (Signal::from_named_raw(signal), self.first) {
                    let _ = if first_alone {
                        rustix::process::kill_process(first, signal)
                    } else {
                        rustix::process::kill_process_group(first, signal)
                    };
                }
            }
            Order::Stop { signal } => {
                if let (Some(signal), Some(first)) = (Signal::from_named_raw(signal), self.first) {
                    let _ = rustix::process::kill_process_group(first, signal);
                    let _ = rustix::process::kill_process_group(first, Signal::CONT);
                }
            }
            Order::StopRest { signal } if self.containment.is_namespace() => stop_all(signal),
            _ => {}
        }
    }

    fn start(&mut self, env: Vec<(String, OsString)>) -> io::Result<Pid> {
        let stdin = self.stdin.take().ok_or(io::ErrorKind::InvalidInput)?;
        let mut stage = stage::own(EXEC_STAGE);
        if !self.containment.is_namespace() {
            stage.arg(rustix::process::getpid().as_raw_pid().to_string());
        }
        // What configures this tenure is not meant for one that the command starts.
        for variable in crate::config::variables() {
            // The stage between still has to know, and removes it.
            if variable != LOG_FORMAT_VARIABLE {
                stage.env_remove(variable);
            }
        }
        let child = stage
            .arg("--")
            .args(&self.command)
            .envs(env)
            .env_remove("NOTIFY_SOCKET")
            .stdin(stdin)
            .process_group(0)
            .spawn()?;
        Ok(Pid::from_child(&child))
    }

    fn kill(&self) {
        if let Some(path) = &self.cgroup {
            cgroup::kill(path);
        }
        if let (false, Some(first)) = (cfg!(target_os = "linux"), self.first) {
            let _ = rustix::process::kill_process_group(first, Signal::KILL);
        }
        group::signal_below(rustix::process::getpid().as_raw_pid(), Signal::KILL);
    }
}

/// Whether this is the only process of its PID namespace, whoever may have brought others into it.
fn alone_here() -> bool {
    use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
    std::process::id() == 1 && kill(Pid::from_raw(-1), None) == Err(Errno::ESRCH)
}

/// This signal to everything in the namespace but its init, which this is.
fn stop_all(signal: i32) {
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    if let Ok(signal) = Signal::try_from(signal) {
        let all = Pid::from_raw(-1);
        let _ = kill(all, signal);
        let _ = kill(all, Signal::SIGCONT);
    }
}
