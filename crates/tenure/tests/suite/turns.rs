//! Leaders that follow each other: handed over, dead, gone with their Pods.

use std::time::Duration;

use tenure::{Kind, LossReason};
use tenure_harness::TestServer;

use super::{Candidate, S, World, marks::Marks, within};

/// `rounds` graceful hand-overs between two candidates.
pub(crate) async fn hand_overs(server: &TestServer, kind: Kind, rounds: usize) {
    let world = World::new(server, kind).await;
    let candidates = [world.candidate("a").await, world.candidate("b").await];
    let marks = Marks::default();
    let mut gaps = Vec::new();
    let (mut leader, _) = within(5 * S, "the first", candidates[0].stand()).await;
    let mut threads = vec![marks.sample(leader.handle())];
    for round in 0..rounds {
        let waiting = candidates[(round + 1) % 2].stand();
        standing(&candidates[(round + 1) % 2]).await;
        let token = leader.token().clone();
        let began = tenure::now();
        leader.release().await;
        let (next, _) = within(5 * S, "hand-over", waiting).await;
        gaps.push(tenure::now().since(began));
        assert!(next.token().newer_than(&token), "L19");
        threads.push(marks.sample(next.handle()));
        leader = next;
    }
    leader.release().await;
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!((marks.overlaps(), marks.terms()), (0, rounds + 1));
    report("hand-over", kind, &mut gaps);
}

/// `rounds` leaders that die without a word. What the cluster sees of it is a leader that falls
/// silent; for leader for life the kubelet's report of the container's end (F9) and the Pod's
/// forced deletion (F8) take turns.
pub(crate) async fn deaths(server: &TestServer, kind: Kind, rounds: usize) {
    let world = World::new(server, kind).await;
    let marks = Marks::default();
    let mut gaps = Vec::new();
    let mut threads = Vec::new();
    let mut leading = world.candidate("c0").await;
    let (mut leader, _) = within(5 * S, "the first", leading.stand()).await;
    for round in 0..rounds {
        threads.push(marks.sample(leader.handle()));
        let next = world.candidate(&format!("c{}", round + 1)).await;
        let waiting = next.stand();
        standing(&next).await;
        // The process is gone: nobody renews, watches or releases any more.
        let Candidate { pod, election } = leading;
        drop(leader);
        drop(election);
        let died = tenure::now();
        if kind != Kind::Lease {
            bury(&world, &pod, round).await;
        }
        let limit = match kind {
            // D / (1 - rho), a call, and the spread, with room for a busy machine.
            Kind::Lease => 5 * S,
            _ => 4 * S,
        };
        let (now_leading, _) = within(limit, "death", waiting).await;
        gaps.push(tenure::now().since(died));
        leader = now_leading;
        leading = next;
    }
    leader.release().await;
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(marks.overlaps(), 0);
    report("death", kind, &mut gaps);
}

/// The owner Pod is deleted by force, and the collector removes the lock with it.
pub(crate) async fn collected(server: &TestServer, kind: Kind) {
    let world = World::new(server, kind).await;
    let (a, b) = (world.candidate("a").await, world.candidate("b").await);
    let (leader, _) = within(5 * S, "the first", a.stand()).await;
    let waiting = b.stand();
    standing(&b).await;
    let deleted = tenure::now();
    server
        .force_delete_pod(&world.namespace, "a")
        .await
        .unwrap();
    let (next, _) = within(2 * S, "collection", waiting).await;
    println!(
        "{kind:?}: from the Pod's deletion to the new leader {:?}",
        tenure::now().since(deleted)
    );
    assert!(next.is_leading());
    assert_eq!(leader.lost().await, LossReason::Deleted);
    next.release().await;
}

/// A StatefulSet's Pod comes back under its old name: it is somebody else (F2, L8).
pub(crate) async fn name_reuse(server: &TestServer, kind: Kind) {
    let world = World::new(server, kind).await;
    let a = world.candidate("db-0").await;
    let (leader, _) = within(5 * S, "the first", a.stand()).await;
    let marks = Marks::default();
    let sampling = marks.sample(leader.handle());
    let again = server
        .delete_pod_and_recreate_same_name(&world.namespace, "db-0")
        .await
        .unwrap();
    let again = world.candidate_in(world.own_pod(&again));
    assert_ne!(again.pod.uid(), a.pod.uid());
    // The former process goes on for a while, as one on a lost node does.
    let waiting = again.stand();
    if kind == Kind::Lease {
        tokio::time::sleep(3 * S).await;
        assert!(
            !waiting.is_finished(),
            "a live leader is not replaced by its namesake"
        );
        leader.release().await;
    }
    let (next, _) = within(5 * S, "the namesake", waiting).await;
    let later = marks.sample(next.handle());
    next.release().await;
    sampling.join().unwrap();
    later.join().unwrap();
    if kind == Kind::Lease {
        assert_eq!(marks.overlaps(), 0);
    }
}

/// The candidate has seen who leads, so that it waits and does not start.
async fn standing(candidate: &Candidate) {
    super::status(&candidate.election, 5 * S, "standing by", |status| {
        matches!(
            status,
            tenure::Status::Standby {
                holder: Some(_),
                ..
            }
        )
    })
    .await;
}

/// What the kubelet, or a person, reports of a dead leader.
async fn bury(world: &World<'_>, pod: &tenure::context_info::OwnPod, round: usize) {
    let id = pod.container_id().unwrap();
    if round.is_multiple_of(2) {
        world
            .server
            .report_terminated(&world.namespace, pod.name(), "main", id, "Error", 137)
            .await
            .unwrap();
    } else {
        world
            .server
            .force_delete_pod(&world.namespace, pod.name())
            .await
            .unwrap();
    }
}

fn report(what: &str, kind: Kind, gaps: &mut [Duration]) {
    gaps.sort();
    let (Some(most), median) = (gaps.last(), gaps[gaps.len() / 2]) else {
        return;
    };
    println!(
        "{what}, {kind:?}: {} rounds, median {median:?}, most {most:?}",
        gaps.len()
    );
}
