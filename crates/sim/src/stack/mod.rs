//! Stack depth: the real library, with its driver, its calls and kube's client, over the embedded
//! API server. Each process has a tokio runtime whose time is moved by hand; requests, answers and
//! watch events go through one queue in true time.
//!
//! | file | what it holds |
//! |---|---|
//! | `world.rs` | the queue, and what becomes of each thing in it |
//! | `running.rs` | processes start, run, sleep, wake and end |
//! | `telling.rs` | what is told of |
//! | `process.rs` | one process: its runtime, and how it is let run |
//! | `sim_clock.rs` | the clock that its library reads |
//! | `inside.rs`, `looks.rs` | what comes out of it: requests, belief, status |
//! | `net.rs` | the network as it sees it |
//! | `work.rs` | the program around the library |
//! | `promises.rs` | what that is promised beside leadership |
//! | `foreign.rs` | a candidate by client-go's rules |
//! | `traffic.rs` | requests, answers and watches on their way |
//! | `watching.rs` | watches on their way |
//! | `api.rs`, `record.rs` | the server, and the lock as the checkers see it |
//! | `cluster.rs`, `pods.rs` | Pods, what the kubelet reports, and the garbage collector |
//! | `calamities.rs` | what becomes of Pods and the store under faults |
//! | `strikes.rs`, `people.rs` | faults of processes and machines; people who meddle |
//! | `steering.rs` | people who ask for something |
//! | `real.rs` | what no simulated process has: the machine's clock, and a client of its own |

mod api;
mod calamities;
mod cluster;
mod foreign;
mod inside;
mod looks;
mod net;
mod people;
mod pods;
mod process;
mod promises;
pub mod real;
mod record;
mod running;
mod sim_clock;
mod steering;
mod strikes;
mod telling;
mod traffic;
mod watching;
mod work;
mod world;

use crate::{clock::Nanos, core_depth::Sink, plan::Plan, trace::Happening};

/// Play a plan from its beginning to its end, and say when that was.
pub fn play(plan: &Plan, sink: Sink<'_>) -> Nanos {
    if let Some(what) = real::wrong() {
        broken(sink, what.to_owned());
        return 0;
    }
    match world::World::new(plan, sink) {
        Ok(world) => world.run(),
        Err(error) => {
            broken(sink, format!("no runtime can be made: {error}"));
            0
        }
    }
}

fn broken(sink: Sink<'_>, what: String) {
    sink(
        0,
        &Happening::Broken {
            process: None,
            what,
        },
    );
}
