//! What was measured: kept as JSON, one file for all measurements.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{candidate::unix_ns, chart::group, plane::Bench};

const FILE: &str = "results.json";
/// What the floor's series is called.
pub(crate) const FLOOR: &str = "release, watch event, acquire";

/// All measurements, by name.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) versions: Versions,
    pub(crate) measurements: BTreeMap<String, Measured>,
}

/// What was measured, as far as it says so itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Versions {
    pub(crate) tenure: String,
    pub(crate) kubernetes: String,
    pub(crate) client_go: String,
}

/// One measurement: all that was taken in one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// When it ended, in UTC.
    pub(crate) at: String,
    /// A tenth of the rounds.
    pub(crate) quick: bool,
    pub(crate) series: Vec<Series>,
}

/// Where it was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) memory_mib: u64,
}

/// The values of one contestant, in rising order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) contestant: String,
    /// What is counted: `ms`, `MiB`.
    pub(crate) unit: String,
    pub(crate) what: String,
    /// With how many candidates, or locks, where that grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<u32>,
    pub(crate) n: usize,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    pub(crate) values: Vec<f64>,
}

/// What was measured in several passes, as one.
pub(crate) fn merge(passes: Vec<Series>) -> Vec<Series> {
    let mut merged: Vec<Series> = Vec::new();
    for series in passes {
        let same = |one: &&mut Series| {
            (&one.contestant, &one.unit, &one.what, one.at)
                == (&series.contestant, &series.unit, &series.what, series.at)
        };
        let Some(one) = merged.iter_mut().find(same) else {
            merged.push(series);
            continue;
        };
        let values = [&*one.values, &*series.values].concat();
        if let Some(whole) = Series::of(&series.contestant, &series.unit, &series.what, values) {
            *one = Series {
                at: one.at,
                ..whole
            };
        }
    }
    merged
}

impl Results {
    /// What was there before stays, but for what is measured anew.
    pub(crate) fn read_or_new(folder: &Path, machine: Machine, versions: Versions) -> Self {
        let before = Self::read(folder).ok();
        Self {
            machine,
            versions,
            measurements: before.map(|before| before.measurements).unwrap_or_default(),
        }
    }

    /// What was kept there.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not ours", path.display()))
    }

    pub(crate) fn replace(&mut self, name: &str, quick: bool, series: Vec<Series>) {
        let at = jiff::Timestamp::from_microsecond(unix_ns() / 1000).unwrap_or_default();
        let measured = Measured {
            at: at.strftime("%F %R").to_string(),
            quick,
            series,
        };
        self.measurements.insert(name.to_owned(), measured);
    }

    pub(crate) fn of(&self, name: &str, contestant: &str, what: &str) -> Option<&Series> {
        self.measurements
            .get(name)?
            .series
            .iter()
            .find(|series| series.contestant == contestant && series.what == what)
    }

    /// The floor that was measured in the rounds of `name`.
    pub(crate) fn floor(&self, name: &str) -> Option<&Series> {
        self.of(name, "floor", FLOOR)
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(FILE);
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Machine {
    pub(crate) fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let kib = read("/proc/meminfo")
            .split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse::<u64>().ok());
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_mib: kib.unwrap_or(0) / 1024,
        }
    }
}

impl Versions {
    pub(crate) async fn of(bench: &Bench) -> Result<Self> {
        let answer = bench.server.call(Method::GET, "/version", &Value::Null);
        let kubernetes = answer.await?.ok()?["gitVersion"].clone();
        let client_go = match bench.programs.client_go.as_deref() {
            Some(program) => said(program)?,
            None => "not measured".to_owned(),
        };
        Ok(Self {
            tenure: said(&bench.programs.tenure)?,
            kubernetes: kubernetes.as_str().unwrap_or("unknown").to_owned(),
            client_go,
        })
    }
}

/// What a program answers to `--version`.
fn said(program: &Path) -> Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Series {
    /// Nothing, where there are no values.
    pub(crate) fn of(
        contestant: &str,
        unit: &str,
        what: &str,
        mut values: Vec<f64>,
    ) -> Option<Self> {
        values.retain(|value| value.is_finite());
        // A millionth of a unit is less than any of these can tell.
        for value in &mut values {
            *value = (*value * 1e6).round() / 1e6;
        }
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        // The nearest rank: the least value that so many of all do not exceed. It was measured, and is
        // never one in between.
        let at = |per_mille: usize| {
            let rank = (values.len() * per_mille).div_ceil(1000);
            values[rank - 1]
        };
        #[allow(clippy::cast_precision_loss, reason = "counts of rounds are small")]
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Some(Self {
            contestant: contestant.to_owned(),
            unit: unit.to_owned(),
            what: what.to_owned(),
            at: None,
            n: values.len(),
            p50: at(500),
            p90: at(900),
            p99: at(990),
            max: values[last],
            mean,
            values,
        })
    }

    /// The same, with that many candidates or locks.
    pub(crate) fn with(mut self, at: u32) -> Self {
        self.at = Some(at);
        self
    }

    /// What was measured, and with how many.
    pub(crate) fn title(&self) -> String {
        match self.at {
            Some(at) => format!("{}: {}", group(f64::from(at)), self.what),
            None => self.what.clone(),
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:22} {:40} n {:4}  p50 {:9.2}  p90 {:9.2}  p99 {:9.2}  max {:9.2} {}",
            self.contestant,
            self.title(),
            self.n,
            self.p50,
            self.p90,
            self.p99,
            self.max,
            self.unit
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let series = Series::of("a", "ms", "x", values).expect("values");
        assert_eq!((series.p50, series.p90, series.p99), (50.0, 90.0, 99.0));
        assert_eq!((series.n, series.max, series.mean), (100, 100.0, 50.5));
        let one = Series::of("a", "ms", "x", vec![7.0, f64::NAN]).expect("a value");
        assert_eq!((one.n, one.p50, one.p99), (1, 7.0, 7.0));
        let few = Series::of("a", "ms", "x", vec![1.0, 2.0, 3.0]).expect("values");
        assert_eq!((few.p50, few.p90, few.p99), (2.0, 3.0, 3.0));
        assert!(Series::of("a", "ms", "x", Vec::new()).is_none());
    }
}
