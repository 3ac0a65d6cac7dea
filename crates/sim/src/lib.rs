//! One seed decides everything that happens to a fleet of real candidates; checkers see whether
//! at most one leads, and whatever else must hold.
//!
//! | module | what it holds |
//! |---|---|
//! | [`plan`], [`fault`] | what a seed decides, before it happens |
//! | [`clock`] | clocks with rates of their own, as functions of true time |
//! | [`trace`], [`ledger`], [`invariants`] | what happened, what is known of it, what must hold |
//! | [`report`] | what a failing seed prints: a timeline, a picture, the smallest run, the command |
//! | [`core_depth`] | the pure protocol, in a world without any I/O |
//! | `stack` | the whole library over the embedded API server |

pub mod campaign;
pub mod clock;
pub mod command;
pub mod core_depth;
pub mod exhaustive;
pub mod fault;
pub mod invariants;
pub mod ledger;
pub mod plan;
mod provoked;
pub mod report;
pub mod rng;
pub mod run;
pub mod slack;
#[cfg(feature = "stack")]
pub mod stack;
pub mod trace;
pub mod worst;
