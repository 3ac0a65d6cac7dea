//! Leader election for Kubernetes that cannot hurt you.
//!
//! Several copies of a program run in a cluster, and only one may act. `tenure` finds out which
//! one, hands over in milliseconds, and is built so that two never act at once.
//!
//! # The shortest real program
//!
//! ```no_run
//! use tenure::{LeaderElection, LeadershipHandle};
//!
//! async fn work(leadership: LeadershipHandle) -> Result<(), std::io::Error> {
//!     while leadership.is_leading() {
//!         // one step that only the leader may take
//!         # tokio::task::yield_now().await;
//!     }
//!     Ok(())
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let election = LeaderElection::lease_lock("reports").in_cluster().await?;
//! while election.run_as_leader(|leadership| work(leadership)).await?.is_none() {}
//! # Ok(())
//! # }
//! ```
//!
//! `run_as_leader` waits for leadership, runs the work, and gives the lock up after it. It returns
//! `None` when leadership was lost, so that the caller can stand again.
//!
//! # The scoped way
//!
//! ```no_run
//! # use tenure::LeaderElection;
//! # async fn serve(_: &tenure::Leadership) -> Result<(), std::io::Error> { Ok(()) }
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let election = LeaderElection::lease_lock("reports").in_cluster().await?;
//! let leadership = election.acquire().await?;
//! tokio::select! {
//!     result = serve(&leadership) => result?,
//!     reason = leadership.lost() => eprintln!("no longer leading: {reason}"),
//! }
//! leadership.release().await; // after the work has ended, never before
//! # Ok(())
//! # }
//! ```
//!
//! # When may I lead?
//!
//! While [`is_leading`](LeadershipHandle::is_leading) is `true`. It reads the clock and nothing
//! else, so ask before each step. For what a clock cannot promise (a process that is frozen between
//! the question and the step) send the [`token`](LeadershipHandle::token) along, and let the
//! resource refuse older ones.
//!
//! # Which lock?
//!
//! | lock | a leader that dies is replaced | needs |
//! |---|---|---|
//! | [`lease_lock`](LeaderElection::lease_lock) | when its lease has run out (15 s by default) | nothing but rights on one Lease |
//! | [`config_map_lock`](LeaderElection::config_map_lock) | when its Pod is gone, or its container has ended for good | to run in a Pod |
//! | [`leader_lock`](LeaderElection::leader_lock) | likewise | the same, and the [`crd`] |
//! | [`always`](LeaderElection::always) | never: it leads at once, without a cluster | one replica |
//!
//! A leader that *steps down* (ends its work, is told to stop, rolls over) is replaced as fast as
//! the network carries it, with every lock.
//!
//! # The map
//!
//! | you want | look at |
//! |---|---|
//! | to set timings, namespace, labels | [`Builder`] |
//! | to run outside of a Pod, or to know why it is refused | [`ContextInfo`] |
//! | the rights that a candidate needs, as YAML | [`rbac`] |
//! | many locks in one process | [`LeaderElectionSet`] |
//! | to show who leads | [`LeaderElection::status`], [`LeaderElection::leader_changes`] |
//! | Kubernetes Events of its terms, a label on the leader's Pod | [`Builder::events`], [`Builder::label_pod`] |
//! | a liveness probe | [`LeaderElection::healthy`] |
//! | tests of your own | [`Leadership::for_tests`] |
//! | the rules that all this rests on | the core's [lease](tenure_core::lease) and [life](tenure_core::life) protocols |
//!
//! The rules have numbers (L1 to L26 for the Lease, F1 to F12 for leader for life); the
//! documentation of everything names those that it rests on.

mod always;
mod begin;
mod beside;
mod builder;
mod call;
mod candidacy;
pub mod client;
pub mod clock;
pub mod context_info;
pub mod crd;
#[cfg(feature = "rustls-tls")]
mod direct;
mod driver;
mod election;
mod error;
mod fields;
mod holders;
mod leadership;
mod lock;
mod names;
mod object;
mod orders;
pub mod process;
mod published;
#[cfg(test)]
#[path = "../tests/raw/mod.rs"]
mod raw;
pub mod rbac;
mod set;
mod telling;
mod under_way;
mod warm;
mod wire;

pub use builder::{Builder, Kind};
pub use client::Connection;
pub use context_info::{ContextError, ContextInfo};
pub use election::LeaderElection;
pub use error::{ElectionError, SettingsError};
pub use leadership::{Leadership, LeadershipHandle, Lost, Released};
pub use set::LeaderElectionSet;
pub use tenure_core::{
    Holder, Instant, InvalidIdentity, LeaseTiming, LifeTiming, LossReason, Paused, ResourceVersion,
    Status, TimingError,
};

/// The present reading of the clock that leadership is judged by (rule L4): what
/// [`LeadershipHandle::valid_until`] is to be compared with.
pub fn now() -> Instant {
    use clock::Clock as _;
    clock::SystemClock.mono()
}
