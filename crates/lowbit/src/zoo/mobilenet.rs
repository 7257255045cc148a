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

/// Inverted residuals: 1×1 to more channels, 3×3 per channel, 1×1 to few, without an activation at the end.
pub(super) fn v2(seed: u64) -> Graph {
    let (mut b, x) = Builder::new("mobilenetv2", 224, seed);
    let v = b.conv(x, Shape::new(3, 32, 3, 2));
    let mut v = b.relu6(v);
    let mut inputs = 32;
    for [expansion, outputs, blocks, first] in STAGES {
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
    b.classify(v, 1280, 1000)
}
