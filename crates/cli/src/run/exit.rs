//! How `tenure run` ends, in one number.

use serde::{Deserialize, Serialize};

/// Leadership was lost, and `--on-loss exit` was asked for.
pub(crate) const LOST: u8 = 75;
/// Another leads, or nobody may, and `--wait` is over or `--nonblock` was asked for.
pub(crate) const WAITED: u8 = 124;
/// tenure itself failed, or its command line makes no sense.
pub(crate) const FAILED: u8 = 125;
/// The command was found and cannot be run, as a shell says it.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// The command was not found, as a shell says it.
pub(crate) const NOT_FOUND: u8 = 127;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Exit {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(u8),
}

impl Exit {
    /// The code that a shell makes of it.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => of_signal(signal.into()),
        }
    }
}

/// What a shell says of a process that a signal ended: 128 and the signal's number.
pub(crate) fn of_signal(signal: i32) -> u8 {
    128_u8.saturating_add(u8::try_from(signal).unwrap_or(127))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_a_shell() {
        assert_eq!(Exit::Code(3).code(), 3);
        assert_eq!(Exit::Signal(9).code(), 137);
        assert_eq!(of_signal(15), 143);
        assert_eq!(of_signal(-1), 255);
    }
}
