//! What elections cost as they grow: from one standby, or one lock, to a thousand.

use anyhow::Result;

use crate::{
    candidate::Kind,
    idle::{self, window},
    locks as many_locks,
    plane::Bench,
    results::Series,
};

const STEPS: [u32; 4] = [1, 10, 100, 1000];

/// More and more standbys for one lock.
pub(crate) async fn candidates(bench: &Bench, seconds: u32) -> Result<Vec<Series>> {
    grow(bench, seconds, async |kind, step| {
        idle::crowd(bench, kind, step, seconds).await
    })
    .await
}

/// More and more locks of one leader.
pub(crate) async fn locks(bench: &Bench, seconds: u32) -> Result<Vec<Series>> {
    grow(bench, seconds, async |kind, step| {
        many_locks::many(bench, kind, step, seconds, 0).await
    })
    .await
}

/// Each contestant at each step, after a window in which nobody stands.
async fn grow(
    bench: &Bench,
    seconds: u32,
    measure: impl AsyncFn(Kind, u32) -> Result<Vec<Series>>,
) -> Result<Vec<Series>> {
    let mut measured = window("nobody", bench, seconds, &[]).await?;
    for step in STEPS {
        for kind in bench.crowds() {
            let one = measure(kind, step).await?;
            measured.extend(one.into_iter().map(|series| series.with(step)));
        }
    }
    Ok(measured)
}
