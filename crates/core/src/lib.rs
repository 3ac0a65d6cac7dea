//! The leader-election protocols of `tenure`, as pure state machines.
//!
//! This crate decides who leads. It has no clock, no I/O, no randomness of its own, no async
//! runtime and no Kubernetes client: everything it learns comes in as an [`Event`], everything it
//! wants done goes out as an [`Action`], and equal input gives equal output.
//!
//! There are two protocols, and one surface to both of them, [`Elector`]:
//!
//! | protocol | lock | a leader leads | module |
//! |---|---|---|---|
//! | lease | a `Lease` that is renewed | until its newest write has aged by the renew deadline | [`lease`] |
//! | leader for life | a `ConfigMap` or `LeaderLock` owned by a Pod | until the lock is gone or no longer its own | [`life`] |
//!
//! # When may I lead?
//!
//! Exactly when [`Elector::belief`] returns `Some` and, where it names an end
//! ([`Belief::valid_until`]), the clock has not reached it. Nothing else grants leadership: not
//! the holder's name read from the server, not a watch event, not an answer that came late.
//!
//! # How a driver feeds a protocol
//!
//! 1. Read the monotonic clock, then the wall clock, into a [`Now`] (in this order: rules L1, L4).
//! 2. Call [`Elector::handle`] with what happened, or with [`Event::Tick`] when
//!    [`Elector::deadline`] has passed.
//! 3. Publish [`Elector::belief`] and [`Elector::status`]. This comes **before** the next step, so
//!    that belief is over before the first byte of a release leaves (rule L10).
//! 4. Carry out each [`Action`] from [`Elector::poll`] until it returns `None`. Every
//!    [`Action::Call`] is answered exactly once, at the latest after the call limit, with
//!    [`Outcome::Unknown`] if nothing came back (rules L6, L16). Calls run concurrently with
//!    whatever comes next; answers may arrive in any order.
//!
//! A reading of the clock that is older than an earlier one is taken as that earlier one.

pub mod always;
pub mod asked;
pub mod elector;
pub mod identity;
pub mod lease;
pub mod life;
pub mod outcome;
mod rng;
pub mod status;
pub mod time;
pub mod timing;
pub mod version;

pub use asked::{Paused, StepDown};
pub use elector::{Action, Belief, CallId, Command, Elector, Event, Sight};
pub use identity::{Identity, InvalidIdentity, Nonce};
pub use outcome::Outcome;
pub use status::{Holder, LossReason, Notice, Status, Warning};
pub use time::{Instant, MicroTime, Now};
pub use timing::{LeaseTiming, LeaseTimingBuilder, LifeTiming, TimingError};
pub use version::{ResourceVersion, Uid, Version};
