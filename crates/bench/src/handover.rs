//! A leader ends in order: from the write that frees the lock until the next one leads.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::{select_all, try_join_all};
use rand::RngExt as _;
use rustix::process::Signal;

use crate::{
    candidate::{Candidate, Kind, millis},
    floor::Floor,
    plane::Bench,
    results::Series,
    usage::Requests,
};

/// Floor rounds for each round of the contestants.
const FLOORS: u32 = 3;
/// Writes that were refused while a leader was replaced: once they have learned how crowded it is, and
/// while they learn.
pub(crate) const REFUSED: &str = "refused writes in a round";
const REFUSED_AT_FIRST: &str = "refused writes in a round, first half";
/// Those who take ten seconds for a round take part in one of so many.
const SLOW: u32 = 10;

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
            lock: format!("{name}-{}", kind.slug()),
            leader: None,
            standbys: Vec::new(),
            started: 0,
        };
        let mut leader = fleet.next()?;
        leader.leads().await?;
        fleet.leader = Some(leader);
        for _ in 0..standbys {
            let standby = fleet.next()?;
            fleet.standbys.push(standby);
        }
        try_join_all(fleet.standbys.iter_mut().map(Candidate::stands_by)).await?;
        Ok(fleet)
    }

    fn next(&mut self) -> Result<Candidate> {
        self.started += 1;
        let identity = format!("{}-{}", self.kind.slug(), self.started);
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

    pub(crate) async fn end(mut self) -> Result<()> {
        // Standbys first, so that nobody takes over.
        let mut all = std::mem::take(&mut self.standbys);
        all.extend(self.leader.take());
        for candidate in &all {
            candidate.signal(Signal::TERM)?;
        }
        try_join_all(all.into_iter().map(Candidate::ended)).await?;
        Ok(())
    }
}

/// What the rounds of one contestant came to.
#[derive(Default)]
pub(crate) struct Times {
    pub(crate) from_release: Vec<f64>,
    from_signal: Vec<f64>,
    conflicts: Vec<f64>,
}

/// Rounds of all contestants in turns, with the floor before each.
pub(crate) async fn measure(
    bench: &Bench,
    name: &str,
    standbys: u32,
    rounds: u32,
) -> Result<Vec<Series>> {
    let mut floor = Floor::start(bench, name).await?;
    let mut fleets = Vec::new();
    let mut kinds = bench.contestants();
    if standbys == 1 {
        kinds.extend(bench.others());
    }
    for kind in kinds {
        let fleet = Fleet::start(bench, kind, name, standbys).await?;
        fleets.push((fleet, Times::default()));
    }
    for number in 0..rounds {
        // Anywhere between two tries of those who try every two seconds.
        let pause = Duration::from_millis(rand::rng().random_range(200..2200));
        tokio::time::sleep(pause).await;
        for (fleet, times) in &mut fleets {
            if fleet.kind.is_slow() && !number.is_multiple_of(SLOW) {
                continue;
            }
            let before = Requests::read(bench).await?;
            floor.rounds(FLOORS).await?;
            round(fleet, times).await?;
            let conflicts = Requests::read(bench).await?.conflicts - before.conflicts;
            times.conflicts.push(conflicts);
        }
        // Each begins as often as it ends.
        fleets.rotate_left(1);
    }
    let mut measured = floor.series();
    fleets.sort_by_key(|(fleet, _)| fleet.kind != Kind::Tenure);
    for (fleet, times) in fleets {
        let of = |unit: &str, what: &str, values| Series::of(fleet.kind.name(), unit, what, values);
        measured.extend(of(
            "ms",
            "from the release to the next leader",
            times.from_release,
        ));
        measured.extend(of(
            "ms",
            "from SIGTERM to the next leader",
            times.from_signal,
        ));
        if standbys > 1 {
            measured.extend(refused(fleet.kind, times.conflicts));
        } else {
            measured.extend(of("writes", REFUSED, times.conflicts));
        }
        fleet.end().await?;
    }
    Ok(measured)
}

/// The refused writes of the rounds before a crowd: the first ones teach how crowded it is (L17).
pub(crate) fn refused(kind: Kind, mut conflicts: Vec<f64>) -> impl Iterator<Item = Series> {
    let learned = conflicts.split_off(conflicts.len() / 2);
    let of = |what, values| Series::of(kind.name(), "writes", what, values);
    [of(REFUSED_AT_FIRST, conflicts), of(REFUSED, learned)]
        .into_iter()
        .flatten()
}

/// The leader ends, another leads, and a new one stands by.
pub(crate) async fn round(fleet: &mut Fleet<'_>, times: &mut Times) -> Result<()> {
    let mut leader = fleet.leader.take().context("nobody leads")?;
    let told = leader.signal(Signal::TERM)?;
    let leads = fleet.successor().await?;
    let released = leader.released().await?;
    leader.ended().await?;
    fleet.add().await?;
    times.from_release.push(millis(leads - released));
    times.from_signal.push(millis(leads - told));
    Ok(())
}
