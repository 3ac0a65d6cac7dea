//! `tenure run` on bad days, on a real control plane.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod chaos;
mod common;

use chaos::{Chaos, FAULTS};
use tenure_harness::TestServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_never_work_at_once_and_somebody_always_does() {
    let Some(server) = TestServer::real_if_any().await.unwrap() else {
        return;
    };
    let mut chaos = Chaos::start(server).await;
    chaos.run(chaos::rounds(FAULTS.len())).await;
}
