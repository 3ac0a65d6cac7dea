//! `is_leading()` beside one reading of the clock that it asks.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use tenure::{ContextInfo, LeaderElection};
use tenure_harness::TestServer;

fn is_leading(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    // A leadership as programs have it: on the machine's clock, renewed by a task of its own.
    let leadership = runtime.block_on(async {
        let server = TestServer::embedded().await.expect("a server");
        let namespace = server.namespace("bench").await.expect("a namespace");
        let election = LeaderElection::lease_lock("bench")
            .build(server.config(), ContextInfo::outside(namespace, "bench"))
            .expect("an election");
        let leadership = election.acquire().await.expect("leadership");
        (leadership, election, server)
    });
    let handle = leadership.0.handle();
    let mut group = criterion.benchmark_group("asking");
    group.measurement_time(Duration::from_secs(3));
    group.bench_function("clock_gettime(CLOCK_BOOTTIME)", |b| {
        b.iter(|| black_box(clock_gettime(ClockId::Boottime)));
    });
    group.bench_function("is_leading", |b| {
        b.iter(|| black_box(black_box(&handle).is_leading()));
    });
    group.finish();
    assert!(handle.is_leading(), "it led all the while");
    runtime.block_on(async { leadership.0.release().await });
}

criterion_group!(benches, is_leading);
criterion_main!(benches);
