//! Stories of the supervisor: what happens on the left, what it does on the right.

use std::time::Duration;

use super::{
    signals::{HUP, INT, QUIT, TERM},
    *,
};
use crate::run::exit;

const USR1: i32 = 10;
const LIMIT: Duration = Duration::from_secs(1);

pub(super) fn policy() -> Policy {
    Policy {
        on_loss: OnLoss::Restart,
        restart: Restart::Never,
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(30),
        wait: None,
        nonblock: false,
        hooks: Hooks::default(),
        hook_limit: LIMIT,
        margin: Duration::from_millis(500),
        stop_timeout: Duration::from_secs(10),
        release_limit: Duration::from_secs(4),
    }
}

const ALL_HOOKS: Hooks = Hooks {
    on_start: true,
    on_stop: true,
    pre_release: true,
};

/// Seconds after the start.
fn at(seconds: f64) -> Instant {
    Instant::from_nanos(1_000_000_000).after(Duration::from_secs_f64(seconds))
}

struct Story {
    supervisor: Supervisor,
}

impl Story {
    fn new(policy: Policy) -> Self {
        let mut story = Self {
            supervisor: Supervisor::new(policy, at(0.0)),
        };
        assert_eq!(story.actions(), [Action::Stand]);
        story
    }

    /// One that leads, and whose command runs.
    fn running(policy: Policy) -> Self {
        let mut story = Self::new(policy);
        let mut actions = story.on(0.0, Event::Leads);
        if policy.hooks.on_start {
            assert_eq!(actions, [Action::RunHook(Hook::OnStart)]);
            actions = story.on(0.0, Event::HookOver { well: true });
        }
        assert_eq!(actions, [Action::Run]);
        story
    }

    fn on(&mut self, seconds: f64, event: Event) -> Vec<Action> {
        self.supervisor.handle(at(seconds), event);
        self.actions()
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.supervisor.poll()).collect()
    }

    fn deadline(&self) -> Option<Instant> {
        self.supervisor.deadline()
    }
}

const OVER: Event = Event::Empty(Cause::Over);

#[test]
fn a_command_that_ends_gives_the_lock_up_when_nothing_of_it_is_left() {
    let mut story = Story::running(policy());
    let ended = Event::Ended(Exit::Code(3));
    assert_eq!(story.on(1.0, ended), [Action::StopRest]);
    assert_eq!(story.on(1.5, OVER), [Action::Release]);
    assert_eq!(story.on(1.6, Event::Released), [Action::Exit(3)]);
}

#[test]
fn what_a_command_leaves_behind_is_killed_before_the_lock_is_given_up() {
    let mut story = Story::running(policy());
    story.on(1.0, Event::Ended(Exit::Code(0)));
    assert_eq!(story.deadline(), Some(at(11.0)));
    assert_eq!(story.on(10.9, Event::Tick), []);
    assert_eq!(story.on(11.0, Event::Tick), [Action::Kill]);
    assert_eq!(story.deadline(), None, "once is enough");
    let asked = Event::Empty(Cause::Asked);
    assert_eq!(story.on(11.1, asked), [Action::Release]);
    assert_eq!(story.on(11.2, Event::Released), [Action::Exit(0)]);
}

#[test]
fn l10_a_foretold_loss_is_term_then_grace_then_kill_before_the_end() {
    let mut story = Story::running(policy());
    let foretold = Event::Foretold { by: at(10.0) };
    assert_eq!(story.on(7.0, foretold), [Action::Stop]);
    assert_eq!(story.deadline(), Some(at(9.5)));
    assert_eq!(story.on(9.5, Event::Tick), [Action::Kill]);
    story.on(9.6, Event::Ended(Exit::Signal(9)));
    let asked = Event::Empty(Cause::Asked);
    assert_eq!(story.on(9.6, asked), [Action::Release]);
    let again = [Action::Arm, Action::Stand];
    assert_eq!(story.on(9.7, Event::Released), again);
}

#[test]
fn l10_hooks_have_their_time_within_it() {
    let hooks = ALL_HOOKS;
    let mut story = Story::running(Policy { hooks, ..policy() });
    story.on(5.0, Event::Foretold { by: at(10.0) });
    assert_eq!(story.deadline(), Some(at(7.5)), "two hooks and the margin");
    assert_eq!(story.on(7.5, Event::Tick), [Action::Kill]);
    let asked = Event::Empty(Cause::Asked);
    assert_eq!(story.on(8.2, asked), [Action::RunHook(Hook::OnStop)]);
    assert_eq!(story.deadline(), Some(at(8.5)), "one more hook comes");
    assert_eq!(story.on(8.5, Event::Tick), [Action::KillHook]);
    let next = [Action::RunHook(Hook::PreRelease)];
    assert_eq!(story.on(8.6, Event::HookOver { well: false }), next);
    assert_eq!(story.deadline(), Some(at(9.5)));
    // Leadership is over before it is.
    assert_eq!(story.on(9.0, Event::Lost), [Action::KillHook]);
    let over = Event::HookOver { well: false };
    assert_eq!(story.on(9.1, over), [Action::Release]);
}

#[test]
fn l9_a_loss_that_nobody_foretold_kills_at_once_and_runs_no_hook() {
    let hooks = ALL_HOOKS;
    let mut story = Story::running(Policy { hooks, ..policy() });
    assert_eq!(story.on(3.0, Event::Lost), [Action::Kill]);
    assert_eq!(story.on(3.0, Event::Lost), [], "once is enough");
    let asked = Event::Empty(Cause::Asked);
    assert_eq!(story.on(3.1, asked), [Action::Release]);
}

#[test]
fn a_loss_while_the_command_ends_shortens_its_time_and_never_lengthens_it() {
    let mut story = Story::running(policy());
    assert_eq!(story.on(1.0, Event::Signal(TERM)), [Action::Stop]);
    assert_eq!(story.deadline(), Some(at(11.0)));
    assert_eq!(story.on(2.0, Event::Foretold { by: at(5.0) }), []);
    assert_eq!(story.deadline(), Some(at(4.5)));
    story.on(2.0, Event::Foretold { by: at(20.0) });
    assert_eq!(story.deadline(), Some(at(4.5)));
    assert_eq!(story.on(3.0, Event::Lost), [Action::Kill]);
    story.on(3.1, Event::Ended(Exit::Signal(9)));
    story.on(3.1, Event::Empty(Cause::Asked));
    let end = [Action::Exit(137)];
    assert_eq!(story.on(3.2, Event::Released), end, "it was asked to end");
}

#[test]
fn with_on_loss_exit_a_loss_ends_with_75() {
    let on_loss = OnLoss::Exit;
    let mut story = Story::running(Policy {
        on_loss,
        ..policy()
    });
    story.on(1.0, Event::Lost);
    story.on(1.1, Event::Empty(Cause::Asked));
    assert_eq!(story.on(1.2, Event::Released), [Action::Exit(75)]);
}

#[test]
fn what_the_guard_killed_by_itself_counts_as_lost() {
    let mut story = Story::running(policy());
    let late = Event::Empty(Cause::Deadline);
    assert_eq!(story.on(9.0, late), [Action::Release]);
    let again = [Action::Arm, Action::Stand];
    assert_eq!(story.on(9.1, Event::Released), again);
}

#[test]
fn without_its_guard_the_command_is_killed_and_leadership_given_up() {
    let mut story = Story::running(policy());
    assert_eq!(story.on(1.0, Event::Unguarded), [Action::Kill]);
    let orphaned = Event::Empty(Cause::Orphaned);
    assert_eq!(story.on(1.1, orphaned), [Action::Release]);
    let again = [Action::Arm, Action::Stand];
    assert_eq!(story.on(1.2, Event::Released), again);
    // Another stands by before anything runs.
    assert_eq!(story.on(1.3, Event::Leads), []);
    assert_eq!(story.on(1.4, Event::Armed), [Action::Run]);
}

#[test]
fn a_guard_that_goes_while_standing_by_is_replaced() {
    let mut story = Story::new(policy());
    assert_eq!(story.on(1.0, Event::Unguarded), [Action::Arm]);
    assert_eq!(story.on(1.1, Event::Leads), []);
    let end = Event::CannotArm;
    assert_eq!(story.on(1.2, end), [Action::Release]);
    assert_eq!(story.on(1.3, Event::Released), [Action::Exit(125)]);
}

#[test]
fn restarts_keep_the_term_and_wait_longer_each_time() {
    let restart = Restart::OnFailure;
    let mut story = Story::running(Policy {
        restart,
        ..policy()
    });
    let mut now = 1.0;
    for pause in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
        story.on(now, Event::Ended(Exit::Code(1)));
        assert_eq!(story.on(now, OVER), [Action::Arm]);
        assert_eq!(story.on(now, Event::Armed), []);
        now += pause;
        assert_eq!(story.deadline(), Some(at(now)));
        assert_eq!(story.on(now, Event::Tick), [Action::Run]);
    }
    // One that ran for long begins anew.
    now += 31.0;
    story.on(now, Event::Ended(Exit::Signal(6)));
    story.on(now, OVER);
    assert_eq!(story.deadline(), Some(at(now + 1.0)));
    now += 1.0;
    assert_eq!(story.on(now, Event::Tick), [], "no guard yet");
    assert_eq!(story.on(now, Event::Armed), [Action::Run]);
    story.on(now, Event::Ended(Exit::Code(0)));
    assert_eq!(story.on(now, OVER), [Action::Release], "it did well");
    assert_eq!(story.on(now, Event::Released), [Action::Exit(0)]);
}

#[test]
fn a_loss_between_two_runs_gives_up() {
    let restart = Restart::Always;
    for loss in [Event::Lost, Event::Foretold { by: at(3.0) }] {
        let mut story = Story::running(Policy {
            restart,
            ..policy()
        });
        story.on(1.0, Event::Ended(Exit::Code(0)));
        story.on(1.0, OVER);
        assert_eq!(story.on(1.5, loss), [Action::Release]);
        // The next guard was asked for already, and has not come yet.
        let again = [Action::Arm, Action::Stand];
        assert_eq!(story.on(1.6, Event::Released), again);
    }
}

#[test]
fn whoever_waits_too_long_ends_with_124() {
    let wait = Some(Duration::from_secs(5));
    let mut story = Story::new(Policy { wait, ..policy() });
    assert_eq!(story.on(4.9, Event::AnotherLeads), []);
    assert_eq!(story.on(5.0, Event::Tick), [Action::Exit(124)]);
    let nonblock = true;
    let mut story = Story::new(Policy {
        nonblock,
        ..policy()
    });
    assert_eq!(story.on(0.1, Event::AnotherLeads), [Action::Exit(124)]);
}

#[test]
fn a_start_hook_that_fails_or_hangs_starts_nothing() {
    let hooks = ALL_HOOKS;
    for hangs in [false, true] {
        let mut story = Story::new(Policy { hooks, ..policy() });
        story.on(0.0, Event::Leads);
        if hangs {
            assert_eq!(story.on(1.0, Event::Tick), [Action::KillHook]);
        }
        let over = Event::HookOver { well: false };
        // on-stop is for a command that has run.
        let next = [Action::RunHook(Hook::PreRelease)];
        assert_eq!(story.on(1.1, over), next);
        let over = Event::HookOver { well: true };
        assert_eq!(story.on(1.2, over), [Action::Release]);
        assert_eq!(story.on(1.3, Event::Released), [Action::Exit(125)]);
    }
}

#[test]
fn each_signal_in_each_state() {
    // While standing by: what ends programs ends tenure, and the rest is for nobody.
    for (signal, expected) in [
        (TERM, vec![Action::Exit(143)]),
        (INT, vec![Action::Exit(130)]),
        (HUP, vec![Action::Exit(129)]),
        (QUIT, vec![Action::Exit(131)]),
        (USR1, vec![]),
    ] {
        let mut story = Story::new(policy());
        assert_eq!(story.on(1.0, Event::Signal(signal)), expected, "{signal}");
    }
    // While the command runs.
    for (signal, expected) in [
        (TERM, Action::Stop),
        (INT, Action::Stop),
        (HUP, Action::Forward(HUP)),
        (QUIT, Action::Forward(QUIT)),
        (USR1, Action::Forward(USR1)),
    ] {
        let mut story = Story::running(policy());
        assert_eq!(story.on(1.0, Event::Signal(signal)), [expected]);
    }
    // While it ends because of a signal.
    for (signal, expected) in [
        (TERM, Action::Forward(TERM)),
        (INT, Action::Kill),
        (HUP, Action::Forward(HUP)),
        (USR1, Action::Forward(USR1)),
    ] {
        let mut story = Story::running(policy());
        story.on(1.0, Event::Signal(TERM));
        assert_eq!(story.on(2.0, Event::Signal(signal)), [expected]);
    }
    // While a start hook runs.
    for signal in [TERM, INT, HUP, QUIT] {
        let hooks = Hooks {
            on_start: true,
            ..Hooks::default()
        };
        let mut story = Story::new(Policy { hooks, ..policy() });
        story.on(0.0, Event::Leads);
        assert_eq!(story.on(0.1, Event::Signal(signal)), [Action::KillHook]);
        let over = Event::HookOver { well: false };
        assert_eq!(story.on(0.2, over), [Action::Release]);
        let end = [Action::Exit(exit::of_signal(signal))];
        assert_eq!(story.on(0.3, Event::Released), end);
    }
    // Between two runs: the command's last code.
    for signal in [TERM, INT, HUP, QUIT] {
        let restart = Restart::Always;
        let mut story = Story::running(Policy {
            restart,
            ..policy()
        });
        story.on(1.0, Event::Ended(Exit::Code(7)));
        story.on(1.0, OVER);
        assert_eq!(story.on(1.1, Event::Signal(signal)), [Action::Release]);
        assert_eq!(story.on(1.2, Event::Released), [Action::Exit(7)]);
    }
    // While it waits for the answer to its release.
    let mut story = Story::running(policy());
    story.on(1.0, Event::Lost);
    story.on(1.1, Event::Empty(Cause::Asked));
    assert_eq!(story.on(1.2, Event::Signal(TERM)), []);
    assert_eq!(story.on(1.3, Event::Signal(INT)), [Action::Exit(137)]);
}

#[test]
fn an_end_waits_only_so_long_for_the_answer_to_its_release() {
    let mut story = Story::running(policy());
    story.on(1.0, Event::Ended(Exit::Code(3)));
    story.on(1.0, OVER);
    assert_eq!(story.on(4.9, Event::Tick), []);
    assert_eq!(story.on(5.0, Event::Tick), [Action::Exit(3)]);
    // Who stands again has nothing else to do.
    let mut story = Story::running(policy());
    story.on(1.0, Event::Lost);
    story.on(1.0, Event::Empty(Cause::Asked));
    assert_eq!(story.deadline(), None);
    assert_eq!(story.on(2.0, Event::Signal(TERM)), []);
    assert_eq!(story.on(5.0, Event::Tick), [Action::Exit(137)]);
}

#[test]
fn who_is_asked_to_end_while_it_loses_does_not_stand_again() {
    let mut story = Story::running(policy());
    story.on(1.0, Event::Foretold { by: at(4.0) });
    assert_eq!(story.on(1.1, Event::Signal(INT)), [], "it ends already");
    assert_eq!(story.on(1.2, Event::Signal(INT)), [Action::Kill]);
    story.on(1.3, Event::Ended(Exit::Signal(9)));
    story.on(1.3, Event::Empty(Cause::Asked));
    assert_eq!(story.on(1.4, Event::Released), [Action::Exit(137)]);
}

#[test]
fn a_signal_that_ends_its_init_too_counts_as_a_failure() {
    let restart = Restart::OnFailure;
    let mut story = Story::running(Policy {
        restart,
        ..policy()
    });
    assert_eq!(story.on(1.0, OVER), [Action::Arm], "a restart");
    let mut story = Story::running(policy());
    assert_eq!(story.on(1.0, OVER), [Action::Release]);
    assert_eq!(story.on(1.1, Event::Released), [Action::Exit(137)]);
}

/// Whatever happens in whatever order: leadership is never given up, and nothing is run, while
/// something may still run; and every end is reached.
#[test]
fn nothing_is_released_over_what_may_still_run() {
    for seed in 0..20_000_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = move |n: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % n
        };
        let policy = Policy {
            on_loss: [OnLoss::Restart, OnLoss::Exit][usize::from(random(2) == 0)],
            restart: [Restart::Never, Restart::OnFailure, Restart::Always]
                [usize::try_from(random(3)).unwrap()],
            hooks: Hooks {
                on_start: random(2) == 0,
                on_stop: random(2) == 0,
                pre_release: random(2) == 0,
            },
            ..policy()
        };
        let mut supervisor = Supervisor::new(policy, at(0.0));
        let (mut runs, mut hook, mut leads, mut armed) = (false, false, false, true);
        let (mut standing, mut releasing) = (false, false);
        let mut now = at(0.0);
        for step in 0..200 {
            let mut exited = false;
            while let Some(action) = supervisor.poll() {
                match action {
                    Action::Arm => armed = false,
                    Action::Stand => {
                        assert!(!runs && !hook && !leads, "seed {seed}");
                        standing = true;
                    }
                    Action::Run => {
                        assert!(!runs && !hook && leads && armed, "seed {seed}");
                        runs = true;
                        armed = false;
                    }
                    Action::RunHook(_) => {
                        assert!(!runs && !hook && leads, "seed {seed}");
                        hook = true;
                    }
                    Action::Release => {
                        assert!(!runs && !hook, "seed {seed} step {step}");
                        leads = false;
                        releasing = true;
                    }
                    Action::Exit(_) => {
                        assert!(!runs && !hook, "seed {seed} step {step}");
                        exited = true;
                    }
                    Action::Forward(_) | Action::Stop | Action::StopRest => assert!(runs),
                    Action::Kill => assert!(runs, "seed {seed}"),
                    Action::KillHook => assert!(hook, "seed {seed}"),
                    Action::Tell { .. } => unreachable!(),
                }
            }
            if exited {
                break;
            }
            now = now.after(Duration::from_millis(random(1500)));
            // After a while somebody asks it to end, and everything that ends does end.
            let event = match random(if step < 100 { 12 } else { 8 }) {
                0 if standing && step < 100 => {
                    standing = false;
                    leads = true;
                    Event::Leads
                }
                0 | 1 if runs => {
                    runs = false;
                    Event::Empty([Cause::Over, Cause::Deadline][usize::from(random(2) == 0)])
                }
                0..=2 if hook => {
                    hook = false;
                    Event::HookOver {
                        well: random(2) == 0,
                    }
                }
                0..=3 if releasing => {
                    releasing = false;
                    Event::Released
                }
                4 | 5 if !armed && !runs => {
                    armed = true;
                    Event::Armed
                }
                6 if step >= 100 => Event::Signal(TERM),
                8 if leads => Event::Foretold {
                    by: now.after(Duration::from_secs(2)),
                },
                9 if leads => {
                    leads = false;
                    Event::Lost
                }
                10 if runs => Event::Ended(Exit::Code(u8::try_from(random(2)).unwrap())),
                11 if runs => Event::Unguarded,
                _ => Event::Tick,
            };
            supervisor.handle(now, event);
            assert!(step < 199, "seed {seed} does not end: {supervisor:?}");
        }
    }
}

#[test]
fn how_a_command_ended_is_told_of_its_own_term_only() {
    let mut story = Story::running(policy());
    story.on(7.0, Event::Foretold { by: at(10.0) });
    story.on(7.5, Event::Ended(Exit::Code(3)));
    story.on(7.5, Event::Empty(Cause::Over));
    let again = [Action::Arm, Action::Stand];
    assert_eq!(story.on(8.0, Event::Released), again);
    assert_eq!(story.on(9.0, Event::Leads), [], "no guard yet");
    assert_eq!(story.on(9.5, Event::Signal(TERM)), [Action::Release]);
    let nothing_ran = [Action::Exit(143)];
    assert_eq!(story.on(9.6, Event::Released), nothing_ran);
}
