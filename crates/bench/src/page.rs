//! The page: the goals, what was measured, on what, and how.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    MEASUREMENTS,
    chart::{charts, format_value as show},
    goals::{Verdict, goals},
    results::{Measured, Results},
};

const HEAD: &str = "\
# Measured

Elections of tenure, of client-go (`leaderelection`, `LeaseLock`, `ReleaseOnCancel`) and of three Rust
libraries (kubert 0.25, kube-lease-manager 0.13, kube-leader-election 0.44) on one real control plane
(kube-apiserver and etcd on the same machine, etcd without waiting for the disk), in turns within one
run, at 15 s, 10 s, 2 s or what comes nearest. This page, its charts and
[results.json](results.json), which has every single value, are made by

```console
$ cargo xtask bench            # --quick for a tenth of the rounds, --only floor,handover-1, --list
```
";

const HOW: &str = "
## How it is measured

- The *floor* is what no election can be faster than: one client frees a Lease, another, which
  watches, sees that and takes it; nothing else is in either process. It is measured in every round
  beside the contestants, so that both meet the same noise.
- *Hand-over*: each candidate is a process of its own (the program `tenure campaign --json`, and
  `testing/baselines/client-go`, which says the same in the same words). From the moment at which
  the leader sends the write that frees the lock, to the moment at which the next leader has its
  answer, both told by the processes themselves, by the one wall clock of the machine. *From
  SIGTERM* begins when the signal was sent. Rounds begin at a random moment of the two seconds
  between two tries of those who try every two seconds.
- The other Rust libraries have a program each in `testing/baselines`, the least that their
  documentation leads to, built by the same profile (`dist`: one codegen unit, fat LTO, no symbols)
  and with the same TLS (rustls, ring) as tenure's. They take part in one round of ten, since one of
  theirs takes ten seconds.
- *After a long calm*: pairs with a lock each rest side by side, and then hand over one after the other.
- *999 standbys* are one process, each with connections of its own; whoever leads in it leaves at
  SIGUSR1, and goes last.
- *Requests for the Lease until it leads*: what the API server counted, watches apart, from the
  process's start until it leads a Lease that did not exist.
- *Refused writes*: what the API server counted as 409 for Leases during a round. Those of the first half
  of the rounds are shown apart: there the candidates learn how crowded it is (rule L17).
- *A leader is killed*: three locks at a time, each with candidates of its own, since nearly all of a
  round is waiting for a lease to run out. The floor is measured beside them, every 0.7 s: as they do,
  it meets caches and connections that have rested.
- *Later than it had to be*: a standby may not lead before the lease duration has passed since it
  last saw the Lease renewed. When that was is taken from a watch of our own on the same Lease, so
  each value may be off by a millisecond or a few, in either direction.
- *Crowds* (300 standbys, 1,000 locks) are one process each: the least program on the library, and
  client-go. Each of the 300 candidates has connections of its own; the 1,000 locks are one
  `LeaderElectionSet`, and for client-go share one client.
  CPU is taken from `/proc` (ticks of 10 ms), requests from `/metrics`. etcd is in one process with
  what starts the control plane. *Every 5 s* is the same program with a retry period of 5 s, which a
  renew deadline of 10 s leaves one failed try for. Windows are whole retry periods long. All take turns
  three times. While a process leads its
  1,000 locks, two others of the same kind hand one lock to each other.
- *Growth*: the same at 1, 10, 100 and 1,000, in shorter windows; the line of dashes is what there is
  when nobody stands.
- Quantiles are values that were measured, by nearest rank: with few rounds p99 is the maximum.
- Goals and judgements are about the run that is shown, not about every machine.
";

const WHY: &str = "
## What stands in the way of some goals

- *300 idle standbys*: each renewal is written to each of 300 connections, as it is for 300 plain watches, of which
  the table says what they cost in the same run. What comes on top in the server is one ping (`OPTIONS *`) a minute
  for each of them, which keeps open the connection that a takeover is written to.
- *1,000 locks*: at the same pace a renewal is the same request for both, and a set reads its echo on the
  watch as well, by which it hears of edits, requests to step down and other holders. How much of client-go's CPU it
  needs at the same pace depends on how busy the machine is, since each answer wakes it with cold caches: two runs on
  one day had 0.57, while the server took nine tenths of both cores, and 0.48; each wrote 7 % more often than client-go,
  which waits for two seconds after each answer.
- *Memory and size of the least program*: kube 5 alone, with one watch, is larger than kubert's program
  on kube 1 with all that is in it; the table says by how much.

Of those that are reached, some are so by little. *99 standbys* are a hundred processes that share two cores with the
server: whoever goes first writes while the others still wake up. How long to hold back in a crowd (rule L17) each
candidate learns for itself, by the races that it loses; the first hand-over teaches it, and most of a hundred write in
it. A leader that is killed is followed by one whose caches are cold and whose timer is late by a millisecond or two.
`tenure run` gives the lock up when the last process of the command is seen to be dead, and not before.
";

pub(crate) fn write(results: &Results, folder: &Path) -> Result<()> {
    let path = folder.join("README.md");
    fs::write(&path, page(results)).with_context(|| format!("cannot write {}", path.display()))
}

fn page(results: &Results) -> String {
    let mut page = HEAD.to_owned();
    let (machine, versions) = (&results.machine, &results.versions);
    let _ = writeln!(
        page,
        "\nHere: {} cores, {} MiB of memory, Linux {}; {}, {}, Kubernetes {}. The machine is small \
         and was not idle: compare within a table, not across machines.",
        machine.cores,
        machine.memory_mib,
        machine.kernel,
        versions.tenure,
        versions.client_go,
        versions.kubernetes
    );
    page.push_str(
        "\n## The goals\n\n| what | client-go | goal | tenure | reached? |\n|---|---|---|---|---|\n",
    );
    for goal in goals(results) {
        let verdict = match goal.verdict {
            Verdict::Reached(why) => format!("**yes**: {why}"),
            Verdict::Missed(why) => format!("**no**: {why}"),
            Verdict::NotRun(why) => format!("not known: {why}"),
        };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {verdict} |",
            goal.what, goal.client_go, goal.wanted, goal.tenure
        );
    }
    page.push_str(WHY);
    page.push_str(HOW);
    for one in &MEASUREMENTS {
        let _ = write!(page, "\n## {}\n\n", one.title);
        match results.measurements.get(one.name) {
            Some(measured) => {
                table(&mut page, one.name, measured);
                for chart in charts(results, one.name) {
                    let _ = writeln!(page, "\n![{}: {}]({})", one.title, chart.what, chart.file);
                }
            }
            None => page.push_str("Not measured yet.\n"),
        }
    }
    page
}

fn table(page: &mut String, name: &str, measured: &Measured) {
    let _ = writeln!(
        page,
        "`--only {name}`{}, {} UTC\n\n\
         | | what | n | p50 | p90 | p99 | max | mean | |\n|---|---|---|---|---|---|---|---|---|",
        if measured.quick { " `--quick`" } else { "" },
        measured.at
    );
    for one in &measured.series {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            one.contestant,
            one.title(),
            one.n,
            show(one.p50),
            show(one.p90),
            show(one.p99),
            show(one.max),
            show(one.mean),
            one.unit
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{FLOOR, Machine, Series, Versions};

    #[test]
    fn what_was_not_measured_is_said_to_be_so_and_what_was_is_judged() {
        let mut results = Results {
            machine: Machine::here(),
            versions: Versions::default(),
            measurements: std::collections::BTreeMap::new(),
        };
        let empty = page(&results);
        assert_eq!(
            empty.matches("Not measured yet").count(),
            MEASUREMENTS.len()
        );
        assert!(!empty.contains("**yes**") && !empty.contains("**no**"));
        let series =
            |who: &str, what: &str, value| Series::of(who, "ms", what, vec![value]).expect("one");
        let release = "from the release to the next leader";
        let measured = vec![series("floor", FLOOR, 8.0), series("tenure", release, 12.0)];
        results.replace("handover-1", true, measured);
        let page = page(&results);
        assert_eq!(
            page.matches("Not measured yet").count(),
            MEASUREMENTS.len() - 1
        );
        assert!(
            page.contains("**yes**: 1.50 times the floor's p50"),
            "{page}"
        );
    }
}
