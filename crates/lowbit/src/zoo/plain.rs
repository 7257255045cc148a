//! Networks without residual additions.

use super::builder::{Builder, Shape};
use lowbit_graph::Graph;

/// Three convolutions for digits of 8×8 pixels.
pub(super) fn lenet_digits(seed: u64) -> Graph {
    let (mut b, x) = Builder::new("lenet-digits", [1, 8], seed);
    let mut v = x;
    for (inputs, outputs, halve) in [(1, 16, false), (16, 32, true), (32, 64, true)] {
        v = b.conv(v, Shape::new(inputs, outputs, 3, 1));
        v = b.relu(v);
        if halve {
            v = b.max_pool(v, 2, 0);
        }
    }
    b.classify(v, 64, 10)
}

/// Six convolutions, two fully connected layers and the scores, as the paper on stochastic quantization has it.
pub(super) fn vgg9(seed: u64) -> Graph {
    let (mut b, x) = Builder::new("vgg9", [3, 32], seed);
    let (mut v, mut inputs) = (x, 3);
    for outputs in [64, 128, 256] {
        for _ in 0..2 {
            v = b.conv(v, Shape::new(inputs, outputs, 3, 1));
            v = b.relu(v);
            inputs = outputs;
        }
        v = b.max_pool(v, 2, 0);
        v = b.dropout(v, 0.25);
    }
    let v = b.flat(v);
    let v = b.dense(v, 256 * 4 * 4, 512);
    let v = b.dense(v, 512, 512);
    b.scores(v, 512, 10)
}

/// Five convolutions and three fully connected layers, normalized.
pub(super) fn alexnet_bn(seed: u64) -> Graph {
    let (mut b, x) = Builder::new("alexnet-bn", [3, 224], seed);
    let (mut v, mut inputs) = (x, 3);
    for (outputs, kernel, stride, pool) in
        [(96, 11, 4, true), (256, 5, 1, true), (384, 3, 1, false), (384, 3, 1, false), (256, 3, 1, true)]
    {
        v = b.conv(v, Shape::new(inputs, outputs, kernel, stride));
        v = b.relu(v);
        if pool {
            v = b.max_pool(v, 3, 0);
        }
        inputs = outputs;
    }
    let v = b.flat(v);
    let v = b.dense(v, 256 * 6 * 6, 4096);
    let v = b.dense(v, 4096, 4096);
    b.scores(v, 4096, 1000)
}
