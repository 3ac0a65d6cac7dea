//! Whether a command can hear a signal yet. Until it has set up what it does about one, the signal
//! would end it: with `--signal-only` a command that is slow to start is not told before that it leads.

use super::{containment::group, init};
use crate::signals::mask;

/// Whether the signal does nothing to a process that has no handler for it: then it may come too early, since
/// what it tells stands in a file.
pub(super) fn is_harmless(signal: i32) -> bool {
    use rustix::process::Signal;
    [Signal::CHILD, Signal::URG, Signal::WINCH, Signal::CONT]
        .iter()
        .any(|harmless| harmless.as_raw() == signal)
}

/// Whether the command's first process, which is `number` to its init, can hear the signal. Where nobody
/// can know, it can.
#[cfg(target_os = "linux")]
pub(super) fn hears(init: i32, number: i32, signal: i32) -> bool {
    let read = |pid: i32, file: &str| std::fs::read(format!("/proc/{pid}/{file}"));
    let children = group::processes()
        .into_iter()
        .filter(|process| process.parent == init);
    for child in children {
        // First its command line: if that is the command's, what is read after it is the command's too,
        // and no longer that of a stage, which blocks all signals.
        let line = read(child.pid, "cmdline").unwrap_or_default();
        let Ok(status) = read(child.pid, "status") else {
            continue;
        };
        let status = String::from_utf8_lossy(&status);
        if innermost(&status) == Some(number) {
            let begun = !line.is_empty() && !init::is_stage(&line);
            return begun && takes(&status, signal);
        }
    }
    true
}

#[cfg(not(target_os = "linux"))]
pub(super) fn hears(_init: i32, _number: i32, _signal: i32) -> bool {
    true
}

/// The number of the process in its own PID namespace.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn innermost(status: &str) -> Option<i32> {
    let numbers = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_ascii_whitespace().last()?.parse().ok()
}

/// Whether it does not end by the signal: it has a handler, waits for it otherwise, or ignores it.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn takes(status: &str, signal: i32) -> bool {
    // Shells and libraries keep all signals out for a moment, also those that nobody waits for.
    const SEGV: i32 = 11;
    let holds = |name: &str, signal| mask(status, name).is_some_and(|mask| mask.holds(signal));
    let waits = holds("SigBlk", signal) && !holds("SigBlk", SEGV);
    waits || holds("SigCgt", signal) || holds("SigIgn", signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_ignored_by_default_may_come_too_early() {
        // As `kill -l` numbers them on Linux.
        let harmless = [17, 18, 23, 28];
        for signal in 1..=64 {
            assert_eq!(is_harmless(signal), harmless.contains(&signal), "{signal}");
        }
    }

    #[test]
    fn a_process_is_known_by_its_number_in_its_own_namespace() {
        assert_eq!(innermost("Pid:\t9\nNSpid:\t900\t2\nx:\t1\n"), Some(2));
        assert_eq!(innermost("NSpid:\t900\n"), Some(900));
        assert_eq!(innermost("NSpid:\n"), None);
        assert_eq!(innermost("Pid:\t9\n"), None);
    }

    #[test]
    fn whoever_catches_blocks_or_ignores_a_signal_takes_it() {
        for name in ["SigCgt", "SigBlk", "SigIgn"] {
            let status = format!("SigQ:\t0/1\n{name}:\t0000000000000200\n");
            assert!(takes(&status, 10), "{name}");
            assert!(!takes(&status, 12), "{name}");
        }
        assert!(!takes("SigBlk:\tfffffffe7ffbfeff\n", 10), "for a moment");
        assert!(!takes("SigPnd:\t0000000000000200\n", 10));
    }
}
