//! Election by a `Lease` that is renewed: rules L1 to L26.
//!
//! | file | what it holds |
//! |---|---|
//! | `record.rs` | what a Lease says, when its annotation speaks for it (L6, L13) |
//! | `observation.rs` | what was seen, and how long to wait because of it (L2, L13) |
//! | `elector.rs` | the state machine: events in, actions out, when to wake |
//! | `acquiring.rs` | from a free Lease to a grant (L6, L7, L12, L14, L17) |
//! | `leading.rs` | validity, renewals, loss, the order of leaving (L1, L9, L10, L21) |
//! | `releasing.rs` | giving the Lease up (L11) |
//! | `turn.rs` | whose turn it is once the waits are over (L17, L22, L23) |
//! | `asked.rs` | requests to step down, and pauses (L25, L26) |
//! | `remote_clock.rs` | the exception to L2 that has to be asked for (L24) |
//! | `pace.rs` | pauses after failures, and the spread of contenders (L16, L17) |

mod acquiring;
mod asked;
mod elector;
mod leading;
mod observation;
mod pace;
mod record;
mod releasing;
mod remote_clock;
mod turn;

pub use elector::{LeaseConfig, LeaseElector};
pub use record::{LeaseWrite, Observed, Request, Spec, WriteMark};
