//! Signals that ask the program to end.

use tokio::sync::oneshot;

use crate::failure::Failure;

/// Waits for the signals that ask a program to end.
pub(crate) struct Signals {
    #[cfg(unix)]
    int: tokio::signal::unix::Signal,
    #[cfg(unix)]
    term: tokio::signal::unix::Signal,
    /// None where it is to stay ignored.
    #[cfg(unix)]
    hang_up: Option<tokio::signal::unix::Signal>,
    #[cfg(windows)]
    ctrl_c: tokio::signal::windows::CtrlC,
}

/// A signal that asks the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// As people write it.
    pub(crate) name: &'static str,
    /// What a shell expects of a program that it ended.
    pub(crate) exit_code: u8,
}

pub(crate) const INTERRUPT: Ending = Ending {
    name: "SIGINT",
    exit_code: 130,
};

/// Resolves with the first signal. The second ends the process at once, whatever it is doing:
/// somebody who asks twice does not want to wait.
pub(crate) fn first_then_exit() -> Result<oneshot::Receiver<Ending>, Failure> {
    let mut signals = Signals::catch()?;
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        let first = signals.next().await;
        // Whoever waited may have ended for another reason.
        let _ = sender.send(first);
        let second = signals.next().await;
        crate::console::show_cursor();
        std::process::exit(second.exit_code.into());
    });
    Ok(receiver)
}

impl Signals {
    /// From now on these signals end nothing by themselves.
    #[cfg(unix)]
    pub(crate) fn catch() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let catch = |kind| {
            signal(kind).map_err(|error| {
                Failure::failed("cannot catch signals; nothing was started").because(error)
            })
        };
        let hang_up = (!hang_up_is_ignored()).then(|| catch(SignalKind::hangup()));
        Ok(Self {
            int: catch(SignalKind::interrupt())?,
            term: catch(SignalKind::terminate())?,
            hang_up: hang_up.transpose()?,
        })
    }

    /// From now on the interrupt key ends nothing by itself.
    #[cfg(windows)]
    pub(crate) fn catch() -> Result<Self, Failure> {
        let ctrl_c = tokio::signal::windows::ctrl_c().map_err(|error| {
            Failure::failed("cannot catch signals; nothing was started").because(error)
        })?;
        Ok(Self { ctrl_c })
    }

    /// The next one. Cancel safe.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) -> Ending {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        let ending = |name, exit_code| Ending { name, exit_code };
        tokio::select! {
            _ = self.int.recv() => INTERRUPT,
            _ = self.term.recv() => ending("SIGTERM", 143),
            _ = hang_up => ending("SIGHUP", 129),
        }
    }

    /// The next one. Cancel safe.
    #[cfg(windows)]
    pub(crate) async fn next(&mut self) -> Ending {
        self.ctrl_c.recv().await;
        INTERRUPT
    }
}

/// Whether somebody has asked that a hang-up be ignored, as `nohup` does.
#[cfg(unix)]
pub(crate) fn hang_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = mask(&status, "SigIgn");
    mask.is_some_and(|mask| mask.holds(rustix::process::Signal::HUP.as_raw()))
}

/// Signals, as /proc shows them.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mask(u64);

#[cfg(unix)]
impl Mask {
    pub(crate) fn holds(self, signal: i32) -> bool {
        (1..=64).contains(&signal) && self.0 & (1 << (signal - 1)) != 0
    }
}

/// One of the masks of a process' status: `SigIgn`, `SigCgt`, `SigBlk`.
#[cfg(unix)]
pub(crate) fn mask(status: &str, name: &str) -> Option<Mask> {
    let mut values = status.lines().filter_map(|line| line.split_once(':'));
    let (_, mask) = values.find(|(key, _)| *key == name)?;
    u64::from_str_radix(mask.trim(), 16).ok().map(Mask)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn masks_are_read_as_the_kernel_writes_them() {
        let status = "Name:\ta:b\nSigBlk:\t0000000000000000\nSigCgt:\t8000000000000201\n";
        let mask = |name| mask(status, name);
        assert!(!mask("SigBlk").unwrap().holds(1));
        let caught = mask("SigCgt").unwrap();
        assert!([1, 10, 64].iter().all(|signal| caught.holds(*signal)));
        assert!(
            ![-1, 0, 2, 63, 65]
                .iter()
                .any(|signal| caught.holds(*signal))
        );
        assert_eq!(mask("SigIgn"), None);
    }
}
