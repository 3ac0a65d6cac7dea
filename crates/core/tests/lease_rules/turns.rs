//! Whose turn it is at a Lease that is free: L22, L23.

use std::time::Duration;

use tenure_core::{
    Command, Identity, Notice, Outcome,
    lease::{LeaseConfig, LeaseWrite, Observed},
};

use crate::bench::{Bench, config, held, released, stored, unknown};

/// What `other` left, naming this one.
fn left_to(successor: &str, rv: u64) -> Observed {
    let mut free = released("u", rv);
    free.mark.as_mut().expect("ours").successor = Some(successor.into());
    free
}

/// When it asks for the Lease that it sees from `now` on.
fn takes_at(bench: &mut Bench) -> u64 {
    bench.until_a_call();
    let (id, base, write) = bench.write();
    assert!(base.is_some() && write.spec.holder.as_deref() == Some("me"));
    bench.answer(id, Outcome::Conflict);
    bench.now
}

/// Standing, with a watch, before a Lease that another of ours holds.
fn standing(config: LeaseConfig) -> Bench {
    let mut bench = Bench::of(config);
    bench.stand_before(Outcome::Done(held("other", 15, 3)));
    bench
}

/// It has led and given up: what it wrote last, and the answer to that.
fn left(config: LeaseConfig, command: Command) -> (Bench, LeaseWrite) {
    let mut bench = Bench::of(config).lead(6);
    bench.command(command);
    bench.command(Command::WorkEnded { release: true });
    let (id, _, write) = bench.write();
    bench.answer(id, Outcome::Done(stored(&write, "u", 7)));
    assert!(bench.told(|n| *n == Notice::Released));
    (bench, write)
}

#[test]
fn l22_who_is_named_goes_at_once_by_each_of_its_names() {
    let unique = || LeaseConfig {
        identity: Identity::unique("pod-a", Some("uid-a"), &config().nonce).expect("an identity"),
        ..config()
    };
    let full = unique().identity.as_str().to_owned();
    for name in [&*full, "pod-a", "uid-a"] {
        let mut bench = standing(unique());
        bench.now = 400;
        bench.watch(left_to(name, 5));
        let (_, _, write) = bench.write();
        assert_eq!(write.mark.successor, None, "the acquiring write clears it");
        assert_eq!(bench.now, 400, "{name}");
    }
    for name in ["my-process", "pod-b", "", "pod-a_uid-a", "pod"] {
        let mut bench = standing(unique());
        bench.now = 400;
        bench.watch(left_to(name, 5));
        assert!(bench.calls.is_empty(), "{name:?}");
    }
}

#[test]
fn l22_the_others_wait_a_second_for_it_and_then_the_lease_is_anybodys() {
    let mut bench = standing(config());
    bench.now = 400;
    bench.watch(left_to("gone", 5));
    bench.until(1399);
    assert!(bench.calls.is_empty());
    let at = takes_at(&mut bench);
    assert!((1400..=2400).contains(&at), "{at}");
}

#[test]
fn l22_a_name_shortens_no_wait() {
    let mut bench = Bench::new();
    // A holder that is no process of the one who released is waited for (L13).
    bench.stand_before(Outcome::Done(held("first", 15, 3)));
    bench.now = 400;
    bench.watch(left_to("me", 5));
    bench.until(14_999);
    assert!(bench.calls.is_empty());
    bench.until(15_000);
    bench.write();
}

#[test]
fn l22_a_name_counts_only_in_a_release_that_speaks() {
    for spoil in [
        |lease: &mut Observed| lease.mark.as_mut().expect("ours").released = false,
        |lease: &mut Observed| lease.spec.holder = Some("thief".into()),
    ] {
        let mut lease = left_to("me", 5);
        spoil(&mut lease);
        assert_eq!(lease.successor(), None);
    }
    assert_eq!(left_to("me", 5).successor().map(|name| &**name), Some("me"));
}

#[test]
fn l22_a_release_names_who_was_asked_for_last() {
    let to = |to: &str| Command::HandOver { to: to.into() };
    let (_, write) = left(config(), to("b"));
    assert_eq!(write.mark.successor.as_deref(), Some("b"));
    assert!(write.mark.released);

    let mut bench = Bench::leading(6);
    for command in [to("b"), to("c"), Command::StepDown] {
        bench.command(command);
    }
    let stops = bench
        .notices
        .iter()
        .filter(|n| matches!(n, Notice::Stop { .. }));
    assert_eq!(stops.count(), 1, "the work is told once");
    bench.until(2000);
    let (id, _, renewal) = bench.write();
    assert_eq!(renewal.mark.successor, None, "renewals name nobody");
    bench.answer(id, Outcome::Done(stored(&renewal, "u", 7)));
    bench.command(Command::WorkEnded { release: true });
    let (id, _, first) = bench.write();
    assert_eq!(first.mark.successor.as_deref(), Some("c"));
    // A release whose outcome is open says the same when it is sent again.
    bench.answer(id, unknown());
    bench.until_a_call();
    bench.read_is(Outcome::Done(stored(&renewal, "u", 7)));
    let (_, _, again) = bench.write();
    assert_eq!(again.mark.successor.as_deref(), Some("c"));
}

#[test]
fn l22_who_does_not_lead_has_nobody_to_name() {
    let mut bench = standing(config());
    bench.notices.clear();
    bench.command(Command::HandOver { to: "b".into() });
    assert!(bench.calls.is_empty() && bench.notices.is_empty());
}

/// How long after its release one that stands again asks for the Lease, if nobody else comes.
fn back_after(cooldown: Duration) -> u64 {
    let (mut bench, write) = left(
        LeaseConfig {
            cooldown,
            ..config()
        },
        Command::StepDown,
    );
    bench.command(Command::Stand);
    if !bench.calls.is_empty() {
        bench.read_is(Outcome::Done(stored(&write, "u", 7)));
    }
    takes_at(&mut bench)
}

#[test]
fn l23_who_has_left_waits_for_others_and_comes_back_if_there_are_none() {
    assert_eq!(back_after(Duration::ZERO), 0);
    assert_eq!(back_after(Duration::from_millis(300)), 300);
    assert_eq!(back_after(Duration::from_secs(2)), 1000);
    assert_eq!(back_after(Duration::MAX), 1000);
}

#[test]
fn l23_while_others_come_and_go_it_waits_for_the_whole_of_it() {
    let cooldown = Duration::from_secs(10);
    let (mut bench, write) = left(
        LeaseConfig {
            cooldown,
            ..config()
        },
        Command::StepDown,
    );
    bench.command(Command::Stand);
    if !bench.calls.is_empty() {
        bench.read_is(Outcome::Done(stored(&write, "u", 7)));
    }
    // Somebody leads and gives up, every 600 ms.
    for round in 0..20 {
        bench.now = 100 + 600 * round;
        bench.watch(held("other", 15, 10 + 2 * round));
        bench.until(300 + 600 * round);
        bench.watch(released("u", 11 + 2 * round));
        if let Some((id, _)) = bench.calls.pop() {
            assert!(bench.now >= 10_000, "at {} ms", bench.now);
            bench.answer(id, Outcome::Conflict);
            return;
        }
        bench.until(700 + 600 * round - 1);
        if bench.now < 10_000 {
            assert!(bench.calls.is_empty(), "at {} ms", bench.now);
        } else if !bench.calls.is_empty() {
            return;
        }
    }
    panic!("it never came back");
}

#[test]
fn l23_only_a_release_cools_down() {
    let cooldown = Duration::from_secs(10);
    let mut bench = Bench::of(LeaseConfig {
        cooldown,
        ..config()
    })
    .lead(6);
    bench.watch(held("thief", 15, 9));
    bench.command(Command::Stand);
    bench.now = 100;
    let mut free = released("u", 10);
    free.mark.as_mut().expect("ours").nonce = tenure_core::Nonce::new("thief");
    // The own term is waited for by its own validity; the thief has given up.
    bench.watch(free);
    bench.until_a_call();
    assert!(bench.now < 10_000, "{} ms", bench.now);
}
