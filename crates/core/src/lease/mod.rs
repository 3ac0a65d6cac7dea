//! Election by a `Lease` that is renewed: rules L1 to L21.

mod record;

pub use record::{LeaseWrite, Observed, Request, Spec, WriteMark};
