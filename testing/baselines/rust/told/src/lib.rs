//! What the candidates on other libraries have in common: their command line, and the lines of JSON
//! that `tenure campaign --json` says too.

use std::{io::Write as _, path::PathBuf, time::SystemTime};

use clap::Parser;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Stands for election until SIGTERM
#[derive(Debug, Parser)]
pub struct Options {
    /// Name of the Lease
    #[arg(long)]
    pub name: String,
    #[arg(long, default_value = "default")]
    pub namespace: String,
    #[arg(long)]
    pub kubeconfig: PathBuf,
    #[arg(long)]
    pub identity: String,
    /// Candidates in this process; only one is known here
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1))]
    pub candidates: u32,
    /// Locks; only one is known here
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1))]
    pub locks: u32,
}

impl Options {
    pub fn read() -> Self {
        Self::parse()
    }
}

/// SIGTERM, from now on.
pub fn terminate() -> anyhow::Result<Signal> {
    Ok(signal(SignalKind::terminate())?)
}

/// Something happened now.
pub fn say(event: &str, identity: &str, holder: Option<&str>) {
    say_at(event, unix_ns(), identity, holder);
}

/// Something happened then. Nobody who listens any more is no reason to stop.
pub fn say_at(event: &str, unix_ns: u128, identity: &str, holder: Option<&str>) {
    let line = json!({
        "event": event, "unix_ns": u64::try_from(unix_ns).unwrap_or(0), "identity": identity,
        "holder": holder, "term": null, "token": null, "reason": null,
    });
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

pub fn unix_ns() -> u128 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |since| since.as_nanos())
}
