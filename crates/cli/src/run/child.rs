//! tenure's side of a command in its containment: what it tells the guard and hears from it, and
//! the killing that it does itself, should the guard not.

use std::{
    ffi::OsString,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
    process::Child,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitOptions};
use tenure::Instant;
use tokio::net::UnixStream;

use super::{
    containment::{Containment, cgroup, group},
    guard, hearing,
    stage::{self, KILL_PAUSE},
    wire::{self, Cause, Order, Report},
};

/// A command behind its guard.
pub(super) struct Guarded {
    guard: Child,
    in_namespace: bool,
    socket: UnixStream,
    read: Vec<u8>,
    reports: Vec<Report>,
    /// The init, and not whoever has its number after it.
    #[cfg(target_os = "linux")]
    init: Option<OwnedFd>,
    /// The numbers of the init, and of the command's first process as its init knows it.
    numbers: (Option<i32>, Option<i32>),
    cgroup: Option<PathBuf>,
    /// The newest deadline that the guard was told and has not said to have heard, and since when
    /// it has said nothing.
    unheard: Option<(Option<u64>, Instant)>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Guarded,
    /// The guard was told to kill, and is itself killed at that moment if it has not done so.
    Killing(Instant),
    /// The guard is gone: tenure kills what is left.
    Alone,
    /// Nothing is left.
    Empty,
}

/// The guards that live: no child of tenure but these is kept out of a killing.
static GUARDS: Mutex<Vec<i32>> = Mutex::new(Vec::new());

impl Guarded {
    /// Starts a guard, which makes ready for the command.
    pub(super) fn arm(
        containment: Containment,
        command: &[OsString],
        stdin: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        let mut guards = GUARDS.lock().unwrap_or_else(PoisonError::into_inner);
        let (guard, socket) =
            stage::spawn(guard::STAGE, &[containment.argument()], command, stdin)?;
        guards.push(number(&guard));
        drop(guards);
        socket.set_nonblocking(true)?;
        Ok(Self {
            guard,
            in_namespace: containment.is_namespace(),
            socket: UnixStream::from_std(socket)?,
            read: Vec::new(),
            reports: Vec::new(),
            #[cfg(target_os = "linux")]
            init: None,
            numbers: (None, None),
            cgroup: None,
            unheard: None,
            state: State::Guarded,
        })
    }

    /// What happens next to it. After [`Report::Empty`] and [`Report::Refused`], nothing does.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Report {
        loop {
            if !self.reports.is_empty() {
                let report = self.reports.remove(0);
                self.note(&report);
                return report;
            }
            match self.state {
                State::Empty => std::future::pending().await,
                State::Alone => {
                    if self.sweep() {
                        self.state = State::Empty;
                        return Report::Empty {
                            cause: Cause::Orphaned,
                        };
                    }
                    tokio::time::sleep(KILL_PAUSE).await;
                }
                State::Guarded => {
                    let _ = self.socket.readable().await;
                    if !self.receive() {
                        return self.guard_gone();
                    }
                }
                State::Killing(at) => {
                    let left = at.since(tenure::now());
                    let readable = tokio::time::timeout(left, self.socket.readable()).await;
                    if readable.is_err() || !self.receive() {
                        return self.guard_gone();
                    }
                }
            }
        }
    }

    /// Reads what there is; false when there will be no more.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.try_read(&mut buffer) {
                Ok(n @ 1..) => self.read.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Ok(0) | Err(_) => {
                    self.reports.extend(wire::lines(&mut self.read));
                    return !self.reports.is_empty();
                }
            }
        }
        self.reports.extend(wire::lines(&mut self.read));
        true
    }

    fn note(&mut self, report: &Report) {
        match report {
            Report::Ready { init, cgroup } => {
                #[cfg(target_os = "linux")]
                {
                    use rustix::process::{PidfdFlags, pidfd_open};
                    let open = |pid| pidfd_open(pid, PidfdFlags::empty()).ok();
                    self.init = Pid::from_raw(*init).and_then(open);
                }
                self.numbers.0 = Some(*init);
                self.cgroup = cgroup.as_ref().map(PathBuf::from);
            }
            Report::Started { pid } => self.numbers.1 = Some(*pid),
            Report::Heard { until } if self.unheard.is_some_and(|(told, _)| told == *until) => {
                self.unheard = None;
            }
            Report::Empty { .. } | Report::Refused { .. } => {
                self.state = State::Empty;
            }
            _ => {}
        }
    }

    /// From here on there is no guard, if there was one still.
    fn guard_gone(&mut self) -> Report {
        let _ = self.guard.kill();
        // From now on it is among what is left.
        forget(number(&self.guard));
        self.state = State::Alone;
        self.kill_from_here();
        Report::Gone
    }

    /// Tells the guard something. One that cannot be told is killed, and [`next`](Self::next)
    /// says that it is gone.
    pub(super) fn tell(&mut self, order: &Order) {
        if matches!(self.state, State::Alone | State::Empty) {
            return;
        }
        let line = wire::line(order);
        let told = self.socket.try_write(&line);
        if told.is_ok_and(|told| told == line.len()) {
            return;
        }
        let _ = self.guard.kill();
    }

    /// Whether the command runs, and would not be ended by this signal.
    pub(super) fn hears(&self, signal: i32) -> bool {
        match self.numbers {
            (Some(init), Some(first)) => hearing::hears(init, first, signal),
            _ => false,
        }
    }

    /// Runs the command, which is killed at `until`.
    pub(super) fn start(&mut self, until: Option<Instant>, env: Vec<(String, OsString)>) {
        let until = until.map(Instant::as_nanos);
        self.tell(&Order::Start { until, env });
    }

    /// Moves the moment at which it is killed. A guard that has not heard of the last one for
    /// longer than `patience` does not guard, and is killed.
    pub(super) fn until(&mut self, until: Option<Instant>, patience: Duration) {
        let now = tenure::now();
        let since = self.unheard.map_or(now, |(_, since)| since);
        if now.since(since) > patience {
            let _ = self.guard.kill();
            return;
        }
        let until = until.map(Instant::as_nanos);
        self.unheard = Some((until, since));
        self.tell(&Order::Until { until });
    }

    /// Kills all of it: the guard is told to, tenure does so too, and a guard that has not said
    /// within `patience` that nothing is left is killed and done without.
    pub(super) fn kill(&mut self, patience: Duration) {
        self.tell(&Order::Kill);
        self.kill_from_here();
        if self.state == State::Guarded {
            self.state = State::Killing(tenure::now().after(patience));
        }
    }

    fn kill_from_here(&self) {
        if self.state == State::Empty {
            return;
        }
        if let Some(path) = &self.cgroup {
            cgroup::kill(path);
        }
        #[cfg(target_os = "linux")]
        if let (true, Some(init)) = (self.in_namespace, &self.init) {
            let _ = rustix::process::pidfd_send_signal(init, Signal::KILL);
        }
        if self.state != State::Alone {
            group::kill_below(number(&self.guard), self.numbers.0.unwrap_or(0));
        }
    }

    /// With the init of a PID namespace everything in it is gone, seen or not.
    #[cfg(target_os = "linux")]
    fn init_is_gone(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let Some(init) = &self.init else { return true };
        let mut ended = [PollFd::new(init, PollFlags::IN)];
        poll(&mut ended, Some(&Timespec::default())).is_ok_and(|ended| ended > 0)
    }

    #[cfg(not(target_os = "linux"))]
    fn init_is_gone(&self) -> bool {
        true
    }

    /// Kills whatever was left to tenure when the guard went; true when nothing is.
    fn sweep(&mut self) -> bool {
        self.kill_from_here();
        let own = rustix::process::getpid().as_raw_pid();
        let all = group::processes();
        let own_group = all.iter().find(|process| process.pid == own);
        let own_group = own_group.map(|process| process.group);
        let guards = GUARDS.lock().unwrap_or_else(PoisonError::into_inner);
        let mut clear = self.init_is_gone();
        // Programs that get credentials for the cluster are children too, and of tenure's group.
        let left = all.iter().filter(|process| {
            process.parent == own
                && Some(process.group) != own_group
                && !guards.contains(&process.pid)
        });
        for process in left {
            clear = false;
            group::signal_below(process.pid, Signal::KILL);
            group::send(*process, Signal::KILL);
            if let Some(pid) = Pid::from_raw(process.pid) {
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
        let empty = self
            .cgroup
            .as_ref()
            .is_none_or(|path| cgroup::is_empty(path));
        if let (true, true, Some(path)) = (clear, empty, &self.cgroup) {
            cgroup::remove(path);
        }
        clear && empty
    }
}

impl Drop for Guarded {
    /// A guard that has nothing to guard ends when its socket does.
    fn drop(&mut self) {
        if self.state == State::Empty {
            // It has said its last.
            let _ = self.guard.kill();
            let _ = self.guard.wait();
        }
        forget(number(&self.guard));
    }
}

/// No part in a killing: what is neither a guard nor left over from one.
pub(super) fn is_guard(pid: i32) -> bool {
    let guards = GUARDS.lock().unwrap_or_else(PoisonError::into_inner);
    guards.contains(&pid)
}

fn forget(pid: i32) {
    let mut guards = GUARDS.lock().unwrap_or_else(PoisonError::into_inner);
    guards.retain(|guard| *guard != pid);
}

fn number(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap_or(0)
}

/// What the command is to read: tenure's own standard input, or nothing where that is a terminal,
/// of which the command is in the background.
pub(super) fn stdin() -> io::Result<OwnedFd> {
    use std::io::IsTerminal as _;
    let stdin = io::stdin();
    if stdin.is_terminal() {
        nothing()
    } else {
        stdin.as_fd().try_clone_to_owned()
    }
}

/// What is empty.
pub(super) fn nothing() -> io::Result<OwnedFd> {
    Ok(std::fs::File::open("/dev/null")?.into())
}
