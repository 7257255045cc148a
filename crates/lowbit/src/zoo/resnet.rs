//! Residual networks.

use super::builder::{Builder, Shape};
use lowbit_graph::{Graph, ValueId};

/// Deviation of the last weights of a branch, relative to others: sums of branches then stay in reach.
const BRANCH: f32 = 0.5;

/// Three stages of some blocks of two 3×3 convolutions; where the size halves, a 1×1 convolution on the way around.
fn cifar(name: &str, blocks: usize, seed: u64) -> Graph {
    let (mut b, x) = Builder::new(name, [3, 32], seed);
    let v = b.conv(x, Shape::new(3, 16, 3, 1));
    let v = b.relu(v);
    let v = basic(&mut b, v, &[16, 32, 64], blocks);
    b.classify(v, 64, 10)
}

pub(super) fn resnet20(seed: u64) -> Graph {
    cifar("resnet20", 3, seed)
}

pub(super) fn resnet32(seed: u64) -> Graph {
    cifar("resnet32", 5, seed)
}

pub(super) fn resnet56(seed: u64) -> Graph {
    cifar("resnet56", 9, seed)
}

/// Four stages of two blocks of two 3×3 convolutions.
pub(super) fn resnet18(seed: u64) -> Graph {
    let (mut b, v) = begun("resnet18", seed);
    let v = basic(&mut b, v, &[64, 128, 256, 512], 2);
    b.classify(v, 512, 1000)
}

/// Four stages of bottlenecks, 1×1, 3×3, 1×1.
pub(super) fn resnet50(seed: u64) -> Graph {
    let (mut b, mut v) = begun("resnet50", seed);
    let mut inputs = 64;
    for (stage, blocks) in [3, 4, 6, 3].into_iter().enumerate() {
        let narrow = 64 << stage;
        let outputs = 4 * narrow;
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let branch = b.conv(v, Shape::new(inputs, narrow, 1, 1));
            let branch = b.relu(branch);
            let branch = b.conv(branch, Shape::new(narrow, narrow, 3, stride));
            let branch = b.relu(branch);
            let branch = b.conv(branch, Shape { gain: BRANCH, ..Shape::new(narrow, outputs, 1, 1) });
            v = joined(&mut b, v, branch, [inputs, outputs, stride]);
            inputs = outputs;
        }
    }
    b.classify(v, inputs, 1000)
}

/// Stages of `blocks` blocks of two 3×3 convolutions, one stage per width; `v` has the first one's.
fn basic(b: &mut Builder, mut v: ValueId, widths: &[usize], blocks: usize) -> ValueId {
    let mut inputs = widths[0];
    for (stage, outputs) in widths.iter().copied().enumerate() {
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let branch = b.conv(v, Shape::new(inputs, outputs, 3, stride));
            let branch = b.relu(branch);
            let branch = b.conv(branch, Shape { gain: BRANCH, ..Shape::new(outputs, outputs, 3, 1) });
            v = joined(b, v, branch, [inputs, outputs, stride]);
            inputs = outputs;
        }
    }
    v
}

/// The beginning of those for 224×224 images: 7×7 and a maximum.
fn begun(name: &str, seed: u64) -> (Builder, ValueId) {
    let (mut b, x) = Builder::new(name, [3, 224], seed);
    let v = b.conv(x, Shape::new(3, 64, 7, 2));
    let v = b.relu(v);
    let v = b.max_pool(v, 3, 1);
    (b, v)
}

/// The branch added to what it branched from, brought to its shape where that differs.
fn joined(b: &mut Builder, v: ValueId, branch: ValueId, [inputs, outputs, stride]: [usize; 3]) -> ValueId {
    let around = if inputs == outputs && stride == 1 {
        v
    } else {
        b.conv(v, Shape { gain: 1.0 / 2f32.sqrt(), ..Shape::new(inputs, outputs, 1, stride) })
    };
    let sum = b.add(branch, around);
    b.relu(sum)
}
