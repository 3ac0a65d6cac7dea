//! A leader ends in order: from the signal that tells it until the next one leads.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::select_all;
use rand::RngExt as _;
use rustix::process::Signal;

use crate::{
    candidate::{Candidate, Kind, millis},
    plane::Bench,
    results::Series,
};

/// All candidates of one contestant for one lock; one of them leads.
pub(crate) struct Fleet<'a> {
    bench: &'a Bench,
    pub(crate) kind: Kind,
    pub(crate) lock: String,
    pub(crate) leader: Option<Candidate>,
    standbys: Vec<Candidate>,
    started: u32,
}

impl<'a> Fleet<'a> {
    pub(crate) async fn start(
        bench: &'a Bench,
        kind: Kind,
        name: &str,
        standbys: u32,
    ) -> Result<Self> {
        let mut fleet = Self {
            bench,
            kind,
            lock: format!("{name}-{}", kind.name()),
            leader: None,
            standbys: Vec::new(),
            started: 0,
        };
        let mut leader = fleet.next()?;
        leader.leads().await?;
        fleet.leader = Some(leader);
        for _ in 0..standbys {
            fleet.add().await?;
        }
        Ok(fleet)
    }

    fn next(&mut self) -> Result<Candidate> {
        self.started += 1;
        let identity = format!("{}-{}", self.kind.name(), self.started);
        self.bench.candidate(self.kind, &self.lock, &identity)
    }

    /// Another standby, once it knows who leads.
    pub(crate) async fn add(&mut self) -> Result<()> {
        let mut standby = self.next()?;
        standby.stands_by().await?;
        self.standbys.push(standby);
        Ok(())
    }

    /// One of the standbys leads: when, and it is the leader now.
    pub(crate) async fn successor(&mut self) -> Result<i64> {
        let waiting = self
            .standbys
            .iter_mut()
            .map(|standby| Box::pin(standby.leads()));
        let (at, index, others) = select_all(waiting).await;
        drop(others);
        self.leader = Some(self.standbys.swap_remove(index));
        at
    }
}

/// Rounds of all contestants in turns.
pub(crate) async fn measure(
    bench: &Bench,
    name: &str,
    standbys: u32,
    rounds: u32,
) -> Result<Vec<Series>> {
    let mut fleets = Vec::new();
    for kind in bench.contestants() {
        fleets.push((Fleet::start(bench, kind, name, standbys).await?, Vec::new()));
    }
    for _ in 0..rounds {
        for (fleet, values) in &mut fleets {
            values.push(round(fleet).await?);
        }
    }
    let series = |(fleet, values): (Fleet<'_>, Vec<f64>)| {
        Series::of(fleet.kind.name(), "ms", "until the next one leads", values)
    };
    Ok(fleets.into_iter().filter_map(series).collect())
}

async fn round(fleet: &mut Fleet<'_>) -> Result<f64> {
    // Anywhere between two tries of those who try every two seconds.
    let pause = Duration::from_millis(rand::rng().random_range(2000..4000));
    tokio::time::sleep(pause).await;
    let leader = fleet.leader.take().context("nobody leads")?;
    let told = leader.signal(Signal::TERM)?;
    let leads = fleet.successor().await?;
    leader.ended().await?;
    fleet.add().await?;
    Ok(millis(leads - told))
}
