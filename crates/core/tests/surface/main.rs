//! What a driver and its user touch: values, timings, and the election without rivals.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod always;
mod timings;
mod values;
