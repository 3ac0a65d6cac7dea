//! Leader for life under random schedules: four processes in three Pods of fixed names, and a
//! model of the server, the kubelet and the collector. Replies are lost and come late, requests
//! land after their callers gave up or died, processes and containers are restarted, Pods are
//! deleted and come back under their names, watches are cut, locks are labelled and orphaned, and
//! the kubelet invents ends of containers that run.
//!
//! Safety: at no moment do two processes believe. Liveness: once the faults are over, somebody
//! soon does. What protocol.md lists as not covered does not happen here: a Pod object goes only
//! after its process, and nobody edits the record or deletes the lock by hand.
//!
//! `TENURE_SEED=n` plays one schedule and prints what happens in it; `TENURE_SCHEDULES=n` plays
//! the first n.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails")]

mod faults;
mod server;
mod world;

use world::World;

const SCHEDULES: u64 = 2000;

#[test]
fn at_most_one_believes_and_somebody_does_once_faults_are_over() {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    if let Some(seed) = number("TENURE_SEED") {
        World::new(seed, true).play();
        return;
    }
    let schedules = number("TENURE_SCHEDULES").unwrap_or(SCHEDULES);
    let play = |seed| World::new(seed, false).play();
    let elections: u64 = (0..schedules).map(play).sum();
    // Schedules in which hardly anything happens would prove little.
    assert!(elections > schedules * 3, "only {elections} elections");
}
