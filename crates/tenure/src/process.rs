//! Which process this is, and whether another one is gone (rule F3).
//!
//! Everything here is read from `/proc`, and every reader is a function over text. Where something
//! cannot be known for certain the answer is `None` or [`Fate::CannotTell`]: a process that is
//! wrongly taken for dead makes a second leader.

use std::{fmt, sync::Arc};

/// What tells one process from every other that ever was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// Its number within its PID namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot: another process under the same number started
    /// at another time.
    pub start: u64,
    /// The boot of the machine that it ran on.
    pub boot: String,
    /// The PID namespace that its number belongs to, such as `pid:[4026531836]`.
    pub pid_namespace: String,
}

/// What became of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Proven gone: its number is free, or another process has it.
    Gone,
    /// It is there. (A process that has ended and whose parent has not noticed counts as there.)
    Alive,
    /// It belongs to another boot or PID namespace, or it cannot be looked at.
    CannotTell,
}

/// Where processes are looked up.
#[doc(hidden)]
pub trait Processes: fmt::Debug + Send + Sync + 'static {
    /// The own process, as [`own_process`].
    fn own(&self) -> Option<ProcessId>;

    /// Whether another one is gone, for certain, as [`inspect`].
    fn inspect(&self, process: &ProcessId) -> Fate;
}

/// Processes that many share.
#[doc(hidden)]
pub type SharedProcesses = Arc<dyn Processes>;

/// The machine's processes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemProcesses;

impl Processes for SystemProcesses {
    fn own(&self) -> Option<ProcessId> {
        own_process()
    }

    fn inspect(&self, process: &ProcessId) -> Fate {
        inspect(process)
    }
}

/// The own process. `None` where one of the four cannot be read, or `/proc` shows another PID
/// namespace than the own.
pub fn own_process() -> Option<ProcessId> {
    platform::own_process()
}

/// Whether `process` is gone, for certain (rule F3).
pub fn inspect(process: &ProcessId) -> Fate {
    match platform::own_process() {
        Some(own) => judge(process, &own, platform::exists, platform::start_of),
        None => Fate::CannotTell,
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "process {} ({}, boot {})",
            self.pid, self.pid_namespace, self.boot
        )
    }
}

/// What looking for a process number brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exists {
    Yes,
    No,
    CannotTell,
}

fn judge(
    process: &ProcessId,
    own: &ProcessId,
    exists: impl Fn(u32) -> Exists,
    start_of: impl Fn(u32) -> Option<u64>,
) -> Fate {
    if process.boot != own.boot || process.pid_namespace != own.pid_namespace {
        return Fate::CannotTell;
    }
    match exists(process.pid) {
        Exists::No => Fate::Gone,
        Exists::CannotTell => Fate::CannotTell,
        Exists::Yes => match start_of(process.pid) {
            Some(start) if start == process.start => Fate::Alive,
            Some(_) => Fate::Gone,
            None => Fate::CannotTell,
        },
    }
}

/// The number and the start time (fields 1 and 22) in a `/proc/<pid>/stat`. The second field is a
/// name in parentheses, which may hold anything, parentheses included.
fn parse_stat(stat: &str) -> Option<(u32, u64)> {
    let pid = stat.split_whitespace().next()?.parse().ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let start = after_name.split_whitespace().nth(22 - 3)?.parse().ok()?;
    Some((pid, start))
}

/// Whether start times count from the machine's boot. In a time namespace they are shifted, and
/// one process has different start times for different readers. A missing file means that there
/// are no such namespaces.
fn counts_from_boot(offsets: Option<&str>) -> bool {
    offsets.is_none_or(|offsets| {
        offsets.lines().all(|line| {
            let mut words = line.split_whitespace();
            words.next() != Some("boottime") || words.all(|word| word.parse() == Ok(0_i64))
        })
    })
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod platform {
    use std::fs;

    use rustix::{io::Errno, process::Pid};

    use super::{Exists, ProcessId, counts_from_boot, parse_stat};

    pub(super) fn own_process() -> Option<ProcessId> {
        if !counts_from_boot(
            fs::read_to_string("/proc/self/timens_offsets")
                .ok()
                .as_deref(),
        ) {
            return None;
        }
        let (pid, start) = parse_stat(&fs::read_to_string("/proc/self/stat").ok()?)?;
        if pid != std::process::id() {
            return None;
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()?
            .trim()
            .to_owned();
        let pid_namespace = fs::read_link("/proc/self/ns/pid")
            .ok()?
            .into_os_string()
            .into_string()
            .ok()?;
        let known = !boot.is_empty() && !pid_namespace.is_empty();
        known.then_some(ProcessId {
            pid,
            start,
            boot,
            pid_namespace,
        })
    }

    pub(super) fn exists(pid: u32) -> Exists {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Exists::CannotTell;
        };
        match rustix::process::test_kill_process(pid) {
            // Not permitted: there is one that is not ours to touch.
            Ok(()) | Err(Errno::PERM) => Exists::Yes,
            Err(Errno::SRCH) => Exists::No,
            Err(_) => Exists::CannotTell,
        }
    }

    pub(super) fn start_of(pid: u32) -> Option<u64> {
        let (found, start) = parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        (found == pid).then_some(start)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod platform {
    use super::{Exists, ProcessId};

    pub(super) fn own_process() -> Option<ProcessId> {
        None
    }

    pub(super) fn exists(_: u32) -> Exists {
        Exists::CannotTell
    }

    pub(super) fn start_of(_: u32) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, start: u64) -> ProcessId {
        ProcessId {
            pid,
            start,
            boot: "b".into(),
            pid_namespace: "pid:[1]".into(),
        }
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_move_the_start_time() {
        let rest = "S 1 1 1 0 -1 4194304 101 0 0 0 0 0 0 0 20 0 1 0 445260 3133440 351";
        for name in ["cat", "a b", "x) R 1 2 3 4", ")", "((", ""] {
            let stat = format!("23673 ({name}) {rest}\n");
            assert_eq!(parse_stat(&stat), Some((23673, 445_260)), "{name}");
        }
        for bad in [
            "",
            "1",
            "1 (x",
            "1 (x) S 1 2",
            "x (y) S",
            "1 (x) S 1 1 1 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 -5 3",
        ] {
            assert_eq!(parse_stat(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_a_process_of_the_same_boot_and_namespace_can_be_proven_gone() {
        let own = process(7, 70);
        let gone = |p: &ProcessId| judge(p, &own, |_| Exists::No, |_| None);
        assert_eq!(gone(&process(5, 50)), Fate::Gone);
        assert_eq!(
            gone(&ProcessId {
                boot: "c".into(),
                ..process(5, 50)
            }),
            Fate::CannotTell
        );
        let elsewhere = ProcessId {
            pid_namespace: "pid:[2]".into(),
            ..process(5, 50)
        };
        assert_eq!(gone(&elsewhere), Fate::CannotTell);
    }

    #[test]
    fn the_start_time_tells_a_reused_number_from_the_process_that_had_it() {
        let own = process(7, 70);
        let fate = |exists, start| judge(&process(5, 50), &own, |_| exists, |_| start);
        assert_eq!(fate(Exists::Yes, Some(50)), Fate::Alive);
        assert_eq!(fate(Exists::Yes, Some(51)), Fate::Gone);
        assert_eq!(fate(Exists::Yes, None), Fate::CannotTell);
        assert_eq!(fate(Exists::CannotTell, Some(51)), Fate::CannotTell);
    }

    #[test]
    fn a_shifted_time_namespace_is_noticed() {
        assert!(counts_from_boot(None));
        assert!(counts_from_boot(Some(
            "monotonic           0         0\nboottime            0         0\n"
        )));
        assert!(counts_from_boot(Some(
            "monotonic           9         0\nboottime            0         0\n"
        )));
        assert!(!counts_from_boot(Some("monotonic 0 0\nboottime 86400 0\n")));
        assert!(!counts_from_boot(Some("boottime -1 0\n")));
        assert!(!counts_from_boot(Some("boottime what\n")));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_alive_and_an_ended_child_is_gone() {
        let own = own_process().unwrap();
        assert_eq!(own.pid, std::process::id());
        assert_eq!(inspect(&own), Fate::Alive);
        assert_eq!(
            inspect(&ProcessId {
                start: own.start + 1,
                ..own.clone()
            }),
            Fate::Gone
        );

        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let start = platform::start_of(child.id()).unwrap();
        let recorded = ProcessId {
            pid: child.id(),
            start,
            ..own
        };
        assert_eq!(inspect(&recorded), Fate::Alive);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(inspect(&recorded), Fate::Gone);
        assert_eq!(
            inspect(&ProcessId {
                pid: u32::MAX,
                ..recorded.clone()
            }),
            Fate::CannotTell
        );
        assert_eq!(inspect(&ProcessId { pid: 0, ..recorded }), Fate::CannotTell);
    }
}
