//! One iteration of block reconstruction (forward, loss, backward, Adam) on the blocks of ResNet-20, batch 32.

#[path = "../examples/block_step.rs"]
#[allow(dead_code, reason = "the example's own entry")]
mod example;

use criterion::{Criterion, criterion_group, criterion_main};

fn block_step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("brecq/block step");
    for [channels, size] in [[16, 32], [32, 16], [64, 8]] {
        // Longer than any measurement: the regulariser must not run past its schedule.
        let mut block = example::block(channels, size, 1_000_000).expect("the block compiles");
        let name = format!("{channels}x{size}x{size}");
        group.bench_function(name, |b| b.iter(|| block.step().expect("a step")));
    }
    group.finish();
}

criterion_group!(benches, block_step);
criterion_main!(benches);
