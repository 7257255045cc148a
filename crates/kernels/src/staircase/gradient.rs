//! What a learned staircase needs of the way back: the gradient below its clip, and sums of it step by step.
//!
//! Each of the staircase's learned numbers has a gradient that is, on every step, linear in the value; so sums of
//! gradients and of gradients times values, by step, are all that has to be taken from the data.

use crate::Isa;
use crate::simd::{Kernel, Simd};

/// Turns `dy` into the gradient of `x` in place: it passes where `|x| < clip` (and `x > 0` unless `signed`), else it is 0.
/// Adds to `sums[j]` the sums of `c` and of `c·|x|`, `c = dy·sgn(x)`, over those of them with `|x|` in step `j`, that is
/// from `breaks[j - 1]` on and below `breaks[j]`. Returns the sum of `c` at and beyond the clip.
///
/// # Panics
/// The lengths differ, there is not one more of `sums` than of `breaks`, or breaks do not ascend from above 0.
pub fn clipped_sums(
    isa: Isa,
    clip: f32,
    signed: bool,
    breaks: &[f32],
    x: &[f32],
    dy: &mut [f32],
    sums: &mut [[f64; 2]],
) -> f64 {
    assert_eq!(x.len(), dy.len(), "values and gradients");
    assert_eq!(sums.len(), breaks.len() + 1, "a sum for each step");
    assert!(breaks.is_sorted() && breaks.first().is_none_or(|&b| b > 0.0), "breaks ascend from above 0");
    isa.run(Sums { clip, signed, breaks, x, dy, sums })
}

/// Values summed in f32, per lane, before they join the f64 sums.
const PIECE: usize = 4096;
/// Vectors that go through the breaks together, so that one load of a sum serves them all.
const TOGETHER: usize = 4;
/// Breaks of one pass at most: their sums are kept in an array on the stack.
const BREAKS: usize = 64;

struct Sums<'a> {
    clip: f32,
    signed: bool,
    breaks: &'a [f32],
    x: &'a [f32],
    dy: &'a mut [f32],
    sums: &'a mut [[f64; 2]],
}

impl Kernel for Sums<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f64 {
        let Sums { clip, signed, breaks, x, dy, sums } = self;
        let (zero, clip) = (s.splat(0.0), s.splat(clip));
        let mut beyond = 0.0;
        // By break, what lies at or above it; the differences are what lies between.
        let mut above = vec![[0.0f64; 2]; breaks.len() + 1];
        for (x, dy) in x.chunks(PIECE).zip(dy.chunks_mut(PIECE)) {
            let mut reached = [[zero; 2]; BREAKS + 1];
            let mut far = zero;
            let block = TOGETHER * S::LANES;
            for (pass, breaks) in std::iter::once(&breaks[..breaks.len().min(BREAKS)])
                .chain(breaks.get(BREAKS..).into_iter().flat_map(|rest| rest.chunks(BREAKS)))
                .enumerate()
            {
                for (x, dy) in x.chunks(block).zip(dy.chunks_mut(block)) {
                    let (mut sizes, mut gradients, mut products) =
                        ([zero; TOGETHER], [zero; TOGETHER], [zero; TOGETHER]);
                    for i in 0..TOGETHER {
                        let at = (i * S::LANES).min(x.len());
                        let (v, g) = (s.read(&x[at..]), s.read(&dy[at..]));
                        let size = if signed { s.abs(v) } else { s.max(v, zero) };
                        let c = s.select_lt(v, zero, s.sub(zero, g), g);
                        // A value of 0 has no sign; negative ones count where there are signs.
                        let c = s.select_lt(zero, size, c, zero);
                        let inside = s.select_lt(size, clip, c, zero);
                        sizes[i] = size;
                        gradients[i] = inside;
                        products[i] = s.mul(inside, size);
                        if pass == 0 {
                            far = s.add(far, s.sub(c, inside));
                        }
                    }
                    for (&limit, sums) in breaks.iter().zip(&mut reached[1..]) {
                        let limit = s.splat(limit);
                        for i in 0..TOGETHER {
                            sums[0] = s.add(sums[0], s.select_lt(sizes[i], limit, zero, gradients[i]));
                            sums[1] = s.add(sums[1], s.select_lt(sizes[i], limit, zero, products[i]));
                        }
                    }
                    if pass == 0 {
                        for i in 0..TOGETHER {
                            reached[0][0] = s.add(reached[0][0], gradients[i]);
                            reached[0][1] = s.add(reached[0][1], products[i]);
                        }
                    }
                }
                let first = pass * BREAKS;
                for (j, sums) in reached.iter().enumerate().take(breaks.len() + 1) {
                    if j == 0 && pass > 0 {
                        continue;
                    }
                    above[first + j][0] += lanes(s, sums[0]);
                    above[first + j][1] += lanes(s, sums[1]);
                }
                reached = [[zero; 2]; BREAKS + 1];
            }
            // Only now: every pass reads the gradient that came.
            for at in (0..x.len()).step_by(S::LANES) {
                let (v, g) = (s.read(&x[at..]), s.read(&dy[at..]));
                let size = if signed { s.abs(v) } else { s.max(v, zero) };
                let passed = s.select_lt(size, clip, g, zero);
                let passed = if signed { passed } else { s.select_lt(zero, v, passed, zero) };
                s.write(&mut dy[at..], passed);
            }
            beyond += lanes(s, far);
        }
        for (j, sums) in sums.iter_mut().enumerate() {
            let next = above.get(j + 1).copied().unwrap_or_default();
            sums[0] += above[j][0] - next[0];
            sums[1] += above[j][1] - next[1];
        }
        beyond
    }
}

#[inline(always)]
fn lanes<S: Simd>(s: S, v: S::V) -> f64 {
    let mut lanes = [0.0; 16];
    s.write(&mut lanes[..S::LANES], v);
    lanes.iter().map(|&lane| f64::from(lane)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::noise;

    /// One value after the other.
    fn plain(
        clip: f32,
        signed: bool,
        breaks: &[f32],
        x: &[f32],
        dy: &mut [f32],
        sums: &mut [[f64; 2]],
    ) -> f64 {
        let mut beyond = 0.0;
        for (x, dy) in x.iter().zip(dy) {
            let size = if signed { x.abs() } else { x.max(0.0) };
            let sign = if *x < 0.0 { -1.0 } else { 1.0 };
            let c = if size > 0.0 { f64::from(*dy) * sign } else { 0.0 };
            if size >= clip {
                beyond += c;
                *dy = 0.0;
                continue;
            }
            let step = breaks.iter().filter(|&&b| b <= size).count();
            sums[step][0] += c;
            sums[step][1] += c * f64::from(size);
            if !signed && *x <= 0.0 {
                *dy = 0.0;
            }
        }
        beyond
    }

    proptest! {
        #[test]
        fn sums_agree_with_one_value_after_the_other(
            len in 0usize..6000,
            steps in 0usize..80,
            signed: bool,
            seed: u64,
        ) {
            let x = noise(len, seed);
            let breaks: Vec<f32> = (1..=steps).map(|i| i as f32 / (steps + 1) as f32).collect();
            let dy = noise(len, !seed);
            let (mut expected, mut own) = (dy.clone(), vec![[0.0; 2]; steps + 1]);
            let beyond = plain(0.8, signed, &breaks, &x, &mut expected, &mut own);
            for isa in Isa::supported() {
                let (mut found, mut sums) = (dy.clone(), vec![[0.0; 2]; steps + 1]);
                let far = clipped_sums(isa, 0.8, signed, &breaks, &x, &mut found, &mut sums);
                prop_assert_eq!(&found, &expected);
                prop_assert!((far - beyond).abs() < 1e-3);
                for (a, b) in sums.iter().flatten().zip(own.iter().flatten()) {
                    prop_assert!((a - b).abs() < 1e-3, "{sums:?} {own:?}");
                }
            }
        }
    }
}
