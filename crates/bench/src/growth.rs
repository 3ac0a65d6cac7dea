//! What elections cost as they grow: from one standby, or one lock, to a thousand.

use anyhow::Result;

use crate::{
    idle::{self, window},
    locks as many_locks,
    plane::Bench,
    results::Series,
};

const STEPS: [u32; 4] = [1, 10, 100, 1000];

/// More and more standbys for one lock.
pub(crate) async fn candidates(bench: &Bench, seconds: u32) -> Result<Vec<Series>> {
    let mut measured = window("nobody", bench, seconds, &[]).await?;
    for step in STEPS {
        for kind in bench.crowds() {
            let one = idle::crowd(bench, kind, step, seconds).await?;
            measured.extend(one.into_iter().map(|series| series.with(step)));
        }
    }
    Ok(measured)
}

/// More and more locks of one leader.
pub(crate) async fn locks(bench: &Bench, seconds: u32) -> Result<Vec<Series>> {
    let mut measured = window("nobody", bench, seconds, &[]).await?;
    for step in STEPS {
        for kind in bench.crowds() {
            let one = many_locks::many(bench, kind, step, seconds, 0).await?;
            measured.extend(one.into_iter().map(|series| series.with(step)));
        }
    }
    Ok(measured)
}
