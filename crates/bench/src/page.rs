//! The page: what was measured, on what, and how.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{chart::format_value, results::Results};

const HEAD: &str = "\
# Measured

Elections of tenure and of client-go (`leaderelection`, `LeaseLock`, `ReleaseOnCancel`), each candidate a
process of its own, on one real control plane (kube-apiserver and etcd on the same machine), in turns
within one run, at 15 s, 10 s, 2 s. Made by

```console
$ cargo xtask bench            # --quick for a tenth of the rounds, --only floor,handover-1, --list
```

The *floor* is what no election can be faster than: one client frees a Lease, another, which watches, sees
that and takes it; nothing else runs. Times of hand-overs are taken from outside: from just before a signal
is sent to the leader's process to the moment that the next leader's process says that it leads.
";

const NAMES: [(&str, &str); 6] = [
    ("floor", "The floor"),
    ("handover-1", "A leader ends in order, 1 standby"),
    ("handover-9", "A leader ends in order, 9 standbys"),
    ("killed-1", "A leader is killed, 1 standby"),
    ("killed-9", "A leader is killed, 9 standbys"),
    ("weight", "What a candidate costs"),
];

pub(crate) fn write(results: &Results, folder: &Path) -> Result<()> {
    let path = folder.join("README.md");
    fs::write(&path, page(results)).with_context(|| format!("cannot write {}", path.display()))
}

fn page(results: &Results) -> String {
    let mut page = HEAD.to_owned();
    let machine = &results.machine;
    let _ = write!(
        page,
        "\nHere: {} cores, {} MiB of memory, Linux {}. The machine is small and was not idle: compare \
         within a table, not across machines. All values are in [results.json](results.json).\n",
        machine.cores, machine.memory_mib, machine.kernel
    );
    for (name, title) in NAMES {
        let _ = write!(page, "\n## {title}\n\n");
        let Some(series) = results.measurements.get(name) else {
            page.push_str("Not measured yet.\n");
            continue;
        };
        page.push_str(
            "| | what | n | p50 | p90 | p99 | max | |\n|---|---|---|---|---|---|---|---|\n",
        );
        for one in series {
            let value = format_value;
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                one.contestant,
                one.what,
                one.n,
                value(one.p50),
                value(one.p90),
                value(one.p99),
                value(one.max),
                one.unit
            );
        }
        if name.starts_with("handover")
            && let (Some(ours), Some(floor)) =
                (results.of(name, "tenure"), results.of("floor", "floor"))
        {
            let _ = writeln!(
                page,
                "\ntenure against the floor: {:.2} at p50, {:.2} at p99.",
                ours.p50 / floor.p50,
                ours.p99 / floor.p99
            );
        }
        let _ = writeln!(page, "\n![{title}]({name}.svg)");
        if name.starts_with("killed") {
            let _ = writeln!(page, "\n![{title}: lateness]({name}-2.svg)");
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Machine, Series};

    #[test]
    fn what_was_not_measured_is_said_to_be_so() {
        let mut results = Results {
            machine: Machine::here(),
            measurements: std::collections::BTreeMap::new(),
        };
        assert_eq!(page(&results).matches("Not measured yet").count(), 6);
        let series = |who: &str, values| Series::of(who, "ms", "it takes", values).expect("values");
        results.replace("floor", vec![series("floor", vec![8.0])]);
        results.replace("handover-1", vec![series("tenure", vec![12.0])]);
        let page = page(&results);
        assert_eq!(page.matches("Not measured yet").count(), 4);
        assert!(
            page.contains("tenure against the floor: 1.50 at p50"),
            "{page}"
        );
    }
}
