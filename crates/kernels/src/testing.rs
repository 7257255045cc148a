//! What the tests of all families share: seeded data, shapes, and closeness.

use std::ops::Range;

use proptest::prelude::*;

use crate::Pool2d;

/// The size of something in a test: its root, where Miri interprets each step.
pub(crate) const fn most(size: usize) -> usize {
    if cfg!(miri) { 1 + size.isqrt() } else { size }
}

/// `len` values in [-1, 1), the same for the same seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Every value within its own tolerance of the wanted one.
#[track_caller]
pub(crate) fn assert_close(
    got: &[f32],
    want: &[f32],
    tolerance: impl Fn(usize) -> f32,
    what: impl std::fmt::Debug,
) {
    assert_eq!(got.len(), want.len(), "{what:?}");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let close = (got - want).abs() <= tolerance(i) || got == want || got.is_nan() && want.is_nan();
        assert!(close, "{what:?}: value {i} is {got}, not {want}");
    }
}

/// `len` bytes, the same for the same seed.
pub(crate) fn bytes(len: usize, seed: u64) -> Vec<u8> {
    noise(len, seed).into_iter().map(|x| (x * 128.0 + 128.0) as u8).collect()
}

/// Poolings of small images with as many channels and taps along each axis as the ranges say.
pub(crate) fn pools(channels: Range<usize>, taps: Range<usize>) -> impl Strategy<Value = Pool2d> {
    let sizes = (1usize..most(12), 1usize..most(12), channels, any::<bool>());
    let window = ([taps.clone(), taps], [1usize..4, 1usize..4], [1usize..3, 1usize..3]);
    (sizes, window, [0usize..3, 0usize..3, 0usize..3, 0usize..3])
        .prop_map(|((in_h, in_w, channels, ceil), (kernel, stride, dilation), pads)| Pool2d {
            in_h,
            in_w,
            channels,
            kernel,
            stride,
            dilation,
            pads,
            ceil,
        })
        .prop_filter("window fits", |pool| pool.check().is_ok())
}
