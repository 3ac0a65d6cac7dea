//! The protocol's own steps, without any server or network: what a renewal and what a standby's look
//! at it take.

mod scenes;

use criterion::{Criterion, criterion_group, criterion_main};
use scenes::Pair;

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("core");
    let mut pair = Pair::new();
    let before = pair.writes();
    group.bench_function("a renewal", |b| b.iter(|| pair.counted_renewal()));
    assert!(pair.leads() && pair.writes() > before, "it renewed");
    group.bench_function("a standby sees a renewal", |b| {
        b.iter(|| pair.counted_sight());
    });
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
