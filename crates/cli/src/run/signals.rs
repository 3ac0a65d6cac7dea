//! The signals that tenure takes: all that are not about itself.

use rustix::process::Signal;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::failure::Failure;

/// What a command may want to hear of. The others are about the process that they are sent to
/// (SEGV, BUS, FPE, ILL, TRAP, ABRT, SYS, PIPE, CHLD, TTIN, TTOU), or cannot be caught (KILL, STOP).
fn forwarded() -> impl Iterator<Item = i32> {
    let named = [
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::TERM,
        Signal::CONT,
        Signal::TSTP,
        Signal::URG,
        Signal::XCPU,
        Signal::XFSZ,
        Signal::VTALARM,
        Signal::PROF,
        Signal::WINCH,
        Signal::IO,
        #[cfg(target_os = "linux")]
        Signal::POWER,
    ];
    named.into_iter().map(Signal::as_raw)
}

/// From now on these signals do nothing by themselves, and come out here.
pub(super) fn catch() -> Result<mpsc::UnboundedReceiver<i32>, Failure> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let ignored = crate::signals::hang_up_is_ignored().then_some(Signal::HUP.as_raw());
    for number in forwarded().filter(|number| Some(*number) != ignored) {
        let mut kind = signal(SignalKind::from_raw(number)).map_err(|error| {
            Failure::failed("cannot catch signals; nothing was started").because(error)
        })?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while kind.recv().await.is_some() {
                if sender.send(number).is_err() {
                    break;
                }
            }
        });
    }
    Ok(receiver)
}

/// The number of `TERM`, `SIGTERM` or `15`, where it may be sent to a command.
pub(crate) fn parse(text: &str) -> Result<i32, String> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let number = text.parse().ok();
    forwarded()
        .find(|signal| name_of(*signal) == name || number == Some(*signal))
        .ok_or_else(|| "name a signal that may be sent, such as TERM, INT, QUIT or USR1".to_owned())
}

/// Its name, without `SIG`.
pub(crate) fn name_of(signal: i32) -> &'static str {
    use nix::sys::signal::Signal;
    let name = Signal::try_from(signal).map_or("SIGNAL", Signal::as_str);
    name.strip_prefix("SIG").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_by_name_and_by_number() {
        for text in ["TERM", "term", "SIGTERM", "15"] {
            assert_eq!(parse(text), Ok(15), "{text}");
        }
        for bad in ["KILL", "9", "STOP", "", "SIG", "0", "-1", "SEGV", "x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
