//! What people ask by annotations on the Lease: L25, L26.

use tenure_core::{
    Command, Elector, Event, LossReason, Notice, Outcome, Paused, Status, StepDown, Uid, Version,
    lease::{Observed, Request},
};

use crate::bench::{Bench, ME, absent, config, foreign, held, released, stored, unknown};

fn to_me(transitions: i64) -> StepDown {
    StepDown {
        holder: ME.into(),
        transitions: Some(transitions),
        uid: Uid::new("u"),
        to: None,
        by: "eve".into(),
    }
}

fn asking(mut lease: Observed, asked: StepDown, rv: u64) -> Observed {
    lease.step_down = Some(Box::new(asked));
    at(lease, rv)
}

fn paused(mut lease: Observed, rv: u64) -> Observed {
    lease.paused = Some(Box::new(Paused {
        by: "eve".into(),
        reason: "maintenance".into(),
    }));
    at(lease, rv)
}

fn at(mut lease: Observed, rv: u64) -> Observed {
    lease.version = Version::new(lease.version.uid.as_str(), rv.to_string());
    lease
}

fn asked_by(bench: &Bench) -> Vec<(String, Option<String>)> {
    let of = |notice: &Notice| match notice {
        Notice::AskedToStepDown { by, to } => {
            Some((by.to_string(), to.as_ref().map(ToString::to_string)))
        }
        _ => None,
    };
    bench.notices.iter().filter_map(of).collect()
}

fn stops(bench: &Bench) -> Vec<LossReason> {
    let of = |notice: &Notice| match notice {
        Notice::Stop { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    bench.notices.iter().filter_map(of).collect()
}

/// The work ends, and its Lease is released, as after any other way of being told.
fn leaves(bench: &mut Bench, successor: Option<&str>) {
    assert!(bench.leads(), "until the work has ended");
    bench.command(Command::WorkEnded { release: true });
    assert!(!bench.leads());
    let (id, _, write) = bench.write();
    assert!(write.mark.released && write.mark.successor.as_deref() == successor);
    bench.answer(id, Outcome::Done(stored(&write, "u", 90)));
    assert!(bench.told(|n| *n == Notice::Released));
}

#[test]
fn l25_a_request_to_the_holder_of_this_term_ends_it_in_the_ordinary_way() {
    for how in ["watch", "read", "answer"] {
        let mut bench = Bench::leading(6);
        bench.now = 2000;
        bench.give(Event::Tick);
        let (id, _, renewal) = bench.write();
        let request = asking(stored(&renewal, "u", 7), to_me(4), 7);
        match how {
            "watch" => bench.watch(asking(bench.present(6), to_me(4), 7)),
            "answer" => bench.answer(id, Outcome::Done(request)),
            _ => {
                bench.answer(id, unknown());
                bench.until_a_call();
                bench.read_is(Outcome::Done(request));
            }
        }
        let reason = LossReason::Asked("eve".into());
        assert_eq!(stops(&bench), std::slice::from_ref(&reason), "{how}");
        assert_eq!(asked_by(&bench), [("eve".to_owned(), None)], "{how}");
        bench.calls.clear();
        leaves(&mut bench, None);
        assert_eq!(bench.elector.status(), Status::Lost { reason });
    }
}

#[test]
fn l25_the_successor_that_it_names_is_named_by_the_release_and_the_last_one_counts() {
    let mut bench = Bench::leading(6);
    let to = |to: &str| StepDown {
        to: Some(to.into()),
        ..to_me(4)
    };
    bench.watch(asking(bench.present(6), to("b"), 7));
    bench.watch(asking(bench.present(6), to("b"), 8));
    bench.watch(asking(bench.present(6), to("c"), 9));
    let named = |name: &str| ("eve".to_owned(), Some(name.to_owned()));
    assert_eq!(asked_by(&bench), [named("b"), named("c")]);
    assert_eq!(stops(&bench).len(), 1, "the work is told once");
    leaves(&mut bench, Some("c"));
}

#[test]
fn l25_a_request_to_another_holder_term_or_lease_is_none() {
    let mut bench = Bench::leading(6);
    let not_me = [
        StepDown {
            holder: "other".into(),
            ..to_me(4)
        },
        StepDown {
            holder: "ME".into(),
            ..to_me(4)
        },
        to_me(3),
        to_me(5),
        to_me(0),
        StepDown {
            transitions: None,
            ..to_me(4)
        },
        StepDown {
            uid: Uid::new("v"),
            ..to_me(4)
        },
    ];
    for (rv, asked) in (7..).zip(not_me) {
        bench.watch(asking(bench.present(6), asked.clone(), rv));
        assert!(bench.leads() && bench.notices.is_empty(), "{asked:?}");
    }
    assert!(bench.calls.is_empty());
}

#[test]
fn l25_a_request_to_an_earlier_term_of_the_same_process_ends_no_later_one() {
    let mut bench = Bench::leading(6);
    bench.watch(asking(bench.present(6), to_me(4), 7));
    leaves(&mut bench, None);
    bench.command(Command::Stand);
    // The request still stands on what was released.
    let mut free = asking(released("u", 91), to_me(4), 91);
    free.spec.transitions = Some(4);
    bench.read_is(Outcome::Done(free));
    bench.until_a_call();
    let (id, _, write) = bench.write();
    assert!(write.acquires, "the acquiring write removes it");
    // And where a server kept it all the same, it is one to nobody.
    bench.notices.clear();
    let kept = asking(stored(&write, "u", 92), to_me(4), 92);
    bench.answer(id, Outcome::Done(kept));
    assert!(bench.leads() && stops(&bench).is_empty());
}

#[test]
fn l25_only_the_write_that_acquires_removes_a_request() {
    let mut bench = Bench::leading(6);
    bench.now = 2000;
    bench.give(Event::Tick);
    let (id, _, renewal) = bench.write();
    assert!(!renewal.acquires);
    bench.answer(id, Outcome::Done(stored(&renewal, "u", 7)));
    bench.command(Command::WorkEnded { release: true });
    let (_, _, release) = bench.write();
    assert!(!release.acquires);
}

#[test]
fn l25_a_request_that_is_older_than_what_is_known_is_not_seen() {
    let mut bench = Bench::leading(6);
    bench.watch(asking(bench.present(6), to_me(4), 5));
    assert!(bench.leads() && bench.notices.is_empty());
}

#[test]
fn l25_a_request_found_when_the_acquiring_write_is_read_back_counts() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(released("u", 5)));
    let (id, _, write) = bench.write();
    bench.answer(id, unknown());
    bench.until_a_call();
    bench.read_is(Outcome::Done(asking(stored(&write, "u", 7), to_me(4), 7)));
    assert_eq!(stops(&bench), [LossReason::Asked("eve".into())]);
    leaves(&mut bench, None);
}

#[test]
fn l25_who_does_not_lead_is_not_asked() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(asking(held("other", 15, 3), to_me(3), 3)));
    assert!(stops(&bench).is_empty() && asked_by(&bench).is_empty());
    // Work that was told and goes on is no reason to tell it again.
    let mut bench = Bench::leading(6);
    bench.command(Command::StepDown);
    bench.watch(asking(bench.present(6), to_me(4), 7));
    assert_eq!(stops(&bench), [LossReason::SteppedDown]);
}

#[test]
fn l26_nobody_takes_a_lease_that_is_paused_whatever_its_waits_say() {
    for lease in [
        paused(released("u", 5), 5),
        paused(held("other", 15, 5), 5),
        paused(foreign("other", 15, 5), 5),
        paused(foreign("", 1, 5), 5),
    ] {
        let mut bench = Bench::new();
        bench.stand_before(Outcome::Done(lease.clone()));
        assert!(
            bench.told(|n| matches!(n, Notice::Paused(Some(p)) if *p.reason == *"maintenance"))
        );
        assert!(matches!(bench.elector.status(), Status::Paused { .. }));
        let mut looks = 0;
        while bench.now < 200_000 {
            bench.until_a_call();
            // It only looks, since a watch can be blind (L15), and not often.
            bench.read_is(Outcome::Done(lease.clone()));
            looks += 1;
        }
        assert!((10..=40).contains(&looks), "{looks} looks");
    }
}

#[test]
fn l26_a_pause_shown_by_the_watch_stops_a_takeover_that_is_due() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("other", 15, 3)));
    bench.now = 14_000;
    bench.watch(paused(held("other", 15, 3), 4));
    bench.until(16_000);
    assert!(
        bench
            .calls
            .iter()
            .all(|(_, request)| *request == Request::Read)
    );
}

#[test]
fn l26_the_end_of_a_pause_begins_no_wait_and_ends_none() {
    // The waits were over long ago: it is taken at once, but for the spread.
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(paused(held("other", 15, 3), 3)));
    bench.now = 20_000;
    bench.watch(at(held("other", 15, 3), 4));
    bench.until(20_000);
    let (_, base, write) = bench.write();
    assert_eq!(base, Some(Version::new("u", "4")));
    assert!(write.acquires && bench.now == 20_000);
    assert!(bench.told(|n| *n == Notice::Paused(None)));

    // They are not: the rest of them is waited for, counted from where it began.
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(paused(held("other", 15, 3), 3)));
    bench.now = 10_000;
    bench.watch(at(held("other", 15, 3), 4));
    bench.until(14_999);
    assert!(bench.calls.is_empty(), "{:?}", bench.calls);
    bench.until(15_000);
    bench.write();
}

#[test]
fn l26_the_end_of_a_pause_is_seen_without_a_watch_within_a_retry_period() {
    let mut bench = Bench::new();
    bench.command(Command::Stand);
    bench.read_is(Outcome::Done(paused(released("u", 5), 5)));
    bench.until_a_call();
    assert!(bench.now <= 4000, "{} ms", bench.now);
    bench.read_is(Outcome::Done(at(released("u", 5), 6)));
    bench.until_a_call();
    bench.write();
}

#[test]
fn l26_a_pause_written_between_read_and_replace_makes_the_takeover_fail_and_ends_the_attempt() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(released("u", 5)));
    let (id, base, _) = bench.write();
    assert_eq!(base, Some(Version::new("u", "5")));
    bench.answer(id, Outcome::Conflict);
    bench.until_a_call();
    bench.read_is(Outcome::Done(paused(released("u", 5), 6)));
    assert!(bench.calls.is_empty(), "{:?}", bench.calls);
    bench.until(8000);
    assert!(
        bench
            .calls
            .iter()
            .all(|(_, request)| *request == Request::Read)
    );
    assert!(!bench.leads());
}

#[test]
fn l26_an_acquisition_that_was_paused_before_it_was_known_is_given_back_unused() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(released("u", 5)));
    let (id, _, write) = bench.write();
    bench.answer(id, unknown());
    bench.until_a_call();
    bench.read_is(Outcome::Done(paused(stored(&write, "u", 7), 8)));
    assert!(!bench.leads(), "belief never begins");
    let (id, base, release) = bench.write();
    assert_eq!(base, Some(Version::new("u", "8")));
    assert!(release.mark.released);
    bench.answer(id, Outcome::Done(paused(stored(&release, "u", 9), 9)));
    assert!(matches!(bench.elector.status(), Status::Paused { .. }));
    bench.until(1000);
    assert!(
        bench
            .calls
            .iter()
            .all(|(_, request)| *request == Request::Read)
    );
}

#[test]
fn l26_a_leader_of_a_lease_that_is_paused_steps_down() {
    let mut bench = Bench::leading(6);
    bench.watch(paused(bench.present(6), 7));
    assert_eq!(stops(&bench), [LossReason::Paused("eve".into())]);
    leaves(&mut bench, None);
    let reason = LossReason::Paused("eve".into());
    assert_eq!(bench.elector.status(), Status::Lost { reason });
}

#[test]
fn l26_an_absent_lease_is_not_paused() {
    let mut bench = Bench::of(config());
    bench.stand_before(Outcome::Done(paused(held("other", 15, 3), 3)));
    bench.now = 1000;
    bench.gone("u", 4);
    let (_, base, write) = bench.write();
    assert!(base.is_none() && write.spec.holder.as_deref() == Some(""));
    assert!(bench.told(|n| *n == Notice::Paused(None)));

    let mut bench = Bench::new();
    bench.stand_before(absent());
    let (_, base, write) = bench.write();
    assert!(base.is_none() && write.acquires);
}

#[test]
fn l26_those_who_waited_for_the_end_of_a_pause_are_spread_and_a_named_one_goes_first() {
    let mut free = released("u", 5);
    free.mark.as_mut().expect("ours").successor = Some("gone".into());
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(paused(free.clone(), 5)));
    bench.until(5000);
    bench.watch(at(free.clone(), 6));
    bench.until(5999);
    assert!(bench.calls.is_empty(), "the named one goes first");
    bench.until(7000);
    bench.write();

    free.mark.as_mut().expect("ours").successor = Some(ME.into());
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(paused(free.clone(), 5)));
    bench.until(5000);
    bench.watch(at(free, 6));
    bench.write();
}
