//! Networks of depthwise convolutions.

use super::builder::{Builder, Shape};
use lowbit_graph::Graph;

/// Expansion, channels, blocks and first stride of each stage.
const STAGES: [[usize; 4]; 7] = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
];

pub(super) fn v2(seed: u64) -> Graph {
    built("mobilenetv2", 224, 2, 1000, STAGES, seed)
}

/// Strides of 1 in the first layer and the second stage: 4×4 pixels are left of 32×32.
pub(super) fn cifar(seed: u64) -> Graph {
    let mut stages = STAGES;
    stages[1][3] = 1;
    built("mobilenetv2-cifar", 32, 1, 10, stages, seed)
}

/// Inverted residuals: 1×1 to more channels, 3×3 per channel, 1×1 to few, without an activation at the end.
fn built(name: &str, side: usize, first: usize, classes: usize, stages: [[usize; 4]; 7], seed: u64) -> Graph {
    let (mut b, x) = Builder::new(name, [3, side], seed);
    let v = b.conv(x, Shape::new(3, 32, 3, first));
    let mut v = b.relu6(v);
    let mut inputs = 32;
    for [expansion, outputs, blocks, first] in stages {
        for block in 0..blocks {
            let stride = if block == 0 { first } else { 1 };
            let wide = inputs * expansion;
            let mut branch = v;
            if expansion > 1 {
                branch = b.conv(branch, Shape::new(inputs, wide, 1, 1));
                branch = b.relu6(branch);
            }
            branch = b.conv(branch, Shape { groups: wide, ..Shape::new(wide, wide, 3, stride) });
            branch = b.relu6(branch);
            branch = b.conv(branch, Shape { gain: 1.0 / 2f32.sqrt(), ..Shape::new(wide, outputs, 1, 1) });
            v = if inputs == outputs && stride == 1 { b.add(branch, v) } else { branch };
            inputs = outputs;
        }
    }
    v = b.conv(v, Shape::new(inputs, 1280, 1, 1));
    let v = b.relu6(v);
    b.classify(v, 1280, classes)
}
