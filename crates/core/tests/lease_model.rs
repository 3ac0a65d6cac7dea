//! The Lease protocol against a model of the world, through random schedules: clocks at the
//! extremes of rho, late and lost messages, freezes, crashes, hand-overs, edits and deletions.
//!
//! One seed decides everything. `TENURE_SEEDS=100000 cargo test --release -p tenure-core --test
//! lease_model` runs more of them; `TENURE_SEED=7` replays one and prints what happened.

#[path = "lease_model/candidate.rs"]
mod candidate;
#[path = "lease_model/server.rs"]
mod server;
#[path = "lease_model/world.rs"]
mod world;

use world::World;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn at_most_one_believes_and_somebody_leads_soon_after_faults_end() {
    let seeds = match number("TENURE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TENURE_SEEDS").unwrap_or(600),
    };
    let verbose = number("TENURE_SEED").is_some();
    let (mut changes, mut busy, mut count) = (0, 0, 0_u64);
    for seed in seeds {
        let mut world = World::new(seed, verbose);
        if let Err(what) = world.run() {
            panic!(
                "seed {seed}: {what}\nreplay: TENURE_SEED={seed} cargo test -p tenure-core --test \
                 lease_model -- --nocapture"
            );
        }
        count += 1;
        changes += world.changes();
        busy += u64::from(world.changes() >= 3);
    }
    println!("{count} seeds, {changes} changes of leader, {busy} seeds with three or more");
    assert!(
        verbose || busy * 10 >= count * 3,
        "a fleet that never leads breaks no safety rule"
    );
}
