//! Leader for life: rules F1 to F12.
//!
//! The lock is an object that belongs to a Pod. Who created it leads until it is gone or no longer
//! its own; nothing has to be renewed. The garbage collector removes the lock with its Pod, and
//! waiters stand in for the collector where an owner is certainly dead.
//!
//! | file | what it holds |
//! |---|---|
//! | `record.rs` | what a lock says, what is written there, and the calls about it (F1, F5) |
//! | `sight.rs` | what a look at a Pod or at a process brings |
//! | `judge.rs` | whose a lock is (F1, F2, F11), who takes it up again (F3), who is dead (F8, F9) |
//! | `seen.rs` | what was seen of the lock, and what came after what (F6) |
//! | `pause.rs` | how long to wait until the next try (F7) |
//! | `elector.rs` | the state machine: events in, actions out, when to wake |
//! | `waiting.rs` | rounds of a waiter, from a look at the lock to a grant (F3, F4, F7, F8) |
//! | `leading.rs` | looking after one's lock, loss, the order of leaving (F6, L10) |
//! | `releasing.rs` | giving the lock up (F5, F10) |
//!
//! # When does a term begin?
//!
//! With the acknowledgement of one's own create or replace, or with a read that shows the nonce of
//! such a write whose own answer was lost (F4). Each write has a nonce of its own, so a lock tells
//! which write made it. Once a delete of a lock may be under way, a read of that lock grants
//! nothing any more: only a replace does, because it moves the resourceVersion away from under the
//! delete.
//!
//! # What is not covered
//!
//! A container that was restarted twice before its lock was taken up again is reported ended no
//! more, so F3 has no proof left: that lock is freed with its Pod. And where the process that
//! comes after a dead leader in the same Pod does not stand, nobody leads as long as the Pod stays.

mod elector;
mod judge;
mod leading;
mod pause;
mod record;
mod releasing;
mod seen;
mod sight;
mod waiting;

pub use elector::{LifeConfig, LifeElector, Me};
pub use record::{Answer, LifeRecord, LifeWrite, LockObject, OwnerRef, Request};
pub use sight::{ContainerSight, PodSight, ProcessId, ProcessSight, RestartPolicy, Terminated};
