//! What processes use, by `/proc`, and what the API server was asked, by its `/metrics`.

use std::fs;

use anyhow::{Context as _, Result};
use tenure_harness::send_with;

use crate::plane::Bench;

/// Requests for Leases since the server's start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Requests {
    pub(crate) reads: f64,
    pub(crate) writes: f64,
    /// Writes that were answered 409.
    pub(crate) conflicts: f64,
    /// Requests for anything, watches apart.
    pub(crate) all: f64,
    /// Watches of Leases that are open now.
    pub(crate) watches: f64,
}

impl Requests {
    pub(crate) async fn read(bench: &Bench) -> Result<Self> {
        let client = bench.server.client();
        let headers = [("accept", "text/plain")];
        let answer = send_with(
            &client,
            http::Method::GET,
            "/metrics",
            &headers,
            String::new(),
        );
        let answer = answer.await?;
        let text = answer.body.as_str().context("/metrics is not text")?;
        Ok(Self::of(text))
    }

    fn of(metrics: &str) -> Self {
        let mut found = Self::default();
        for line in metrics.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let Ok(value) = value.parse::<f64>() else {
                continue;
            };
            let has = |label: &str| series.contains(label);
            let lease = has("resource=\"leases\"");
            if series.starts_with("apiserver_longrunning_requests{") {
                if lease && has("verb=\"WATCH\"") {
                    found.watches += value;
                }
            } else if series.starts_with("apiserver_request_total{") && !has("verb=\"WATCH\"") {
                found.all += value;
                if lease && (has("verb=\"GET\"") || has("verb=\"LIST\"")) {
                    found.reads += value;
                } else if lease {
                    found.writes += value;
                    if has("code=\"409\"") {
                        found.conflicts += value;
                    }
                }
            }
        }
        found
    }
}

/// CPU time of a process so far, in seconds.
pub(crate) fn cpu(pid: i32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    cpu_ticks(&stat)
        .map(|ticks| ticks / TICKS_PER_SECOND)
        .with_context(|| format!("{path} is strange"))
}

/// `USER_HZ`: 100 on every Linux that Rust knows.
const TICKS_PER_SECOND: f64 = 100.0;

/// Fields 14 and 15; the name in the second field may have blanks.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Resident memory in MiB.
pub(crate) fn memory(pid: i32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse::<f64>().ok());
    Ok(kib.context("no VmRSS")? / 1024.0)
}

/// The pid of a server of ours, by the word that it was started with: `kube-apiserver`, or `serve`
/// for the control plane's own process, in which etcd runs.
pub(crate) fn server(word: &str) -> Result<i32> {
    let own = i32::try_from(std::process::id())?;
    for entry in fs::read_dir("/proc").context("no /proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let is = line.split(|byte| *byte == 0).nth(1) == Some(word.as_bytes());
        let parent = parent(pid);
        if is && (parent == Some(own) || parent.and_then(self::parent) == Some(own)) {
            return Ok(pid);
        }
    }
    anyhow::bail!("there is no {word} of ours")
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let metrics = "\
# HELP apiserver_request_total ...
apiserver_request_total{code=\"200\",resource=\"leases\",verb=\"GET\"} 5
apiserver_request_total{code=\"200\",resource=\"leases\",verb=\"PUT\"} 7
apiserver_request_total{code=\"409\",resource=\"leases\",verb=\"PUT\"} 2
apiserver_request_total{code=\"200\",resource=\"leases\",verb=\"WATCH\"} 100
apiserver_request_total{code=\"200\",resource=\"pods\",verb=\"GET\"} 3
apiserver_longrunning_requests{resource=\"leases\",verb=\"WATCH\"} 4
";
        let expected = Requests {
            reads: 5.0,
            writes: 9.0,
            conflicts: 2.0,
            all: 17.0,
            watches: 4.0,
        };
        assert_eq!(Requests::of(metrics), expected);
    }

    #[test]
    fn cpu_is_found_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 9 1 1";
        assert_eq!(cpu_ticks(stat), Some(300.0));
        assert_eq!(cpu_ticks("7"), None);
    }
}
