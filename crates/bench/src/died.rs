//! The command of `tenure run` dies: until another one works.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::RngExt as _;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::{fs, process::Command, time::sleep};

use crate::{
    candidate::{Candidate, Kind, PATIENCE, millis, unix_ns},
    floor::Floor,
    plane::Bench,
    results::Series,
    seen::Seen,
};

const FLOORS: u32 = 3;
/// Says when it began, waits for a word, and dies as if it had been killed.
const COMMAND: &str = r#"
    echo "{\"event\":\"leading\",\"unix_ns\":$(date +%s%N),\"holder\":null}"
    read word < "$0"
    kill -KILL $$
"#;

pub(crate) async fn measure(bench: &Bench, name: &str, rounds: u32) -> Result<Vec<Series>> {
    let mut floor = Floor::start(bench, name).await?;
    let folder = tempfile::tempdir()?;
    let mut leader = Worker::start(bench, &folder, name, 0).await?;
    leader.process.leads().await?;
    let seen = Seen::start(bench, name).await?;
    let (mut to_lock, mut to_work) = (Vec::new(), Vec::new());
    for number in 1..=rounds {
        let mut standby = Worker::start(bench, &folder, name, number).await?;
        // It says nothing before it leads; it stands by in a few milliseconds.
        let pause = Duration::from_millis(rand::rng().random_range(300..1300));
        sleep(pause).await;
        floor.rounds(FLOORS).await?;
        let died = leader.die().await?;
        let works = standby.process.leads().await?;
        let held = seen.of(&standby.process.identity);
        to_lock.push(millis(
            held.context("its Lease was never seen")?.first - died,
        ));
        to_work.push(millis(works - died));
        leader.process.ended().await?;
        leader = standby;
    }
    leader.process.signal(Signal::TERM)?;
    leader.process.ended().await?;
    let mut measured = floor.series();
    let of = |what: &str, values| Series::of("tenure run", "ms", what, values);
    measured.extend(of("from the command's death to the next holder", to_lock));
    measured.extend(of("from the command's death to the next command", to_work));
    Ok(measured)
}

struct Worker {
    process: Candidate,
    word: PathBuf,
}

impl Worker {
    async fn start(bench: &Bench, folder: &TempDir, lock: &str, number: u32) -> Result<Self> {
        let word = folder.path().join(number.to_string());
        let made = Command::new("mkfifo").arg(&word).status().await?;
        ensure!(made.success(), "cannot make {}", word.display());
        let identity = format!("run-{number}");
        let mut command = Command::new(bench.program(Kind::Tenure));
        command
            .args(["run", lock, "-n", "default", "--identity", &identity])
            .arg("--kubeconfig")
            .arg(bench.server.kubeconfig())
            .args(["--", "sh", "-c", COMMAND])
            .arg(&word);
        let process = Candidate::spawn(command, &identity)?;
        Ok(Self { process, word })
    }

    /// Opening ends when the command has opened it for reading.
    async fn die(&self) -> Result<i64> {
        let mut to_write = fs::OpenOptions::new();
        let word = to_write.write(true).open(&self.word);
        let word = tokio::time::timeout(PATIENCE, word).await??;
        let now = unix_ns();
        // Its end is a word too.
        drop(word.into_std().await);
        Ok(now)
    }
}
