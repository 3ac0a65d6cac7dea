//! Who goes next: named successors (L22), cooldowns (L23), trusted clocks (L24); over the embedded
//! server, on virtual time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod embedded;

use std::time::Duration;

use embedded::{LEASES, S, server, stands};
use serde_json::{Value, json};
use tenure::{Builder, ContextInfo, LeaderElection, Leadership, LossReason, clock};
use tenure_apiserver::ApiServer;
use tokio::{task::JoinHandle, time::Instant};

/// What virtual time costs besides waiting: calls, and the spread of contenders.
const SOON: Duration = Duration::from_millis(100);

fn builder(seed: u64) -> Builder {
    LeaderElection::lease_lock("nightly")
        .clock(clock::tokio_clock())
        .seed(seed)
}

fn candidate(server: &ApiServer, pod: &str, builder: Builder) -> LeaderElection {
    let client = kube::Client::new(server.service(), "default");
    builder
        .build_over(client, ContextInfo::outside("default", pod))
        .unwrap()
}

fn mark(server: &ApiServer) -> Value {
    let lease = server.object(LEASES, "default", "nightly").unwrap();
    let mark = lease["metadata"]["annotations"]["tenure.dev/write"]
        .as_str()
        .unwrap();
    serde_json::from_str(mark).unwrap()
}

#[tokio::test(start_paused = true)]
async fn l22_the_one_who_is_named_leads_next_and_every_name_of_it_does() {
    let server = server();
    let candidates: Vec<LeaderElection> = ["a", "b", "c", "d"]
        .iter()
        .zip(1..)
        .map(|(pod, seed)| candidate(&server, pod, builder(seed)))
        .collect();
    let mut leads = (0, candidates[0].acquire().await.unwrap());
    let mut waiting: Vec<(usize, JoinHandle<Leadership>)> = (1..4)
        .map(|index| (index, stands(&candidates[index])))
        .collect();
    tokio::time::sleep(5 * S).await;
    for round in 0..20 {
        let next = (leads.0 + 1 + round % 3) % 4;
        let name = match round % 2 {
            0 => candidates[next].identity().to_owned(),
            _ => ["a", "b", "c", "d"][next].to_owned(),
        };
        let (former, leadership) = leads;
        leadership.hand_over_to(&name).unwrap();
        assert_eq!(leadership.lost().await, LossReason::SteppedDown);
        let free = Instant::now();
        leadership.release().await;
        let place = waiting
            .iter()
            .position(|(index, _)| *index == next)
            .unwrap();
        let (_, named) = waiting.swap_remove(place);
        let leadership = named.await.unwrap();
        assert!(free.elapsed() < SOON, "round {round}: {:?}", free.elapsed());
        assert_eq!(leadership.identity(), candidates[next].identity());
        assert_eq!(
            mark(&server).get("successor"),
            None,
            "it goes with that write"
        );
        waiting.push((former, stands(&candidates[former])));
        leads = (next, leadership);
        tokio::time::sleep(S).await;
        assert!(waiting.iter().all(|(_, waiting)| !waiting.is_finished()));
    }
}

#[tokio::test(start_paused = true)]
async fn l22_a_name_that_nobody_answers_to_costs_a_second() {
    let server = server();
    let (a, b) = (
        candidate(&server, "a", builder(1)),
        candidate(&server, "b", builder(2)),
    );
    let first = a.acquire().await.unwrap();
    let second = stands(&b);
    tokio::time::sleep(5 * S).await;
    a.hand_over_to("gone-long-ago").unwrap();
    assert_eq!(first.lost().await, LossReason::SteppedDown);
    first.release().await;
    assert_eq!(mark(&server)["successor"], json!("gone-long-ago"));
    let free = Instant::now();
    let _second = second.await.unwrap();
    let took = free.elapsed();
    assert!((S..2 * S + SOON).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn l22_a_name_that_no_candidate_can_have_is_refused_and_nobody_steps_down() {
    let server = server();
    let a = candidate(&server, "a", builder(1));
    let leadership = a.acquire().await.unwrap();
    for name in ["", "new\nline", &"x".repeat(100_000)] {
        assert!(leadership.hand_over_to(name).is_err(), "{name:.20}");
        assert!(a.hand_over_to(name).is_err(), "{name:.20}");
    }
    tokio::time::sleep(30 * S).await;
    assert!(leadership.is_leading() && leadership.lost_reason().is_none());
}

#[tokio::test(start_paused = true)]
async fn l23_whoever_releases_and_stands_again_leaves_it_to_the_others() {
    let server = server();
    let (a, b) = (
        candidate(&server, "a", builder(1)),
        candidate(&server, "b", builder(2)),
    );
    for _ in 0..20 {
        let first = a.acquire().await.unwrap();
        let other = stands(&b);
        tokio::time::sleep(3 * S).await;
        first.release().await;
        let again = stands(&a);
        let second = tokio::time::timeout(SOON, other).await.expect("at once");
        second.unwrap().release().await;
        // Nobody else stands now.
        let free = Instant::now();
        let first = again.await.unwrap();
        assert!(free.elapsed() < S + SOON, "{:?}", free.elapsed());
        first.release().await;
    }
}

#[tokio::test(start_paused = true)]
async fn l23_alone_one_is_back_after_a_second_or_at_once_if_so_asked() {
    for (cooldown, at_least, at_most) in [
        (None, S, S + SOON),
        (Some(Duration::ZERO), Duration::ZERO, SOON),
        (Some(3600 * S), S, S + SOON),
    ] {
        let server = server();
        let builder = match cooldown {
            Some(cooldown) => builder(1).cooldown(cooldown),
            None => builder(1),
        };
        let a = candidate(&server, "a", builder);
        a.acquire().await.unwrap().release().await;
        let free = Instant::now();
        let _again = a.acquire().await.unwrap();
        let took = free.elapsed();
        assert!(
            (at_least..=at_most).contains(&took),
            "{cooldown:?}: {took:?}"
        );
    }
}

#[test]
fn l23_a_cooldown_has_bounds_and_the_locks_for_life_have_none() {
    let server = server();
    let begin = |builder: Builder| {
        let client = kube::Client::new(server.service(), "default");
        builder.build_over(client, ContextInfo::outside("default", "a"))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let error = begin(builder(1).cooldown(3601 * S))
        .unwrap_err()
        .to_string();
    assert!(error.contains("at most one hour"), "{error}");
    for life in [
        LeaderElection::config_map_lock("nightly").cooldown(S),
        LeaderElection::config_map_lock("nightly").trust_remote_clock(S),
    ] {
        let error = begin(life).unwrap_err().to_string();
        assert!(error.contains("this setting is for a Lease"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn l24_a_first_start_after_a_night_leads_at_once_where_clocks_are_trusted() {
    for (trusts, at_most) in [(true, SOON), (false, 15 * S + SOON)] {
        let server = server();
        // Left without a release: as if the last of them had been killed.
        let clock = clock::tokio_clock();
        let last = candidate(&server, "a", builder(1).clock(clock.clone()));
        last.acquire().await.unwrap().abandon();
        drop(last);
        tokio::time::sleep(8 * 3600 * S).await;
        let began = Instant::now();
        let next = builder(2).clock(clock);
        let next = if trusts {
            next.trust_remote_clock(60 * S)
        } else {
            next
        };
        let _next = candidate(&server, "b", next).acquire().await.unwrap();
        let took = began.elapsed();
        assert!(took <= at_most && (trusts || took >= 15 * S), "{took:?}");
    }
}
