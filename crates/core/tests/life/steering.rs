//! What people ask by an annotation on the lock: F12.

use tenure_core::{
    Command, Elector, LossReason, Nonce, Notice, Outcome, Status, StepDown, Uid, life::*,
};

use super::bench::*;

/// A candidate that leads by `L@10`, and the write that made it.
fn leading() -> (Bench, LifeWrite) {
    let mut bench = Bench::standing();
    bench.absent();
    let write = bench.expect_create();
    bench.lock(lock("L@10", &write));
    bench.notices.clear();
    (bench, write)
}

fn to(nonce: &Nonce) -> StepDown {
    StepDown {
        holder: nonce.as_str().into(),
        transitions: None,
        uid: Uid::new("L"),
        to: None,
        by: "eve".into(),
    }
}

fn asking(mut lock: LockObject, asked: StepDown) -> LockObject {
    lock.step_down = Some(Box::new(asked));
    lock
}

fn stops(bench: &Bench) -> Vec<LossReason> {
    let of = |notice: &Notice| match notice {
        Notice::Stop { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    bench.notices.iter().filter_map(of).collect()
}

#[test]
fn f12_a_request_to_this_term_ends_it_in_the_ordinary_way() {
    for watched in [true, false] {
        let (mut bench, write) = leading();
        // A lock for life names no successor: who asks for one is obeyed without.
        let asked = StepDown {
            to: Some("b".into()),
            ..to(&write.record.nonce)
        };
        let seen = asking(lock("L@11", &write), asked);
        if watched {
            bench.watch(seen);
        } else {
            bench.sleep();
            bench.expect_read();
            bench.lock(seen);
        }
        let reason = LossReason::Asked("eve".into());
        assert_eq!(stops(&bench), std::slice::from_ref(&reason));
        let told = Notice::AskedToStepDown {
            by: "eve".into(),
            to: None,
        };
        assert!(bench.notices.contains(&told));
        assert!(bench.leads(), "until the work has ended");
        bench.command(Command::WorkEnded { release: true });
        assert!(!bench.leads());
        bench.expect_delete("L@11");
        bench.answer(Outcome::Done(Answer::Deleted));
        assert!(bench.notices.contains(&Notice::Released));
        assert_eq!(bench.elector.status(), Status::Lost { reason });
    }
}

#[test]
fn f12_a_request_to_another_term_or_lock_or_by_a_pods_name_is_none() {
    let (mut bench, write) = leading();
    let mine = to(&write.record.nonce);
    let named = |holder: &str| StepDown {
        holder: holder.into(),
        ..mine.clone()
    };
    let not_me = [
        named("a"),
        named("A"),
        named("n"),
        named("n-0"),
        named("n-2"),
        named("n-10"),
        named("other-1"),
        StepDown {
            uid: Uid::new("M"),
            ..mine.clone()
        },
    ];
    for (rv, asked) in (11..).zip(not_me) {
        bench.watch(asking(lock(&format!("L@{rv}"), &write), asked.clone()));
        assert!(bench.leads() && bench.notices.is_empty(), "{asked:?}");
    }
    // One that is shown twice tells the work once.
    bench.watch(asking(lock("L@30", &write), mine.clone()));
    bench.watch(asking(lock("L@31", &write), mine));
    assert_eq!(stops(&bench).len(), 1);
}

#[test]
fn f12_a_request_to_an_earlier_term_by_the_same_lock_ends_no_later_one() {
    let (mut bench, first) = leading();
    bench.command(Command::WorkEnded { release: true });
    bench.expect_delete("L@10");
    bench.command(Command::Stand);
    bench.unknown();
    // F4: whether that delete is still on its way is not known, so it is taken up again.
    let left = asking(lock("L@10", &first), to(&first.record.nonce));
    for _ in 0..10 {
        if bench.is_idle() {
            bench.sleep();
        }
        match bench.request() {
            Request::Read => bench.lock(left.clone()),
            Request::Replace { write, .. } => {
                bench.notices.clear();
                bench.lock(asking(lock("L@12", &write), to(&first.record.nonce)));
                assert!(bench.leads() && stops(&bench).is_empty());
                return;
            }
            other => {
                assert!(matches!(other, Request::Delete { .. }), "{other:?}");
                bench.wait(10 * SECOND);
                bench.unknown();
            }
        }
    }
    panic!("it never leads again");
}
