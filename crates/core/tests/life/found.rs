//! Flaws that the simulation has found, each as the shortest story that shows it.

use tenure_core::{
    Command, Elector, Nonce, Notice, Uid,
    life::{LifeWrite, LockObject, OwnerRef},
};

use crate::bench::*;

/// The lock as a leader wrote it, and what somebody else made of it.
fn spoilt(state: &str, write: &LifeWrite, how: usize) -> LockObject {
    let mut lock = lock(state, write);
    if how == 0 {
        lock.foreign = Some("it has data in it".into());
    } else {
        lock.owners.push(OwnerRef::pod("b", Uid::new("B")));
    }
    lock
}

#[test]
fn f11_a_leader_that_steps_down_leaves_what_became_no_lock() {
    for how in 0..2 {
        let mut bench = Bench::standing();
        bench.expect_read();
        bench.absent();
        let write = bench.expect_create();
        bench.lock(lock("L@10", &write));
        bench.watch(spoilt("L@11", &write, how));
        assert!(bench.leads(), "its record still stands there");
        bench.command(Command::WorkEnded { release: true });
        // It may have been put right since.
        bench.expect_read();
        bench.lock(spoilt("L@12", &write, how));
        bench.expect_rest();
        let failed = |notice: &Notice| matches!(notice, Notice::ReleaseFailed { .. });
        assert!(bench.notices.iter().any(failed), "{:?}", bench.notices);
        assert_eq!(bench.elector.deadline(), None);
    }
}

#[test]
fn f10_what_was_no_lock_for_a_while_is_deleted_if_it_is_one_again() {
    let mut bench = Bench::standing();
    bench.expect_read();
    bench.absent();
    let write = bench.expect_create();
    bench.lock(lock("L@10", &write));
    bench.watch(spoilt("L@11", &write, 0));
    bench.command(Command::WorkEnded { release: true });
    bench.expect_read();
    bench.lock(lock("L@12", &write));
    bench.expect_delete("L@12");
}

/// Seed 2140 at stack depth: a copy of the lock of the term before the last one was put back by
/// hand, and its process deleted it while its work might still run.
#[test]
fn f4_the_lock_of_an_earlier_term_that_is_put_back_stays_where_the_later_one_was_kept() {
    let mut bench = Bench::leading();
    bench.command(Command::WorkEnded { release: false });
    bench.command(Command::Stand);
    bench.expect_read();
    let mut first = other_write("a", "A");
    first.record.nonce = Nonce::new("n-1");
    bench.lock(lock("L@10", &first));
    let again = bench.expect_replace("L@10");
    bench.lock(lock("L@11", &again));
    bench.command(Command::WorkEnded { release: false });
    // Its work may still run: the lock protects it, whichever of its terms it tells of.
    bench.watch_gone("L@12");
    bench.watch(lock("M@13", &first));
    for _ in 0..3 {
        if !bench.is_idle() {
            bench.expect_read();
            bench.lock(lock("M@13", &first));
        }
        bench.expect_rest();
        bench.wait(3600 * SECOND);
    }
}
