//! What the guard and the init have in common: programs of one thread that wait for their sockets,
//! their children and a moment of the clock, and that no signal but KILL and STOP reaches.

use std::{
    ffi::{CStr, OsString},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::PathBuf,
    process::{Child, Command},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, WaitOptions, WaitStatus},
};
use tenure::Instant;

use super::{exit::Exit, wire};
use crate::{args::LogFormat, console};

/// How long whoever kills waits until it looks, and kills, again.
pub(super) const KILL_PAUSE: Duration = Duration::from_millis(5);

/// Wakes a stage.
pub(super) struct Bell {
    #[cfg(target_os = "linux")]
    children: nix::sys::signalfd::SignalFd,
    #[cfg(target_os = "linux")]
    timer: OwnedFd,
}

impl Bell {
    /// From now on signals wait for ever; that a child has ended wakes.
    #[cfg(target_os = "linux")]
    pub(super) fn new() -> io::Result<Self> {
        use nix::sys::{
            signal::{SigSet, Signal},
            signalfd::{SfdFlags, SignalFd},
        };
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        SigSet::all().thread_block()?;
        let mut children = SigSet::empty();
        children.add(Signal::SIGCHLD);
        Ok(Self {
            children: SignalFd::with_flags(
                &children,
                SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
            )?,
            // The clock of rule L4: it counts the time asleep, and a deadline that passed
            // meanwhile wakes at once.
            timer: timerfd_create(
                TimerfdClockId::Boottime,
                TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
            )?,
        })
    }

    /// From now on signals wait for ever.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn new() -> io::Result<Self> {
        nix::sys::signal::SigSet::all().thread_block()?;
        Ok(Self {})
    }

    /// Waits until one of these can be read, a child has ended, or `until`. It may wake early.
    #[cfg(target_os = "linux")]
    pub(super) fn wait(&self, fds: &[BorrowedFd<'_>], until: Option<Instant>) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, timerfd_settime};
        // Zero would take the alarm away; the first nanosecond since the start is long past.
        let nanos = until.map_or(0, |until| until.as_nanos().max(1));
        let alarm = Itimerspec {
            it_interval: timespec(Duration::ZERO),
            it_value: timespec(Duration::from_nanos(nanos)),
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &alarm)?;
        let mut polled: Vec<_> = fds
            .iter()
            .copied()
            .chain([self.timer.as_fd(), self.children.as_fd()])
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        ignore_interrupts(poll(&mut polled, None))?;
        while let Ok(Some(_)) = self.children.read_signal() {}
        Ok(())
    }

    /// Waits until one of these can be read, a child may have ended, or `until`.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn wait(&self, fds: &[BorrowedFd<'_>], until: Option<Instant>) -> io::Result<()> {
        let slice = Duration::from_millis(20);
        let left = until.map_or(slice, |until| until.since(tenure::now()).min(slice));
        let mut polled: Vec<_> = fds
            .iter()
            .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
            .collect();
        ignore_interrupts(poll(&mut polled, Some(&timespec(left))))
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

fn ignore_interrupts(polled: rustix::io::Result<usize>) -> io::Result<()> {
    match polled {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Starts another stage of this program. It has the socket as its standard input, and is given
/// `stdin` for the command.
pub(super) fn spawn(
    stage: &str,
    settings: &[OsString],
    command: &[OsString],
    stdin: BorrowedFd<'_>,
) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    wire::send_fd(&ours, stdin)?;
    let child = own(stage)
        .args(settings)
        .arg("--")
        .args(command)
        .stdin(OwnedFd::from(theirs))
        .process_group(0)
        .spawn()?;
    Ok((child, ours))
}

/// This program, as that stage.
pub(super) fn own(stage: &str) -> Command {
    // Of Linux, and right even where the file was replaced since.
    let program = if cfg!(target_os = "linux") {
        PathBuf::from("/proc/self/exe")
    } else {
        std::env::current_exe().unwrap_or_else(|_| PathBuf::from("tenure"))
    };
    let mut command = Command::new(program);
    command.arg0("tenure").arg(stage);
    let format = match console::log_format() {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    command.env(console::LOG_FORMAT_VARIABLE, format);
    command
}

/// The name that `ps` and `top` show; else it would be that of the link to this program.
pub(super) fn call_it(name: &CStr) {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_name(name);
    #[cfg(not(target_os = "linux"))]
    let _ = name;
}

/// What was reaped.
pub(super) struct Reaped {
    pub(super) ended: Vec<(Pid, Exit)>,
    /// Whether there is no child any more: for a subreaper, no descendant.
    pub(super) none_left: bool,
}

/// Takes note of every child that has ended.
pub(super) fn reap() -> Reaped {
    let mut ended = Vec::new();
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => ended.extend(exit_of(status).map(|exit| (pid, exit))),
            Ok(None) => {
                return Reaped {
                    ended,
                    none_left: false,
                };
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => {
                return Reaped {
                    ended,
                    none_left: true,
                };
            }
        }
    }
}

fn exit_of(status: WaitStatus) -> Option<Exit> {
    let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    let by_itself = status.exit_status().map(|code| Exit::Code(byte(code)));
    by_itself.or_else(|| {
        let signal = status.terminating_signal();
        signal.map(|signal| Exit::Signal(byte(signal)))
    })
}
