//! The guard: a small process between tenure and the command. It kills all of the command at the
//! moment it was last given, whatever has become of tenure, and at once when tenure is gone.

use std::{
    ffi::OsString,
    os::{fd::AsFd as _, fd::OwnedFd},
    path::PathBuf,
    process::{Child, ExitCode},
};

use rustix::process::{Pid, Signal};
use tenure::Instant;

use super::{
    containment::{Containment, cgroup, group, pidns},
    stage::{self, Bell, KILL_PAUSE},
    wire::{Cause, Link, Order, Report},
};

/// The stage's name on its own command line.
pub(super) const STAGE: &str = "__guard";

/// The stage: `__guard CONTAINMENT -- COMMAND ARGS`.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let Some((settings, command)) = super::split(arguments) else {
        return ExitCode::FAILURE;
    };
    stage::call_it(c"tenure-guard");
    let containment = settings.first().and_then(|name| Containment::named(name));
    let (Some(containment), Ok(bell), Ok((mut above, stdin))) =
        (containment, Bell::new(), Link::inherited())
    else {
        return ExitCode::FAILURE;
    };
    match Guard::begin(containment, command, &stdin) {
        Ok(mut guard) => {
            drop(stdin);
            guard.watch(&bell, &mut above);
            ExitCode::SUCCESS
        }
        Err(why) => {
            above.send(&Report::Refused { why });
            ExitCode::FAILURE
        }
    }
}

struct Guard {
    containment: Containment,
    below: Link,
    init: Child,
    init_reaped: bool,
    cgroup: Option<PathBuf>,
    until: Option<Instant>,
    killing: Option<Cause>,
}

impl Guard {
    fn begin(
        containment: Containment,
        command: &[OsString],
        stdin: &OwnedFd,
    ) -> Result<Self, String> {
        // Whoever loses its parent comes here, and is found.
        #[cfg(target_os = "linux")]
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|error| format!("no child subreaper: {error}"))?;
        #[cfg(target_os = "linux")]
        if !containment.is_namespace() && !group::can_see() {
            return Err("/proc shows another PID namespace than this; mount it anew".to_owned());
        }
        let mut made = None;
        match containment {
            Containment::PidNamespace | Containment::UserPidNamespace => {
                pidns::enter(containment == Containment::UserPidNamespace)
                    .map_err(|error| format!("no PID namespace: {error}"))?;
            }
            Containment::Cgroup => {
                let path = cgroup::make().map_err(|error| format!("no cgroup: {error}"))?;
                made = Some(path);
            }
            Containment::ProcessGroup => {}
        }
        let mut settings = vec![containment.argument()];
        settings.extend(made.iter().map(|path| path.clone().into_os_string()));
        let started = stage::spawn(super::init::STAGE, &settings, command, stdin.as_fd());
        let linked = started.and_then(|(init, socket)| Ok((init, Link::new(socket)?)));
        match linked {
            Ok((init, below)) => Ok(Self {
                containment,
                below,
                init,
                init_reaped: false,
                cgroup: made,
                until: None,
                killing: None,
            }),
            Err(error) => {
                if let Some(path) = made {
                    cgroup::remove(&path);
                }
                Err(format!("no process in it: {error}"))
            }
        }
    }

    /// Until nothing is left.
    fn watch(&mut self, bell: &Bell, above: &mut Link) {
        let mut hung_up = false;
        loop {
            for order in above.receive() {
                self.obey(order, above);
            }
            if above.ended() {
                self.killing.get_or_insert(Cause::Orphaned);
            }
            for report in self.below.receive() {
                let over = matches!(report, Report::Empty { .. });
                above.send(&self.passed_on(report));
                if over {
                    // Its namespace is empty, and its init is about to end.
                    return;
                }
            }
            if self.below.ended() {
                self.killing.get_or_insert(Cause::Over);
            }
            if self.until.is_some_and(|until| tenure::now() >= until) {
                self.killing.get_or_insert(Cause::Deadline);
            }
            let reaped = stage::reap();
            let init = Pid::from_raw(self.init_pid());
            self.init_reaped |= reaped.ended.iter().any(|(pid, _)| Some(*pid) == init);
            let left = !reaped.none_left || !self.cgroup_is_empty();
            match self.killing {
                Some(cause) if !left => {
                    if let Some(path) = &self.cgroup {
                        cgroup::remove(path);
                    }
                    above.send(&Report::Empty { cause });
                    return;
                }
                // An init that has hung up ends by itself as a rule, with nothing left: a walk through
                // /proc would take longer than that.
                Some(Cause::Over) if !self.init_reaped && !hung_up => hung_up = true,
                Some(_) => self.kill(),
                None => {}
            }
            let until = match self.killing {
                Some(_) => Some(tenure::now().after(KILL_PAUSE)),
                None => self.until,
            };
            let mut fds = Vec::new();
            // A socket that has ended is always readable.
            if !above.ended() {
                fds.push(above.as_fd());
            }
            if !self.below.ended() {
                fds.push(self.below.as_fd());
            }
            if bell.wait(&fds, until).is_err() {
                self.killing.get_or_insert(Cause::Orphaned);
            }
        }
    }

    fn obey(&mut self, order: Order, above: &mut Link) {
        match order {
            Order::Start { until, env } => {
                self.until = until.map(Instant::from_nanos);
                if self.until.is_none_or(|until| tenure::now() < until) {
                    self.below.send(&Order::Start { until: None, env });
                }
            }
            Order::Until { until } => {
                self.until = until.map(Instant::from_nanos);
                above.send(&Report::Heard { until });
            }
            // The init of a namespace reaches all of it without a walk through /proc.
            Order::StopRest { .. } if self.containment.is_namespace() => self.below.send(&order),
            Order::StopRest { signal } => {
                if let Some(signal) = Signal::from_named_raw(signal) {
                    group::signal_below(self.init_pid(), signal);
                    group::signal_below(self.init_pid(), Signal::CONT);
                }
            }
            Order::Kill => {
                self.killing.get_or_insert(Cause::Asked);
            }
            order @ (Order::Signal { .. } | Order::Stop { .. }) => self.below.send(&order),
        }
    }

    /// The init sees neither its own number from outside nor its cgroup, nor why it was killed.
    fn passed_on(&self, report: Report) -> Report {
        match report {
            Report::Ready { .. } => Report::Ready {
                init: self.init_pid(),
                cgroup: self.cgroup.as_ref().map(|path| path.display().to_string()),
            },
            Report::Empty { cause } => Report::Empty {
                cause: self.killing.unwrap_or(cause),
            },
            report => report,
        }
    }

    fn kill(&mut self) {
        if let Some(path) = &self.cgroup {
            cgroup::kill(path);
        }
        let own = rustix::process::getpid().as_raw_pid();
        if !self.containment.is_namespace() {
            group::kill_below(own, self.init_pid());
            return;
        }
        if let (false, Some(pid)) = (self.init_reaped, Pid::from_raw(self.init_pid())) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        group::signal_below(own, Signal::KILL);
    }

    fn cgroup_is_empty(&self) -> bool {
        self.cgroup
            .as_ref()
            .is_none_or(|path| cgroup::is_empty(path))
    }

    fn init_pid(&self) -> i32 {
        i32::try_from(self.init.id()).unwrap_or(0)
    }
}
