//! How many calls of a set may be under way at once, so that a thousand renewals do not open a
//! thousand connections.
//!
//! The core takes the time that validity counts from before a call waits here (L1), so waiting only
//! makes validity shorter. The call's limit covers it (L16).

use std::{future::Future, sync::Arc, time::Duration};

use tenure_core::Outcome;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

/// Enough for a thousand renewals every two seconds at a round trip of 100 ms.
const WRITES: usize = 64;
/// Reads have places of their own: a thousand of them, after an outage, keep no renewal waiting.
const READS: usize = 16;

/// The places. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            reads: Arc::new(Semaphore::new(READS)),
            writes: Arc::new(Semaphore::new(WRITES)),
        }
    }

    /// Make the call once there is a place, within what then is left of `limit`.
    pub(crate) async fn pass<T, F>(
        self,
        write: bool,
        limit: Duration,
        call: impl FnOnce(Duration) -> F,
    ) -> Outcome<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let until = Instant::now() + limit;
        let places = if write { &self.writes } else { &self.reads };
        match timeout_at(until, places.acquire()).await {
            Ok(_place) => call(until.saturating_duration_since(Instant::now())).await,
            // It never left.
            Err(_) => Outcome::Refused(
                format!(
                    "not sent: {} other calls of the same set were under way for {limit:?}; the API \
                     server is slow, or the set is too large for its retry period",
                    if write { WRITES } else { READS }
                )
                .into(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn l16_waiting_for_a_place_is_part_of_the_calls_limit() {
        let gate = Gate::new();
        let held = Arc::clone(&gate.writes)
            .acquire_many_owned(u32::try_from(WRITES).unwrap())
            .await
            .unwrap();
        let began = Instant::now();
        let call = gate.clone().pass(true, LIMIT, |left| async move {
            assert_eq!(left, Duration::from_millis(500));
            Outcome::Done(())
        });
        let freed = async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            drop(held);
        };
        let (outcome, ()) = tokio::join!(call, freed);
        assert!(matches!(outcome, Outcome::Done(())));
        assert_eq!(began.elapsed(), Duration::from_millis(1500));
    }

    #[tokio::test(start_paused = true)]
    async fn l6_a_call_that_found_no_place_was_certainly_not_made() {
        let gate = Gate::new();
        let _held = gate.writes.acquire_many(64).await.unwrap();
        let call = gate.clone().pass(true, LIMIT, |_| async {
            panic!("there was no place");
            #[allow(unreachable_code)]
            Outcome::Done(())
        });
        let Outcome::Refused(text) = call.await else {
            panic!("not refused")
        };
        assert!(text.contains("not sent"), "{text}");
        let read = gate
            .clone()
            .pass(false, LIMIT, |_| async { Outcome::Done(5) });
        assert!(matches!(read.await, Outcome::Done(5)), "reads go on");
    }
}
