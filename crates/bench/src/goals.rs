//! The goals, and whether they are reached by what was measured.

use crate::candidate::Kind;
use crate::chart::format_value as show;
use crate::handover::REFUSED;
use crate::locks::MEANWHILE;
use crate::rested::{AFTER_MINUTES, AFTER_SECONDS};
use crate::results::{Results, Series};
use crate::weight::{MEMORY, PROGRAM, REQUESTS};

/// A row of the table.
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) wanted: &'static str,
    pub(crate) client_go: String,
    pub(crate) tenure: String,
    pub(crate) verdict: Verdict,
}

pub(crate) enum Verdict {
    Reached(String),
    Missed(String),
    NotRun(&'static str),
}

const OURS: &str = "tenure";
const LIBRARY: &str = "tenure, library";
const THEIRS: &str = "client-go";
const RELEASE: &str = "from the release to the next leader";
const LATE: &str = "later than it had to be";
const NOT_HERE: &str = "not run";

pub(crate) fn goals(results: &Results) -> Vec<Goal> {
    let mut goals = vec![
        hand_over(
            results,
            "handover-1",
            "graceful hand-over, 1 standby, p50 / p99",
            "at most 1.5 times the floor of the same run, p50 and p99",
        ),
        hand_over(
            results,
            "handover-9",
            "graceful hand-over, 9 standbys, p50 / p99",
            "p50 under 3 times the floor, at most 64 refused writes once contention is learned",
        ),
        hand_over(
            results,
            "handover-99",
            "graceful hand-over, 99 standbys, p50 / p99",
            "p50 under 3 times the floor, at most 64 refused writes once contention is learned",
        ),
        crowd(results),
        rested(results),
        killed(
            results,
            "killed-1",
            "SIGKILL, 1 standby, lateness p50 / p99",
        ),
        killed(
            results,
            "killed-9",
            "SIGKILL, 9 standbys, lateness p50 / p99",
        ),
        like_graceful(
            results,
            "run",
            "tenure run",
            "from the command's death to the next holder",
            "the command of `tenure run` dies: to the next holder, p50 / p99",
        ),
    ];
    goals.push(idle(results));
    goals.extend(locks(results));
    goals.push(asking(results));
    goals.extend(weight(results));
    goals.push(like_graceful(
        results,
        "life",
        OURS,
        "from the lock's deletion to the next leader",
        "leader for life: owner Pod force-deleted, lock gone to next leader, p50 / p99",
    ));
    goals
}

/// What should take as long as a hand-over.
fn like_graceful(
    results: &Results,
    name: &str,
    who: &str,
    series: &str,
    what: &'static str,
) -> Goal {
    let ours = results.of(name, who, series);
    let verdict = match (ours, results.floor(name)) {
        (Some(ours), Some(floor)) => {
            let (p50, p99) = (ours.p50 / floor.p50, ours.p99 / floor.p99);
            let words = format!(
                "{p50:.2} times the floor's p50 ({}), {p99:.2} times its p99 ({})",
                show(floor.p50),
                show(floor.p99)
            );
            judge(p50 <= 1.5 && p99 <= 1.5, words)
        }
        _ => Verdict::NotRun(NOT_HERE),
    };
    Goal {
        what,
        wanted: "as graceful: at most 1.5 times the floor of the same run, p50 and p99",
        client_go: "-".to_owned(),
        tenure: two(ours),
        verdict,
    }
}

/// `a / b unit`.
fn two(series: Option<&Series>) -> String {
    series.map_or_else(
        || NOT_HERE.to_owned(),
        |s| format!("{} / {} {}", show(s.p50), show(s.p99), s.unit),
    )
}

fn judge(reached: bool, words: String) -> Verdict {
    if reached {
        Verdict::Reached(words)
    } else {
        Verdict::Missed(words)
    }
}

fn hand_over(results: &Results, name: &str, what: &'static str, goal: &'static str) -> Goal {
    let ours = results.of(name, OURS, RELEASE);
    let refused = results.of(name, OURS, REFUSED);
    let verdict = match (ours, results.floor(name)) {
        (Some(ours), Some(floor)) => {
            let (p50, p99) = (ours.p50 / floor.p50, ours.p99 / floor.p99);
            let words = format!(
                "{p50:.2} times the floor's p50 ({}), {p99:.2} times its p99 ({})",
                show(floor.p50),
                show(floor.p99)
            );
            let words = if ours.n < 100 {
                format!("{words}; n = {}: p99 is the slowest round", ours.n)
            } else {
                words
            };
            if name == "handover-1" {
                judge(p50 <= 1.5 && p99 <= 1.5, words)
            } else {
                let most = refused.map_or(0.0, |refused| refused.max);
                let words = format!(
                    "{words}, {} refused writes at most in the second half of the rounds",
                    show(most)
                );
                judge(p50 < 3.0 && most <= 64.0, words)
            }
        }
        _ => Verdict::NotRun(NOT_HERE),
    };
    Goal {
        what,
        wanted: goal,
        client_go: two(results.of(name, THEIRS, RELEASE)),
        tenure: two(ours),
        verdict,
    }
}

fn crowd(results: &Results) -> Goal {
    let name = "handover-999";
    let ours = results.of(name, LIBRARY, RELEASE);
    let refused = results.of(name, LIBRARY, REFUSED);
    let verdict = match (ours, refused) {
        (Some(ours), Some(refused)) => {
            let words = format!(
                "{} refused writes at most in the second half of the rounds",
                show(refused.max)
            );
            judge(ours.p50 < 150.0 && refused.max <= 64.0, words)
        }
        _ => Verdict::NotRun(NOT_HERE),
    };
    Goal {
        what: "graceful hand-over, 999 standbys, p50 / p99",
        wanted: "p50 under 150 ms, at most 64 refused writes once contention is learned",
        client_go: NOT_HERE.to_owned(),
        tenure: two(ours),
        verdict,
    }
}

fn rested(results: &Results) -> Goal {
    let of = |what| results.of("rested", OURS, what);
    let (soon, late) = (of(AFTER_SECONDS), of(AFTER_MINUTES));
    let verdict = match (soon, late) {
        (Some(soon), Some(late)) => {
            let times = late.p50 / soon.p50;
            let words = format!(
                "{times:.2} times the p50 after five seconds ({})",
                show(soon.p50)
            );
            judge(times <= 1.25, words)
        }
        _ => Verdict::NotRun(NOT_HERE),
    };
    Goal {
        what: "graceful hand-over after five idle minutes, p50 / p99",
        wanted: "as fast as after five seconds: p50 at most a quarter more",
        client_go: NOT_HERE.to_owned(),
        tenure: two(late),
        verdict,
    }
}

fn killed(results: &Results, name: &str, what: &'static str) -> Goal {
    let ours = results.of(name, OURS, LATE);
    let verdict = match (ours, results.of(name, "replace", "one replace")) {
        (Some(ours), Some(replace)) => {
            // Who has lost no race has no spread; who lost the last one, this one (L17).
            let spread = if name == "killed-1" {
                0.0
            } else {
                1000.0 / 63.0
            };
            let limit = 2.0 + spread + 1.5 * replace.p99;
            let words = format!(
                "{} ms at p99, {} ms allowed, {} of them the spread",
                show(ours.p99),
                show(limit),
                show(spread)
            );
            judge(ours.p99 <= limit, words)
        }
        _ => Verdict::NotRun(NOT_HERE),
    };
    Goal {
        what,
        wanted: "p99 at most 2 ms + the contention spread + 1.5 times a replace's p99",
        client_go: two(results.of(name, THEIRS, LATE)),
        tenure: two(ours),
        verdict,
    }
}

/// What a contestant had in a window, beyond what there is when nobody stands.
fn beyond(results: &Results, name: &str, who: &str, what: &str) -> Option<f64> {
    let nobody = results.of(name, "nobody", what).map_or(0.0, |s| s.p50);
    Some(results.of(name, who, what)?.p50 - nobody)
}

fn idle(results: &Results) -> Goal {
    let name = "idle-300";
    let of = |who, what| beyond(results, name, who, what);
    let told = |who| {
        let reads = of(who, "reads of Leases")?;
        let server = of(who, "CPU of kube-apiserver")?;
        let etcd = of(who, "CPU of etcd")?;
        let own = of(who, "CPU of the process")?;
        Some(format!(
            "{} reads/s; CPU in a minute: kube-apiserver {} s, etcd {} s, candidates {} s",
            show(reads),
            more(server),
            more(etcd),
            show(own)
        ))
    };
    let verdict = match (
        of(LIBRARY, "reads of Leases"),
        of(LIBRARY, "CPU of kube-apiserver"),
        of(LIBRARY, "CPU of the process"),
        of(LIBRARY, "all requests, watches apart"),
    ) {
        (Some(reads), Some(server), Some(own), Some(all)) => {
            let words = format!(
                "{} requests/s more than with nobody, of any kind; 5.5 are allowed \
                 (one a minute and standby, and the leader's renewals)",
                show(all)
            );
            let reached = reads < 0.05 && all <= 5.5 && server <= 0.3 && own <= 0.3;
            let alone = Kind::Alone.name();
            let plain = of(alone, "CPU of kube-apiserver").zip(of(alone, "CPU of the process"));
            let plain = plain.map_or_else(String::new, |(server, own)| {
                let (server, own) = (more(server), show(own));
                format!("; 300 plain watches of kube 5: kube-apiserver {server} s, process {own} s")
            });
            judge(reached, words + &plain)
        }
        _ => Verdict::NotRun(NOT_HERE),
    };
    Goal {
        what: "300 idle standbys on one lock",
        wanted: "no reads; a request per minute and standby; kube-apiserver +0.3 s, candidates 0.3 s",
        client_go: told(THEIRS).unwrap_or_else(|| NOT_HERE.to_owned()),
        tenure: told(LIBRARY).unwrap_or_else(|| NOT_HERE.to_owned()),
        verdict,
    }
}

/// What there is more than with nobody, which noise can make less.
fn more(value: f64) -> String {
    let sign = if value < 0.0 { "" } else { "+" };
    format!("{sign}{}", show(value))
}

fn locks(results: &Results) -> [Goal; 2] {
    let name = "locks-1000";
    let of = |who, what| beyond(results, name, who, what);
    let told = |who| {
        Some(format!(
            "{} writes/s; {} s of CPU in a minute; {} MiB",
            show(of(who, "writes of Leases")?),
            show(of(who, "CPU of the process")?),
            show(of(who, "memory of the process")?)
        ))
    };
    let row = |what, wanted, who, most| {
        let share = |what| Some(of(who, what)? / of(THEIRS, what)?);
        let verdict = match (
            share("CPU of the process"),
            share("memory of the process"),
            results.of(name, who, "locks lost").map(|lost| lost.max),
            results.of(name, who, MEANWHILE),
        ) {
            (Some(cpu), Some(memory), Some(lost), Some(hand_over)) => judge(
                cpu <= most && memory <= most && lost < 1.0 && hand_over.p99 < 1000.0,
                format!(
                    "{cpu:.2} of the CPU, {memory:.2} of the memory, {lost:.0} locks lost; \
                     hand-over meanwhile {} / {} ms",
                    show(hand_over.p50),
                    show(hand_over.p99)
                ),
            ),
            _ => Verdict::NotRun(NOT_HERE),
        };
        Goal {
            what,
            wanted,
            client_go: told(THEIRS).unwrap_or_else(|| NOT_HERE.to_owned()),
            tenure: told(who).unwrap_or_else(|| NOT_HERE.to_owned()),
            verdict,
        }
    };
    [
        row(
            "1,000 locks led by one process, renewed every 2 s",
            "half of client-go's CPU and memory, no lock lost, hand-over p99 under 1 s meanwhile",
            LIBRARY,
            0.5,
        ),
        row(
            "1,000 locks led by one process, renewed every 5 s (client-go: every 2 s)",
            "a third of client-go's CPU and memory, no lock lost, hand-over p99 under 1 s meanwhile",
            Kind::OwnPace.name(),
            1.0 / 3.0,
        ),
    ]
}

fn asking(results: &Results) -> Goal {
    let name = "is-leading";
    let ours = results.of(name, OURS, "is_leading()");
    let clock = results.of(name, "the clock", "clock_gettime(CLOCK_BOOTTIME)");
    let verdict = match (ours, clock) {
        (Some(ours), Some(clock)) => {
            let times = ours.p50 / clock.p50;
            let words = format!("{times:.2} times the clock's {} ns, p50", show(clock.p50));
            judge(times <= 1.3, words)
        }
        _ => Verdict::NotRun(NOT_HERE),
    };
    Goal {
        what: "`is_leading()`, p50 / p99",
        wanted: "at most 1.3 times one `clock_gettime(CLOCK_BOOTTIME)`; no allocation",
        client_go: "-".to_owned(),
        tenure: two(ours),
        verdict,
    }
}

fn weight(results: &Results) -> [Goal; 5] {
    let one = |who: &str, what: &str| results.of("weight", who, what).map(|series| series.p50);
    let (memory, program) = (MEMORY, PROGRAM);
    let row = |what, wanted, ours: &'static str, series: &'static str, unit: &str, limit| {
        let value = |who| {
            one(who, series).map_or_else(
                || NOT_HERE.to_owned(),
                |value| format!("{} {unit}", show(value)),
            )
        };
        let verdict = match (one(ours, series), limit) {
            (Some(value), Some(limit)) => {
                let mut words = format!("{} of {} {unit}", show(value), show(limit));
                // What no library on that client can be under.
                if let (LIBRARY, Some(alone)) = (ours, one(Kind::Alone.name(), series)) {
                    let told = format!("; kube 5 alone, with one watch, {} {unit}", show(alone));
                    words.push_str(&told);
                }
                judge(value < limit, words)
            }
            _ => Verdict::NotRun(NOT_HERE),
        };
        Goal {
            what,
            wanted,
            client_go: value(THEIRS),
            tenure: value(ours),
            verdict,
        }
    };
    let kubert = |what| one(Kind::Kubert.name(), what);
    let fifteen = Some(15e6 / f64::from(1 << 20));
    [
        row(
            "memory of an idle library candidate",
            "under kubert's",
            LIBRARY,
            memory,
            "MiB",
            kubert(memory),
        ),
        row(
            "its program",
            "under kubert's",
            LIBRARY,
            program,
            "MiB",
            kubert(program),
        ),
        row(
            "the program `tenure`, idle: memory",
            "under 15 MB",
            OURS,
            memory,
            "MiB",
            fifteen,
        ),
        row(
            "the program `tenure`: size",
            "under 15 MB",
            OURS,
            program,
            "MiB",
            fifteen,
        ),
        row(
            "requests for the Lease from the start to the first leadership",
            "at most three round trips: fewer than four",
            LIBRARY,
            REQUESTS,
            "requests",
            Some(4.0),
        ),
    ]
}
