//! The election without rivals.

use tenure_core::{
    Action, Command, Elector as _, Event, Instant, LossReason, Notice, Now, ResourceVersion,
    Status, always::AlwaysElector,
};

use super::timings::SECOND;

struct Bench {
    elector: AlwaysElector,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self {
            elector: AlwaysElector::new(3 * SECOND),
            now: Instant::from_nanos(7),
        }
    }

    /// What is told upon this command.
    fn command(&mut self, command: Command) -> Vec<Notice> {
        let now = Now {
            mono: self.now,
            ..Now::default()
        };
        self.elector.handle(now, Event::Command(command));
        assert_eq!(self.elector.deadline(), None, "it waits for nothing");
        std::iter::from_fn(|| self.elector.poll())
            .map(|action| match action {
                Action::Notify(notice) => notice,
                Action::Call { request, .. } => match request {},
            })
            .collect()
    }
}

fn acquired(term: u64) -> Notice {
    Notice::Acquired {
        term,
        token: ResourceVersion::new(term.to_string()),
        again: false,
    }
}

#[test]
fn whoever_stands_leads_at_once_and_standing_twice_changes_nothing() {
    let mut bench = Bench::new();
    assert_eq!(bench.command(Command::Stand), [acquired(1)]);
    assert_eq!(bench.command(Command::Stand), []);
    let belief = bench.elector.belief().unwrap();
    assert_eq!((belief.term, belief.valid_until), (1, None));
    assert_eq!(
        bench.elector.status(),
        Status::Leading {
            term: 1,
            token: belief.token,
            valid_until: None
        }
    );
}

#[test]
fn l10_the_work_is_told_and_belief_ends_when_it_has_ended() {
    let mut bench = Bench::new();
    bench.command(Command::Stand);
    let stop = Notice::Stop {
        reason: LossReason::SteppedDown,
        by: bench.now.after(3 * SECOND),
    };
    assert_eq!(bench.command(Command::StepDown), [stop]);
    assert!(bench.elector.belief().is_some());
    let ended = Command::WorkEnded { release: true };
    assert_eq!(bench.command(ended.clone()), [Notice::Released]);
    assert_eq!(bench.elector.belief(), None);
    let reason = LossReason::SteppedDown;
    assert_eq!(bench.elector.status(), Status::Lost { reason });
    assert_eq!(bench.command(ended), [], "it has ended already");

    assert_eq!(bench.command(Command::Stand), [acquired(2)]);
    let ended = Command::WorkEnded { release: false };
    assert_eq!(bench.command(ended), [Notice::Kept]);
}

#[test]
fn who_does_not_lead_has_nothing_to_leave() {
    let mut bench = Bench::new();
    for command in [
        Command::StepDown,
        Command::WorkEnded { release: true },
        Command::Withdraw,
    ] {
        let what = format!("{command:?}");
        assert_eq!(bench.command(command), [], "{what}");
    }
    let nobody = Status::Standby {
        holder: None,
        error: None,
    };
    assert_eq!(bench.elector.status(), nobody);
}
