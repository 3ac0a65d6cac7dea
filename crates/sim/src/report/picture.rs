//! A run as a picture, the same as the demo's: lanes on true time, what stood in the lock above
//! them, and what struck below.

use tenure_timeline::{
    Bar, Event, Key, Kind, Lane, Mark, Overlap, Sign, Span, Timeline, Tone, Verdict,
};

use crate::{
    clock::{NEVER, Nanos, SECOND},
    fault::FaultKind,
    plan::LockKind,
    trace::ProcessId,
};

use super::{
    Recorded,
    story::{Story, Strikes, Term},
    timeline::stamp,
};

/// How much of calm is shown before the first fault.
const CALM: Nanos = 15 * SECOND;
/// How far beyond the end a picture goes at most, to show how long somebody still may lead.
const BEYOND: Nanos = 20 * SECOND;

/// The run as an SVG document.
#[must_use]
pub fn svg(run: &Recorded) -> String {
    tenure_timeline::svg(&timeline(run))
}

/// The run as the data of a picture.
#[must_use]
pub fn timeline(run: &Recorded) -> Timeline {
    let story = Story::of(run);
    let (begin, end) = window(&story);
    let title = match run.plan.lock {
        LockKind::Lease => "a Lease",
        LockKind::ConfigMap => "a ConfigMap for life",
        LockKind::LeaderLock => "a LeaderLock for life",
    };
    let mut timeline = Timeline::new(format!("Seed {}: {title}", run.plan.seed), begin, end);
    timeline.zero = 0;
    timeline.verdict = Some(match &run.violation {
        Some(violation) => Verdict {
            words: format!(
                "{} violated at {}",
                violation.invariant,
                stamp(violation.at)
            ),
            good: false,
        },
        None => Verdict {
            words: "everything held".into(),
            good: true,
        },
    });
    if let Some(violation) = &run.violation {
        violation.what.clone_into(&mut timeline.description);
        timeline.spans.push(Span {
            from: violation.at,
            to: violation.at,
            words: violation.invariant.into(),
            tone: Tone::Bad,
            row: 0,
        });
    }
    timeline.lanes.push(lock(run, &story, end));
    timeline.lanes.extend(candidates(&story, end));
    timeline.lanes.extend(faults(run, &story));
    timeline.overlaps = overlaps(&story, end);
    timeline.stack_spans();
    timeline.keys = keys(&timeline);
    timeline
}

/// The signs that are to be seen.
fn keys(timeline: &Timeline) -> Vec<Key> {
    let shown = timeline.begin..=timeline.end;
    let seen = |sign: Sign| {
        timeline.lanes.iter().any(|lane| match sign {
            Sign::Bar(kind) => lane.bars.iter().any(|bar| {
                bar.kind == kind && bar.from <= timeline.end && bar.to >= timeline.begin
            }),
            Sign::Mark(event) => lane
                .marks
                .iter()
                .any(|mark| mark.event == event && shown.contains(&mark.at)),
        })
    };
    [
        (Sign::Bar(Kind::Leads), "may lead"),
        (Sign::Bar(Kind::Waits), "stands by"),
        (Sign::Bar(Kind::Sleeps), "asleep"),
        (Sign::Bar(Kind::Holds), "holds the lock"),
        (Sign::Mark(Event::Started), "starts"),
        (Sign::Mark(Event::Killed), "ends"),
        (Sign::Mark(Event::Asked), "asked to hand over"),
        (Sign::Bar(Kind::Fault), "a fault lasts"),
        (Sign::Mark(Event::Struck), "it strikes"),
    ]
    .into_iter()
    .filter(|(sign, _)| seen(*sign))
    .map(|(sign, words)| sign.means(words))
    .collect()
}

fn window(story: &Story) -> (Nanos, Nanos) {
    let first = story.strikes.values().map(|strikes| strikes.first).min();
    let first = first.unwrap_or(story.end).min(story.end);
    let begin = match first.saturating_sub(CALM) / (5 * SECOND) * (5 * SECOND) {
        begin if begin > CALM => begin,
        _ => 0,
    };
    let still = story.terms.iter().filter_map(|term| term.until);
    let still = still.filter(|until| *until < story.end.saturating_add(BEYOND));
    let end = still.max().unwrap_or(0).max(story.end);
    (begin, end + (end - begin) / 50 + SECOND / 5)
}

/// What stood in the lock.
fn lock(run: &Recorded, story: &Story, end: Nanos) -> Lane {
    let mut lane = Lane::new(match run.plan.lock {
        LockKind::Lease => "the Lease",
        LockKind::ConfigMap => "the ConfigMap",
        LockKind::LeaderLock => "the LeaderLock",
    });
    for hold in story.holds.iter().filter(|hold| hold.state.is_some()) {
        let holder = hold.holder.as_deref().unwrap_or("nobody");
        // What stands there at the end stands there for good.
        let to = hold.to.unwrap_or(end);
        let title = format!("{holder}, {} to {}", stamp(hold.from), stamp(to));
        lane.bars.push(
            Bar::new(Kind::Holds, hold.from, to)
                .titled(title)
                .labelled(holder),
        );
    }
    lane
}

/// A lane for each seat, and one more where two lived in it at once.
fn candidates(story: &Story, end: Nanos) -> Vec<Lane> {
    let mut lanes: Vec<(usize, Nanos, Lane)> = Vec::new();
    for (number, life) in (0..).zip(&story.lives) {
        let free = lanes
            .iter()
            .position(|(seat, until, _)| *seat == life.seat && *until <= life.from);
        let index = free.unwrap_or_else(|| {
            let taken = lanes.iter().any(|(seat, _, _)| *seat == life.seat);
            let name = if taken {
                life.name.clone()
            } else {
                format!("c{}", life.seat)
            };
            lanes.push((life.seat, 0, Lane::new(name)));
            lanes.len() - 1
        });
        let (_, until, lane) = &mut lanes[index];
        *until = life.to.unwrap_or(NEVER);
        live(story, ProcessId(number), end, lane);
    }
    lanes.sort_by_key(|(seat, _, _)| *seat);
    lanes.into_iter().map(|(_, _, lane)| lane).collect()
}

fn live(story: &Story, process: ProcessId, end: Nanos, lane: &mut Lane) {
    let life = &story.lives[process.0 as usize];
    let last = life.to.unwrap_or(end);
    lane.bars.push(Bar::new(Kind::Waits, life.from, last));
    for term in story.terms.iter().filter(|term| term.process == process) {
        let title = format!(
            "{} may lead from {} to {} (term {}, token {})",
            life.name,
            stamp(term.from),
            stamp(until(term, end)),
            term.number,
            term.token
        );
        lane.bars
            .push(Bar::new(Kind::Leads, term.from, until(term, end)).titled(title));
    }
    for sleep in story.sleeps.iter().filter(|sleep| sleep.process == process) {
        let why = sleep.kind.map_or("asleep", FaultKind::name);
        let title = format!("{why}, {} to {}", stamp(sleep.from), stamp(sleep.to));
        lane.bars
            .push(Bar::new(Kind::Sleeps, sleep.from, sleep.to.min(last)).titled(title));
    }
    let title = format!("{} starts as {}", life.name, life.identity);
    lane.marks
        .push(Mark::new(Event::Started, life.from).titled(title));
    if let Some(to) = life.to {
        let title = format!("{} ends", life.name);
        lane.marks.push(Mark::new(Event::Killed, to).titled(title));
    }
    for ((_, kind), strikes) in &story.strikes {
        if matches!(kind, FaultKind::StepDown | FaultKind::HandOver)
            && strikes.processes.contains(&process)
        {
            lane.marks.push(Mark::new(Event::Asked, strikes.first));
        }
    }
}

/// A lane for each fault that struck, in the order in which they did.
fn faults(run: &Recorded, story: &Story) -> Vec<Lane> {
    let mut struck: Vec<(&(u32, FaultKind), &Strikes)> = story.strikes.iter().collect();
    struck.sort_by_key(|(_, strikes)| strikes.first);
    let lane = |((id, kind), strikes): (&(u32, FaultKind), &Strikes)| {
        let whom = match strikes.processes.len() {
            _ if kind.is_by_people() => String::new(),
            0 => String::new(),
            1 | 2 => format!(", {}", story.names(&strikes.processes)),
            many => format!(", {many} processes"),
        };
        let mut lane = Lane::new(format!("{kind}{whom}"));
        lane.slim = true;
        let planned = run.plan.faults.iter().find(|fault| fault.id == *id);
        if let Some(planned) = planned.filter(|_| lasts(*kind)) {
            let ends = planned.ends().min(story.end);
            lane.bars
                .push(Bar::new(Kind::Fault, planned.at, ends.max(strikes.last)));
        }
        let mut drawn = None;
        for at in &strikes.at {
            // As many as can be told apart.
            if drawn.is_none_or(|drawn| at - drawn > SECOND / 20) {
                lane.marks.push(
                    Mark::new(Event::Struck, *at).titled(format!("fault {id}: {}", stamp(*at))),
                );
                drawn = Some(*at);
            }
        }
        lane
    };
    struck.into_iter().map(lane).collect()
}

fn lasts(kind: FaultKind) -> bool {
    use FaultKind as K;
    !matches!(
        kind,
        K::WallStep
            | K::Crash
            | K::Twin
            | K::Cancel
            | K::StepDown
            | K::HandOver
            | K::FreezeBeforeSend
    ) && !kind.is_by_people()
}

/// When two may lead.
fn overlaps(story: &Story, end: Nanos) -> Vec<Overlap> {
    let mut overlaps = Vec::new();
    for (index, one) in story.terms.iter().enumerate() {
        for other in &story.terms[index + 1..] {
            let from = one.from.max(other.from);
            let to = until(one, end).min(until(other, end));
            if one.process != other.process && from < to {
                let names = story.names([&one.process, &other.process]);
                overlaps.push(Overlap {
                    from,
                    to,
                    title: format!("{names} may lead at once"),
                });
            }
        }
    }
    overlaps
}

fn until(term: &Term, end: Nanos) -> Nanos {
    term.until.unwrap_or(end)
}
