//! What all verbs that stand for election have in common: `campaign`, `run` and `sidecar`.
//!
//! | file | what it is about |
//! |---|---|
//! | `args.rs` | which lock to stand for, and how, as it is typed |
//! | `options.rs` | what that means: checked, nothing tried yet |
//! | `begin.rs` | from there to an election that has begun |

pub(crate) mod args;
mod begin;
mod options;

use std::time::Duration;

pub(crate) use args::StandArgs;
pub(crate) use begin::{election, on_its_own_thread};
pub(crate) use options::{StandOptions, check};

/// How long the end waits for a call that is under way: one that acquires just now is given back.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(1);
