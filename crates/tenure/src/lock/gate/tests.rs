//! On virtual time, against servers of all speeds.

use tokio::sync::Semaphore;

use super::*;

const LIMIT: Duration = Duration::from_secs(2);

fn all_of(places: &Places) -> Vec<Place<'_>> {
    std::iter::from_fn(|| places.take()).collect()
}

fn count(places: &Places) -> usize {
    places.all().count
}

/// The most calls under way at once of a thousand that take so long, and how long all took.
async fn thousand(write: bool, takes: Duration) -> (usize, Duration) {
    let (gate, counts) = (Gate::new(), Mutex::new((0_usize, 0_usize)));
    let began = Instant::now();
    let one = || {
        gate.clone()
            .pass(write, Instant::now(), Duration::from_secs(60), |_| async {
                {
                    let mut counts = counts.lock().unwrap();
                    counts.0 += 1;
                    counts.1 = counts.1.max(counts.0);
                }
                sleep(takes).await;
                counts.lock().unwrap().0 -= 1;
                Outcome::Done(())
            })
    };
    futures::future::join_all((0..1000).map(|_| one())).await;
    let most = counts.lock().unwrap().1;
    (most, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_burst_at_a_quick_server_opens_few_connections_and_at_a_slow_one_more() {
    for (write, first) in [(true, FIRST_WRITES), (false, FIRST_READS)] {
        let (most, _) = thousand(write, Duration::from_millis(5)).await;
        assert_eq!(most, first);
        let (most, took) = thousand(write, Duration::from_millis(100)).await;
        assert_eq!(most, MOST);
        assert!(took < Duration::from_millis(2500), "{took:?}");
    }
}

/// Renewals of a thousand locks, one every two milliseconds, for so long. The calls that begin before
/// `slow` take a second, the others five milliseconds.
async fn renewals(gate: &Gate, seconds: u64, slow: Duration) {
    let began = Instant::now();
    let one = |number: u64| {
        let gate = gate.clone();
        async move {
            sleep(Duration::from_millis(2 * number)).await;
            let call = |_| async {
                let takes = if began.elapsed() < slow { 1000 } else { 5 };
                sleep(Duration::from_millis(takes)).await;
                Outcome::Done(())
            };
            gate.pass(true, Instant::now(), Duration::from_secs(60), call)
                .await
        }
    };
    futures::future::join_all((0..seconds * 500).map(one)).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_slow_server_asked_for_is_given_back_when_it_is_quick_again() {
    let gate = Gate::new();
    renewals(&gate, 6, Duration::from_secs(4)).await;
    assert_eq!(count(&gate.writes), MOST);
    renewals(&gate, 40, Duration::ZERO).await;
    assert_eq!(count(&gate.writes), FIRST_WRITES);
    assert_eq!(gate.writes.all().taken, 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_busy_is_asked_no_more_at_once() {
    let (gate, server) = (Gate::new(), Semaphore::new(1));
    let one = || {
        gate.clone()
            .pass(true, Instant::now(), Duration::from_secs(60), |_| async {
                let _turn = server.acquire().await;
                sleep(Duration::from_millis(4)).await;
                Outcome::Done(())
            })
    };
    futures::future::join_all((0..1000).map(|_| one())).await;
    assert_eq!(count(&gate.writes), FIRST_WRITES);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_far_from_now_on_is_known_to_be_by_and_by() {
    let gate = Gate::new();
    for far in [false, true] {
        let takes = if far { FAR * 2 } else { FAR / 10 };
        let until = Instant::now() + CALM * 3;
        while Instant::now() < until {
            let one = |_| async {
                sleep(takes).await;
                Outcome::Done(())
            };
            let all = (0..80).map(|_| gate.clone().pass(true, Instant::now(), LIMIT, one));
            futures::future::join_all(all).await;
        }
        let more = count(&gate.writes) > FIRST_WRITES;
        assert_eq!(more, far);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stands_still_for_a_moment_is_no_slow_one() {
    let gate = Gate::new();
    for _ in 0..20 {
        let stall = Instant::now() + Duration::from_millis(60);
        let all = (0..40).map(|_| {
            gate.clone().pass(true, Instant::now(), LIMIT, |_| async {
                tokio::time::sleep_until(stall.max(Instant::now() + FAR / 10)).await;
                Outcome::Done(())
            })
        });
        futures::future::join_all(all).await;
        assert_eq!(count(&gate.writes), FIRST_WRITES);
    }
}

/// A server that does one thing after the other, also for who has given up; whoever gives up closes the
/// connection, and the next one has to open one.
struct Busy {
    turn: Semaphore,
    broken: Mutex<u32>,
}

impl Busy {
    async fn call(self: Arc<Self>, left: Duration) -> Outcome<()> {
        let server = Arc::clone(&self);
        let job = tokio::spawn(async move {
            let opens = {
                let mut broken = server.broken.lock().unwrap();
                let opens = *broken > 0;
                *broken = broken.saturating_sub(1);
                opens
            };
            let _turn = server.turn.acquire().await;
            sleep(Duration::from_millis(if opens { 15 } else { 5 })).await;
        });
        if tokio::time::timeout(left, job).await.is_ok() {
            Outcome::Done(())
        } else {
            *self.broken.lock().unwrap() += 1;
            Outcome::Unknown("no answer".into())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn at_a_server_that_is_too_slow_for_all_of_them_each_lock_gets_its_turn_in_time() {
    let gate = Gate::new();
    let server = Arc::new(Busy {
        turn: Semaphore::new(1),
        broken: Mutex::new(0),
    });
    let end = Instant::now() + Duration::from_secs(120);
    // A thousand every two seconds would be 500 a second, and 200 are possible.
    let one = |number: u64| {
        let (gate, server) = (gate.clone(), Arc::clone(&server));
        async move {
            let (mut longest, mut claim) = (Duration::ZERO, Claim::default());
            sleep(Duration::from_millis(2 * number)).await;
            let mut renewed = Instant::now();
            while Instant::now() < end {
                let sent = Instant::now();
                let call = |left| Arc::clone(&server).call(left);
                match gate.clone().pass(true, claim.lay(), LIMIT, call).await {
                    Outcome::Done(()) => {
                        claim.met();
                        longest = longest.max(Instant::now() - renewed);
                        renewed = sent;
                        tokio::time::sleep_until(sent + Duration::from_secs(2)).await;
                    }
                    _ => sleep(Duration::from_millis(number % 250)).await,
                }
            }
            longest.max(Instant::now() - renewed)
        }
    };
    let longest = futures::future::join_all((0..1000).map(one)).await;
    let late = longest.iter().filter(|gap| **gap > Duration::from_secs(10));
    assert_eq!(late.count(), 0, "{:?}", longest.iter().max());
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_stuck_do_not_keep_the_others_waiting_for_ever() {
    let gate = Gate::new();
    let _stuck = all_of(&gate.writes);
    let began = Instant::now();
    let call = gate
        .clone()
        .pass(true, Instant::now(), LIMIT, |_| async { Outcome::Done(()) });
    assert!(matches!(call.await, Outcome::Done(())));
    assert_eq!(began.elapsed(), LONG_WAIT);
}

#[tokio::test(start_paused = true)]
async fn l16_waiting_for_a_place_is_part_of_the_calls_limit() {
    let gate = Gate::new();
    let held = all_of(&gate.writes);
    let began = Instant::now();
    let call = gate
        .clone()
        .pass(true, Instant::now(), LIMIT, |left| async move {
            assert_eq!(left, Duration::from_millis(1200));
            Outcome::Done(())
        });
    let freed = async {
        sleep(Duration::from_millis(800)).await;
        drop(held);
    };
    let (outcome, ()) = tokio::join!(call, freed);
    assert!(matches!(outcome, Outcome::Done(())));
    assert_eq!(began.elapsed(), Duration::from_millis(800));
}

#[tokio::test(start_paused = true)]
async fn l6_a_call_that_found_no_place_was_certainly_not_made() {
    let gate = Gate::new();
    while count(&gate.writes) < MOST {
        sleep(CHANGES_EVERY).await;
        gate.writes.all().grow(Instant::now());
    }
    let _held = all_of(&gate.writes);
    let call = gate.clone().pass(true, Instant::now(), LIMIT, |_| async {
        panic!("there was no place");
        #[allow(unreachable_code)]
        Outcome::Done(())
    });
    let Outcome::Refused(text) = call.await else {
        panic!("not refused")
    };
    assert!(text.contains("not sent"), "{text}");
    let read = gate
        .clone()
        .pass(false, Instant::now(), LIMIT, |_| async { Outcome::Done(5) });
    assert!(matches!(read.await, Outcome::Done(5)), "reads go on");
}
