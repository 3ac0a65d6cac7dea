//! What happens, in words.

use std::fmt::Write as _;

use super::{
    board::{Moment, State, What},
    plan::Lock,
};

/// One line about one moment.
pub(crate) fn line(state: &State, lock: Lock, moment: &Moment) -> String {
    let at = moment.at.saturating_sub(state.begin);
    let (seconds, tenths) = (at / 1_000_000_000, at / 100_000_000 % 10);
    let what = sentence(state.name_of(moment.lane), lock, &moment.what);
    format!("{seconds:3}.{tenths} s  {what}")
}

/// What happened, without when.
pub(crate) fn sentence(name: &str, lock: Lock, what: &What) -> String {
    let kind = lock.kind();
    match what {
        What::Leads { term: 0, token } => format!("{name} leads (token {token})"),
        What::Leads { term, token } => format!("{name} leads (term {term}, token {token})"),
        What::Killed => match lock.timing() {
            Some(timing) => format!(
                "{name} is killed (SIGKILL); its Lease has to run out, {} s after its last renewal",
                timing.lease_duration().as_secs()
            ),
            None => format!("{name} is killed (SIGKILL); its {kind} stays while its Pod does"),
        },
        What::PodRemoved => format!(
            "the demo plays the kubelet and removes {name}'s Pod by force; with it goes the {kind}"
        ),
        What::StartedAgain => format!("{name} is started again"),
        What::AskedToStepDown => format!("{name} is asked to hand over"),
        What::SteppedDown => format!("{name} has ended its work and released the lock"),
        What::Lost { reason } => format!("{name} has lost the lock: {reason}"),
    }
}

/// What people are told before it begins.
pub(crate) fn opening(lock: Lock, name: &str, candidates: usize, place: &str) -> String {
    let mut text = format!(
        "{candidates} candidates, each a process, for the {} {name} ({place})\n",
        lock.kind()
    );
    if let Some(timing) = lock.timing() {
        let [duration, deadline, period] = [
            timing.lease_duration(),
            timing.renew_deadline(),
            timing.retry_period(),
        ]
        .map(|time| format!("{:.1}", time.as_secs_f64()).replace(".0", ""));
        let _ = write!(
            text,
            "lease duration {duration} s, renew deadline {deadline} s, retry period {period} s"
        );
        if let Lock::Lease { short: true } = lock {
            text.push_str("\n(short timings, to save time; --real-timings takes 15/10/2)");
        }
        text.push('\n');
    }
    text
}
