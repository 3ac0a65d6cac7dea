//! A run in words: a line for each thing that a person would tell, in true time.

use std::{collections::BTreeMap, fmt::Write as _};

use tenure_core::{LossReason, Notice, Warning};

use crate::{
    clock::{MILLI, Nanos, SECOND},
    plan::{Plan, SeatTiming},
    trace::{Against, Author, Happening, ProcessId, Write},
};

use super::{
    Recorded,
    faults::strike,
    story::{Story, Term},
};

/// How much before the end everything is told.
const CLOSE: Nanos = 3 * SECOND;
/// How many lines of that there are at most.
const MOST: usize = 80;

/// The whole timeline, with what the run is about first.
#[must_use]
pub fn text(run: &Recorded) -> String {
    let mut text = heading(&run.plan);
    text.push('\n');
    let story = Story::of(run);
    let mut teller = Teller {
        run,
        story: &story,
        close: story.end.saturating_sub(CLOSE),
        lines: Vec::new(),
        failing: BTreeMap::new(),
    };
    teller.tell();
    let Teller {
        close, mut lines, ..
    } = teller;
    lines.sort_by_key(|line| line.at);
    let details = lines.iter().filter(|line| line.detail).count();
    let mut left_out = details.saturating_sub(MOST);
    if left_out > 0 {
        let _ = writeln!(
            text,
            "({left_out} more lines of the last seconds are left out)"
        );
    }
    let mut parted = details == 0;
    for line in lines {
        if line.detail && left_out > 0 {
            left_out -= 1;
            continue;
        }
        if !parted && line.at >= close {
            parted = true;
            let _ = writeln!(
                text,
                "             -- the last {} s, in full --",
                CLOSE / SECOND
            );
        }
        let _ = writeln!(text, "{:>10}  {}", stamp(line.at), line.what);
    }
    if let Some(violation) = &run.violation {
        let _ = writeln!(
            text,
            "{:>10}  VIOLATED: {}\n{:12}{}",
            stamp(violation.at),
            violation.invariant,
            "",
            violation.what
        );
    } else {
        let _ = writeln!(
            text,
            "{:>10}  it is over, and everything held",
            stamp(story.end)
        );
    }
    text
}

fn warned(warning: &Warning) -> String {
    match warning {
        Warning::OddDuration { holder, seconds } => {
            format!("honours the odd duration of {holder}: {seconds} s")
        }
        Warning::EditedRecord => "puts its record right, which somebody has edited".into(),
        Warning::NotALock { why } => format!("finds something that is no lock: {why}"),
        Warning::RemovedOrphan { owner } => format!("removes the lock of {owner}, which is gone"),
        other => format!("warns: {other:?}"),
    }
}

/// Milliseconds are as much as people compare.
pub(super) fn stamp(at: Nanos) -> String {
    format!("{}.{:03} s", at / SECOND, at / MILLI % 1000)
}

fn heading(plan: &Plan) -> String {
    let mut text = format!("seed {}: ", plan.seed);
    let lock = match plan.lock {
        crate::plan::LockKind::Lease if plan.strict => {
            "a Lease that is not created when it is held"
        }
        crate::plan::LockKind::Lease => "a Lease",
        crate::plan::LockKind::ConfigMap => "a ConfigMap, for life",
        crate::plan::LockKind::LeaderLock => "a LeaderLock, for life",
    };
    let seats = plan.seats.iter().filter(|seat| super::is_taken(seat));
    let seats: Vec<_> = seats.collect();
    let _ = write!(
        text,
        "{lock}; {}; {}, until {}",
        counted(seats.len(), "candidate"),
        counted(plan.faults.len(), "fault"),
        stamp(plan.faults_end)
    );
    for seat in seats {
        let mut odd = Vec::new();
        if seat.foreign {
            odd.push("is no tenure".to_owned());
        }
        if seat.rate != 1_000_000 {
            odd.push(format!(
                "its clock runs at {} of true time",
                percent(seat.rate)
            ));
        }
        if seat.fixed_identity {
            odd.push("its identity is its Pod's name".to_owned());
        }
        if !plan.lock.is_for_life() && seat.timing != SeatTiming::Usual {
            let timing = seat.timing.lease();
            odd.push(format!(
                "lease duration {:?}, renew deadline {:?}",
                timing.lease_duration(),
                timing.renew_deadline()
            ));
        }
        if !odd.is_empty() {
            let _ = write!(text, "\n  c{}: {}", seat.number, odd.join("; "));
        }
    }
    text.push('\n');
    text
}

fn percent(millionths: u64) -> String {
    format!("{}.{:02} %", millionths / 10_000, millionths / 100 % 100)
}

fn counted(many: usize, what: &str) -> String {
    match many {
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}

struct Line {
    at: Nanos,
    what: String,
    detail: bool,
}

struct Teller<'a> {
    run: &'a Recorded,
    story: &'a Story,
    /// From then on everything is told.
    close: Nanos,
    lines: Vec<Line>,
    /// Whose renewals fail at present, and the line that tells of it.
    failing: BTreeMap<ProcessId, Failing>,
}

struct Failing {
    line: usize,
    error: String,
    times: u32,
}

impl Teller<'_> {
    fn tell(&mut self) {
        let story = self.story;
        for ((fault, kind), strikes) in &story.strikes {
            let what = strike(&self.run.plan, story, (*fault, *kind), strikes);
            self.say(strikes.first, what);
        }
        for term in &story.terms {
            self.say(term.from, leads(story, term));
        }
        for (at, what) in &self.run.happenings {
            self.happening(*at, what);
        }
        for term in &story.terms {
            if let Some(until) = term.until.filter(|until| *until <= story.end) {
                let silent = term.noticed.is_none_or(|noticed| noticed > until + MILLI);
                if silent {
                    let name = story.name(term.process);
                    self.say(
                        until,
                        format!("{name} may not lead any more: its time is over"),
                    );
                }
            }
        }
    }

    fn say(&mut self, at: Nanos, what: String) {
        self.lines.push(Line {
            at,
            what,
            detail: false,
        });
    }

    /// Told only where everything is.
    fn detail(&mut self, at: Nanos, what: impl FnOnce() -> String) {
        if at >= self.close {
            let what = what();
            self.lines.push(Line {
                at,
                what,
                detail: true,
            });
        }
    }

    fn happening(&mut self, at: Nanos, what: &Happening) {
        let story = self.story;
        match what {
            Happening::Started {
                process, identity, ..
            } => {
                let name = story.name(*process);
                self.say(at, format!("{name} starts, as {identity}"));
            }
            Happening::Ended { process } => {
                self.failing.remove(process);
                self.say(at, format!("{} ends", story.name(*process)));
            }
            Happening::Slept { process, since } => {
                let slept = stamp(at - since);
                self.say(at, format!("{} wakes, after {slept}", story.name(*process)));
            }
            Happening::Notice { process, notice } => self.notice(at, *process, notice),
            Happening::Work { process, runs, .. } => self.detail(at, || {
                let verb = if *runs { "begins" } else { "has ended" };
                format!("the work of {} {verb}", story.name(*process))
            }),
            Happening::Asked { process, .. } => {
                self.detail(at, || format!("{} asks the server", story.name(*process)));
            }
            Happening::Wrote(write) => self.wrote(at, write),
            Happening::Fenced {
                process,
                token,
                accepted,
            } => {
                let name = story.name(*process);
                if *accepted {
                    self.detail(at, || {
                        format!("a write of {name}'s work is taken (token {token})")
                    });
                } else {
                    let what = format!("a late write of {name}'s work is refused (token {token})");
                    self.say(at, what);
                }
            }
            Happening::Excused {
                process,
                kind,
                against,
                for_good,
            } => {
                let what = format!(
                    "{} {}: what comes of it {}is not covered ({kind})",
                    if *for_good {
                        "from now on,"
                    } else {
                        "this term,"
                    },
                    story.name(*process),
                    match against {
                        Against::Everybody => "",
                        Against::TheUnaware => "against whoever never saw the lock ",
                        Against::WhoNeverSawTheRecord => "against whoever never saw this record ",
                    }
                );
                self.detail(at, || what);
            }
            Happening::Restored => {
                self.say(at, "the store is restored: history goes backwards".into());
            }
            Happening::Peace { within } => {
                let within = stamp(*within);
                self.say(
                    at,
                    format!("the faults are over; somebody has to lead in {within}"),
                );
            }
            Happening::Broken { process, what } => {
                let who = process.map_or("the world", |process| story.name(process));
                self.say(at, format!("BROKEN, in {who}: {what}"));
            }
            Happening::Belief { process, belief } => {
                let begins = |term: &Term| term.process == *process && term.from == at;
                if let Some(until) = belief.and_then(|belief| belief.until)
                    && !story.terms.iter().any(begins)
                {
                    self.detail(at, || {
                        let name = story.name(*process);
                        format!("{name} may lead until {} now", stamp(until))
                    });
                }
            }
            Happening::Struck { .. }
            | Happening::Status { .. }
            | Happening::Sees { .. }
            | Happening::Stands { .. }
            | Happening::GivenUntil { .. }
            | Happening::HandsOver { .. }
            | Happening::Watching { .. }
            | Happening::Shown { .. } => {}
        }
    }

    fn notice(&mut self, at: Nanos, process: ProcessId, notice: &Notice) {
        let name = self.story.name(process);
        match notice {
            Notice::Renewed { .. } => {
                self.failing.remove(&process);
                self.detail(at, || format!("{name} has renewed"));
            }
            Notice::RenewFailed { error, .. } => self.renewal_failed(at, process, error),
            Notice::Stop { reason, .. } => {
                let what = match reason {
                    LossReason::SteppedDown => {
                        format!("{name} tells its work to end: it steps down")
                    }
                    reason => format!("{name} tells its work to end: {reason}"),
                };
                self.say(at, what);
            }
            Notice::Overdue => self.say(at, format!("the work of {name} has not ended in time")),
            Notice::Lost(reason) => {
                self.failing.remove(&process);
                self.say(
                    at,
                    format!("{name} has LOST leadership: {}", self.named(reason)),
                );
            }
            Notice::Released => self.say(
                at,
                format!("{name} has ended its term and given up the lock"),
            ),
            Notice::Kept => self.say(
                at,
                format!("{name} has ended its term and left the lock as it is"),
            ),
            Notice::ReleaseFailed { error } => {
                let what =
                    format!("{name} has ended its term, and could not give up the lock: {error}");
                self.say(at, what);
            }
            Notice::Holder(holder) => self.detail(at, || match holder {
                Some(holder) => {
                    let who = self.story.holder(&holder.identity);
                    format!("{name} sees that {who} holds the lock")
                }
                None => format!("{name} sees that nobody holds the lock"),
            }),
            Notice::StandbyFailed { error, times } => self.detail(at, || {
                format!("{name}, standing by, fails ({times} in a row): {error}")
            }),
            Notice::Warn(warning) => self.say(at, format!("{name} {}", warned(warning))),
            _ => {}
        }
    }

    /// A holder's name in people's words.
    fn named(&self, reason: &LossReason) -> String {
        match reason {
            LossReason::TakenBy(who) => format!("{} holds the lock now", self.story.holder(who)),
            reason => reason.to_string(),
        }
    }

    /// One line for failures in a row.
    fn renewal_failed(&mut self, at: Nanos, process: ProcessId, error: &str) {
        let name = self.story.name(process);
        if let Some(failing) = self.failing.get_mut(&process) {
            failing.times += 1;
            if let Some(line) = self.lines.get_mut(failing.line) {
                line.what = format!(
                    "{name} cannot renew: {} ({} times in a row, the last at {})",
                    failing.error,
                    failing.times,
                    stamp(at)
                );
            }
            self.detail(at, || format!("{name} cannot renew: {error}"));
            return;
        }
        let line = self.lines.len();
        self.say(at, format!("{name} cannot renew: {error}"));
        self.failing.insert(
            process,
            Failing {
                line,
                error: error.to_owned(),
                times: 1,
            },
        );
    }

    fn wrote(&mut self, at: Nanos, write: &Write) {
        let who = self.story.author(write.by);
        let holder = |state: &Option<crate::trace::Snapshot>| {
            let holder = state.as_ref()?.holder.as_ref()?;
            Some(self.story.holder(holder))
        };
        let (before, after) = (holder(&write.before), holder(&write.after));
        let nobody = || "nobody".to_owned();
        let names = |holder: Option<String>| holder.unwrap_or_else(nobody);
        let what = match (&write.before, &write.after) {
            (None, None) => return,
            (None, Some(state)) => format!(
                "the lock is created by {who}: {} holds it (version {})",
                names(after),
                state.version
            ),
            (Some(_), None) => format!("the lock is deleted by {who}: {} held it", names(before)),
            (Some(old), Some(new)) if old.uid != new.uid => format!(
                "the lock is put there anew by {who}: {} -> {} (version {})",
                names(before),
                names(after),
                new.version
            ),
            (Some(_), Some(new)) if before != after => format!(
                "the lock: {} -> {}, written by {who} (version {})",
                names(before),
                names(after),
                new.version
            ),
            (Some(_), Some(new)) => {
                let own = matches!(write.by, Author::Process(_));
                let what = format!("the lock is written by {who} (version {})", new.version);
                if own {
                    self.detail(at, || what);
                    return;
                }
                what
            }
        };
        self.say(at, what);
    }
}

fn leads(story: &Story, term: &Term) -> String {
    let mut text = format!("{} LEADS", story.name(term.process));
    match term.until {
        Some(until) if term.noticed.is_none() => {
            let _ = write!(text, ", and may until {}", stamp(until));
        }
        Some(until) => {
            let _ = write!(text, " until {}", stamp(until));
        }
        None => text.push_str(", until something ends it"),
    }
    let _ = match term.number {
        0 => write!(text, " (token {}", term.token),
        number => write!(text, " (term {number}, token {}", term.token),
    };
    match term.renewals {
        0 => text.push(')'),
        1 => {
            let _ = write!(text, "; it renews once, at {})", stamp(term.renewed));
        }
        times => {
            let last = stamp(term.renewed);
            let _ = write!(text, "; it renews {times} times, the last at {last})");
        }
    }
    text
}

#[cfg(test)]
mod tests;
