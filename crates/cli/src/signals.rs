//! Signals that ask the program to end.

use tokio::sync::oneshot;

use crate::failure::Failure;

/// Waits for the signals that ask a program to end.
pub(crate) struct Signals {
    #[cfg(unix)]
    kinds: [(tokio::signal::unix::Signal, Ending); 3],
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
        let ending = |name, exit_code| Ending { name, exit_code };
        Ok(Self {
            kinds: [
                (catch(SignalKind::interrupt())?, INTERRUPT),
                (catch(SignalKind::terminate())?, ending("SIGTERM", 143)),
                (catch(SignalKind::hangup())?, ending("SIGHUP", 129)),
            ],
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
        let [(int, int_is), (term, term_is), (hup, hup_is)] = &mut self.kinds;
        tokio::select! {
            _ = int.recv() => *int_is,
            _ = term.recv() => *term_is,
            _ = hup.recv() => *hup_is,
        }
    }

    /// The next one. Cancel safe.
    #[cfg(windows)]
    pub(crate) async fn next(&mut self) -> Ending {
        self.ctrl_c.recv().await;
        INTERRUPT
    }
}
