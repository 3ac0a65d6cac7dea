//! The leader-for-life protocol, driven by hand-made events. A test's name begins with the rule
//! that it holds.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails")]

mod bench;
mod found;
mod gaining;
mod holding;
mod leaving;
mod removing;
mod rounds;
mod steering;
mod transcripts;
