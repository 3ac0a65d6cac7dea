//! The processes below one, found by a walk through /proc, and killed.

use rustix::process::{Pid, Signal};

/// A process as /proc shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) zombie: bool,
    /// In clock ticks since boot: with the pid it names a process for good.
    started: u64,
}

/// Whether /proc shows the processes of this PID namespace. In one whose /proc is another's (`unshare
/// --pid` alone), the numbers there are those of other processes here.
#[cfg(target_os = "linux")]
pub(crate) fn can_see() -> bool {
    let own = rustix::process::getpid().as_raw_pid().to_string();
    std::fs::read_link("/proc/self").is_ok_and(|shown| shown.as_os_str() == own.as_str())
}

/// All processes that can be seen.
#[cfg(target_os = "linux")]
pub(crate) fn processes() -> Vec<Process> {
    if !can_see() {
        return Vec::new();
    }
    let Ok(directory) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    directory
        .flatten()
        .filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn processes() -> Vec<Process> {
    Vec::new()
}

/// Those of `all` that descend from `root`, which is not among them.
pub(crate) fn below(root: i32, all: &[Process]) -> Vec<Process> {
    let mut found = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        let children = all.iter().filter(|process| process.parent == parent);
        for child in children {
            // The walk is no snapshot: a pid that was used twice must not make it endless.
            if child.pid != root && !found.contains(child) {
                found.push(*child);
                parents.push(child.pid);
            }
        }
    }
    found
}

/// Sends a signal to everything below `root`.
pub(crate) fn signal_below(root: i32, signal: Signal) {
    for process in below(root, &processes()) {
        send(process, signal);
    }
}

/// Kills what is below `root`, and the init among it only when nothing else of that lives: should whoever
/// kills die in between, the init is the last who knows of the rest, and kills it.
pub(crate) fn kill_below(root: i32, init: i32) {
    for process in victims(root, init, &processes()) {
        send(process, Signal::KILL);
    }
}

fn victims(root: i32, init: i32, all: &[Process]) -> Vec<Process> {
    let mut found = below(root, all);
    if found.iter().any(|one| one.pid != init && !one.zombie) {
        found.retain(|one| one.pid != init);
    }
    found
}

/// Sends a signal to this process, and to none that got its number since.
pub(crate) fn send(process: Process, signal: Signal) {
    let Some(pid) = Pid::from_raw(process.pid) else {
        return;
    };
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => {
                if self::process(process.pid).is_some_and(|now| now.started == process.started) {
                    let _ = pidfd_send_signal(pidfd, signal);
                }
                return;
            }
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {}
            // It is gone.
            Err(_) => return,
        }
    }
    let _ = rustix::process::kill_process(pid, signal);
}

#[cfg(target_os = "linux")]
fn process(pid: i32) -> Option<Process> {
    parse(pid, &std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (name) state ppid pgrp ...`: a name can hold blanks and brackets, so the last one counts.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Process {
        pid,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32) -> Process {
        Process {
            pid,
            parent,
            group: 1,
            zombie: false,
            started: 0,
        }
    }

    #[test]
    fn a_name_with_brackets_in_it_confuses_nobody() {
        let stat = b"42 (a) S (b) c) Z 7 8 9 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 12345 1 2";
        let read = parse(42, stat).unwrap();
        assert_eq!((read.pid, read.parent, read.group), (42, 7, 8));
        assert!(read.zombie);
        assert_eq!(read.started, 12345);
        assert_eq!(parse(42, b"42 (a"), None);
        assert_eq!(parse(42, b"42 (a) S x"), None);
    }

    #[test]
    fn all_descendants_are_found_and_nobody_else() {
        let all = [
            process(2, 1),
            process(3, 2),
            process(4, 3),
            process(5, 1),
            process(6, 5),
        ];
        let mut found: Vec<_> = below(2, &all).iter().map(|found| found.pid).collect();
        found.sort_unstable();
        assert_eq!(found, [3, 4]);
        // No snapshot: a circle ends.
        let circle = [process(2, 3), process(3, 2)];
        assert_eq!(below(2, &circle), [process(3, 2)]);
    }

    #[test]
    fn the_init_is_killed_when_nothing_else_is_left_and_not_before() {
        let mut all = [process(3, 2), process(4, 3), process(5, 4), process(9, 1)];
        let pids = |all: &[Process]| -> Vec<i32> {
            let found = victims(2, 3, all);
            found.iter().map(|found| found.pid).collect()
        };
        assert_eq!(pids(&all), [4, 5]);
        all[1].zombie = true;
        assert_eq!(pids(&all), [4, 5]);
        all[2].zombie = true;
        assert_eq!(pids(&all), [3, 4, 5], "a stopped init reaps nobody");
        assert_eq!(pids(&all[..1]), [3]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_among_them() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(processes().iter().any(|process| process.pid == own));
    }
}
