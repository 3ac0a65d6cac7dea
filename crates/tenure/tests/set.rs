//! Many Leases in one process: each as one by itself, and what they share. Over the embedded server,
//! on virtual time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod embedded;

use std::{collections::BTreeMap, time::Duration};

use embedded::{LEASES, S, call, server, stands};
use serde_json::json;
use tenure::{
    Builder, Connection, ContextInfo, ElectionError, LeaderElection, LeaderElectionSet, Leadership,
    LossReason, Released, clock,
};
use tenure_apiserver::{ApiServer, Fault, FaultAction};
use tokio::{task::JoinHandle, time::Instant};

/// What virtual time costs besides waiting: calls, and the spread of contenders.
const SOON: Duration = Duration::from_millis(100);

fn set(server: &ApiServer, pod: &str) -> LeaderElectionSet {
    let connection = Connection::over(kube::Client::new(server.service(), "default"));
    LeaderElectionSet::over(&connection, ContextInfo::outside("default", pod))
}

fn name(lock: u64) -> String {
    format!("shard-{lock}")
}

fn builder(lock: u64, seed: u64) -> Builder {
    LeaderElection::lease_lock(name(lock))
        .clock(clock::tokio_clock())
        .seed(seed * 100_000 + lock)
}

fn add(set: &LeaderElectionSet, locks: u64, seed: u64) -> Vec<LeaderElection> {
    (0..locks)
        .map(|lock| set.add(builder(lock, seed)).unwrap())
        .collect()
}

fn stand(elections: &[LeaderElection]) -> Vec<JoinHandle<Leadership>> {
    elections.iter().map(stands).collect()
}

async fn all(standing: Vec<JoinHandle<Leadership>>) -> Vec<Leadership> {
    let mut leaderships = Vec::new();
    for one in standing {
        leaderships.push(one.await.unwrap());
    }
    leaderships
}

/// How often the server was asked for Leases, by verb.
fn asked(server: &ApiServer) -> BTreeMap<String, u64> {
    let mut asked = BTreeMap::new();
    for (key, many) in server.requests() {
        if key.resource == "leases" || key.resource == LEASES {
            *asked.entry(key.verb).or_default() += many;
        }
    }
    asked
}

/// Somebody else writes their name into it.
async fn steal(server: &ApiServer, lock: u64) {
    let path = format!(
        "/apis/coordination.k8s.io/v1/namespaces/default/leases/{}",
        name(lock)
    );
    let thief = json!({"spec": {"holderIdentity": "thief"}});
    call(server, "PATCH", &path, &thief).await;
}

#[tokio::test(start_paused = true)]
async fn many_locks_are_led_over_one_watch_and_their_renewals_are_spread() {
    const LOCKS: u64 = 100;
    let server = server();
    let elections = add(&set(&server, "a"), LOCKS, 1);
    let leaderships = all(stand(&elections)).await;
    tokio::time::sleep(60 * S).await;
    assert!(leaderships.iter().all(|one| one.is_leading()));
    assert_eq!(asked(&server)["watch"], 1);
    assert_eq!(asked(&server).get("list"), None, "nobody needs that right");

    let end = server.writes().last().unwrap().wall_time;
    let mut windows = BTreeMap::<u128, u64>::new();
    let mut of_one = 0;
    for write in server.writes() {
        let ago = end.duration_since(write.wall_time).unwrap();
        if ago < 20 * S {
            *windows.entry(ago.as_millis() / 100).or_default() += 1;
            of_one += u64::from(write.name == name(7));
        }
    }
    // 5 in each tenth of a second, if they were spread evenly.
    let most = windows.values().max().copied().unwrap();
    assert!(windows.len() == 200 && most <= 20, "{most} in one window");
    assert_eq!(of_one, 10, "each goes on once in a retry period");
}

#[tokio::test(start_paused = true)]
async fn l9_a_thief_of_one_is_told_to_that_one_at_once_and_to_no_other() {
    let server = server();
    let elections = add(&set(&server, "a"), 20, 1);
    let leaderships = all(stand(&elections)).await;
    tokio::time::sleep(5 * S).await;
    let began = Instant::now();
    steal(&server, 7).await;
    let reason = leaderships[7].lost().await;
    assert_eq!(reason, LossReason::TakenBy("thief".into()));
    assert!(
        began.elapsed() < Duration::from_millis(5),
        "{:?}",
        began.elapsed()
    );
    tokio::time::sleep(5 * S).await;
    let lead: Vec<usize> = (0..20).filter(|n| leaderships[*n].is_leading()).collect();
    assert!(lead.len() == 19 && !lead.contains(&7), "{lead:?}");
}

#[tokio::test(start_paused = true)]
async fn two_processes_hand_all_their_locks_to_each_other_again_and_again() {
    const LOCKS: u64 = 50;
    let server = server();
    let (a, b) = (
        add(&set(&server, "a"), LOCKS, 1),
        add(&set(&server, "b"), LOCKS, 2),
    );
    let mut leading = all(stand(&a)).await;
    let mut next = stand(&b);
    for round in 0..6 {
        tokio::time::sleep(20 * S).await;
        for leadership in leading {
            let standing = next.remove(0);
            assert!(!standing.is_finished());
            leadership.release().await;
            let began = Instant::now();
            next.push(tokio::spawn(async move {
                let leadership = standing.await.unwrap();
                assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
                leadership
            }));
        }
        leading = all(next).await;
        next = stand(if round % 2 == 0 { &a } else { &b });
    }
    assert_eq!(asked(&server)["watch"], 2, "one for each process");
}

#[tokio::test(start_paused = true)]
async fn l11_at_a_slow_server_those_are_released_too_for_whom_there_was_no_place_in_time() {
    // The first places let fifty pass in a second, and a call may wait two.
    const LOCKS: u64 = 250;
    let server = server();
    let (a, b) = (add(&set(&server, "a"), LOCKS, 1), set(&server, "b"));
    let leading = all(stand(&a)).await;
    tokio::time::sleep(20 * S).await;
    let slow = FaultAction::Delay(Duration::from_millis(320));
    let slow = server.inject(Fault::new(slow).verb("update"));
    let released = leading.into_iter().map(Leadership::release);
    for how in futures::future::join_all(released).await {
        assert_eq!(how, Released::Free);
    }
    server.heal(slow);
    let began = Instant::now();
    all(stand(&add(&b, LOCKS, 2))).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn l15_a_watch_that_ends_in_order_is_resumed_and_nobody_asks_for_anything() {
    let server = server();
    let leaders = add(&set(&server, "a"), 10, 1);
    let leaderships = all(stand(&leaders)).await;
    let waiting = stand(&add(&set(&server, "b"), 10, 2));
    // Long enough for a bookmark.
    tokio::time::sleep(70 * S).await;
    let before = asked(&server);
    for _ in 0..5 {
        server.end_watches();
        tokio::time::sleep(20 * S).await;
    }
    let after = asked(&server);
    assert_eq!(after["watch"], before["watch"] + 10);
    assert_eq!(after["get"], before["get"], "nothing was missed");

    // In the middle of the pause before the watch is resumed.
    server.end_watches();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    for leadership in leaderships {
        leadership.release().await;
    }
    all(waiting).await;
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn l15_a_watch_that_cannot_be_resumed_begins_anew_and_everybody_reads() {
    let server = server();
    let leaders = add(&set(&server, "a"), 10, 1);
    let leaderships = all(stand(&leaders)).await;
    let waiting = stand(&add(&set(&server, "b"), 10, 2));
    tokio::time::sleep(70 * S).await;
    let before = asked(&server);
    // What the watches would resume from is gone meanwhile.
    server.set_reachable(false);
    server.end_watches();
    tokio::time::sleep(3 * S).await;
    server.set_reachable(true);
    tokio::time::sleep(15 * S).await;
    let after = asked(&server);
    assert!(after["get"] >= before["get"] + 10, "{before:?} {after:?}");
    assert!(leaderships.iter().all(|one| one.is_leading()));

    server.compact(server.revision());
    server.end_watches();
    tokio::time::sleep(15 * S).await;
    let began = Instant::now();
    for leadership in leaderships {
        leadership.release().await;
    }
    all(waiting).await;
    assert!(began.elapsed() < 2 * SOON, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn l15_without_the_right_to_watch_each_lock_is_polled() {
    let server = server();
    server.deny("watch", "leases");
    let leaders = add(&set(&server, "a"), 10, 1);
    let leaderships = all(stand(&leaders)).await;
    let waiting = stand(&add(&set(&server, "b"), 10, 2));
    tokio::time::sleep(10 * S).await;
    let began = Instant::now();
    for leadership in leaderships {
        leadership.release().await;
    }
    all(waiting).await;
    // Polled once in a retry period.
    assert!(began.elapsed() < 4 * S, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn locks_come_and_go_while_the_set_runs_and_with_the_last_one_the_watch_ends() {
    let server = server();
    let set = set(&server, "a");
    let mut elections = add(&set, 10, 1);
    let mut leaderships = all(stand(&elections)).await;
    tokio::time::sleep(5 * S).await;
    // Five go, without a release: what they led runs out.
    drop(leaderships.split_off(5));
    drop(elections.split_off(5));
    elections.extend((10..15).map(|lock| set.add(builder(lock, 1)).unwrap()));
    leaderships.extend(all(stand(&elections[5..])).await);
    tokio::time::sleep(20 * S).await;
    assert_eq!(leaderships.len(), 10);
    assert!(leaderships.iter().all(|one| one.is_leading()));
    assert_eq!(asked(&server)["watch"], 1);
    for leadership in leaderships {
        leadership.release().await;
    }
    drop(elections);
    tokio::time::sleep(5 * S).await;
    let quiet = asked(&server);
    tokio::time::sleep(600 * S).await;
    assert_eq!(asked(&server), quiet, "nobody is left who asks");

    // And again.
    let again = add(&set, 3, 1);
    let leaderships = all(stand(&again)).await;
    assert!(leaderships.iter().all(|one| one.is_leading()));
    assert_eq!(asked(&server)["watch"], quiet["watch"] + 1);
}

#[tokio::test(start_paused = true)]
async fn two_candidates_of_one_set_may_stand_for_one_lock() {
    let server = server();
    let set = set(&server, "a");
    let (first, second) = (
        set.add(builder(1, 1)).unwrap(),
        set.add(builder(1, 2)).unwrap(),
    );
    let leadership = first.acquire().await.unwrap();
    let waiting = stand(&[second]);
    tokio::time::sleep(20 * S).await;
    assert!(leadership.is_leading() && !waiting[0].is_finished());
    leadership.release().await;
    let began = Instant::now();
    all(waiting).await;
    assert!(began.elapsed() < SOON);
}

#[tokio::test(start_paused = true)]
async fn each_namespace_has_a_watch() {
    let server = embedded::builder().namespace("shop").build();
    let set = set(&server, "a");
    let mut elections = add(&set, 5, 1);
    for lock in 0..5 {
        elections.push(set.add(builder(lock, 2).namespace("shop")).unwrap());
    }
    let leaderships = all(stand(&elections)).await;
    tokio::time::sleep(5 * S).await;
    steal(&server, 2).await;
    tokio::time::sleep(SOON).await;
    let lost: Vec<_> = leaderships.iter().filter(|one| !one.is_leading()).collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(asked(&server)["watch"], 2);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_shared_is_refused_with_what_to_do() {
    let server = server();
    let connection = Connection::over(kube::Client::new(server.service(), "default"));
    let set = set(&server, "a");
    for (builder, says) in [
        (LeaderElection::config_map_lock("x"), "build it by itself"),
        (builder(1, 1).dedicated_thread(), "dedicated_thread"),
        (
            builder(1, 1).connection(&connection),
            "LeaderElectionSet::over",
        ),
        (LeaderElection::lease_lock("X"), "lower-case"),
    ] {
        let Err(ElectionError::Settings(error)) = set.add(builder) else {
            panic!("not refused: {says}");
        };
        assert!(error.to_string().contains(says), "{error}");
    }
    assert!(asked(&server).is_empty());
}
