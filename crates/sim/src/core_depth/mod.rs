//! Core depth: the pure protocol in a world without any I/O. A queue of what happens when, in
//! true time, and nothing else moves.
//!
//! | file | what it holds |
//! |---|---|
//! | `world.rs` | the queue, and what becomes of each thing in it |
//! | `processes.rs` | processes start, are given events, show what they believe, and end |
//! | `post.rs`, `watching.rs` | requests and answers on their way; what watches show |
//! | `working.rs` | the work of leaders |
//! | `seats.rs` | processes, their clocks, calls, watches and work |
//! | `weather.rs` | what becomes of a message under the faults that are on |
//! | `strikes.rs` | faults that strike processes and machines |
//! | `model.rs` | what a kind of lock brings: its elector, its server, its people |
//! | `lease/` | that for Leases, with a candidate that follows client-go's rules |
//! | `life/` | that for locks for life, with Pods, kubelets and the garbage collector |

mod lease;
mod life;
mod model;
mod post;
mod processes;
mod seats;
mod strikes;
mod watching;
pub(crate) mod weather;
mod working;
mod world;

use crate::{clock::Nanos, plan::Plan, trace::Happening};

#[cfg(feature = "stack")]
pub(crate) use lease::ClientGo;

/// Where everything that happens goes: false ends the run.
pub type Sink<'a> = &'a mut dyn FnMut(Nanos, &Happening) -> bool;

/// Play a plan from its beginning to its end, and say when that was.
pub fn play(plan: &Plan, sink: Sink<'_>) -> Nanos {
    if plan.lock.is_for_life() {
        world::World::<life::LifeModel>::new(plan, sink).run()
    } else {
        world::World::<lease::LeaseModel>::new(plan, sink).run()
    }
}
