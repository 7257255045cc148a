//! Sums over the rows of channels-last data, per channel: what calibration measures of every edge of a network.
//!
//! Sums are f32 and meant for short blocks of rows; the caller adds blocks up in f64.

pub mod reference;

use crate::Isa;
use crate::simd::{Kernel, Simd};

/// Adds the rows `x: [rows, channels]` to `sum`, and widens `min` and `max`, each `[channels]`.
///
/// # Panics
/// The lengths do not fit together.
pub fn extremes(isa: Isa, x: &[f32], [min, max, sum]: [&mut [f32]; 3]) {
    let channels = sum.len();
    assert!(channels > 0 && x.len().is_multiple_of(channels), "{channels} channels for {} values", x.len());
    assert_eq!([min.len(), max.len()], [channels; 2], "one extreme per channel");
    isa.run(Extremes { x, min, max, sum });
}

/// Adds `|x − mean|`, `(x − mean)²` (with the channel's mean) and `|x − centre|` of the rows `x: [rows, channels]` to
/// the three sums, each `[channels]`.
///
/// # Panics
/// The lengths do not fit together.
pub fn deviations(isa: Isa, x: &[f32], mean: &[f32], centre: f32, sums: [&mut [f32]; 3]) {
    let channels = mean.len();
    assert!(channels > 0 && x.len().is_multiple_of(channels), "{channels} channels for {} values", x.len());
    assert!(sums.iter().all(|s| s.len() == channels), "one sum per channel");
    isa.run(Deviations { x, mean, centre, sums });
}

/// Interleaved tables of [`histogram`]: neighbours count in different ones, so that runs of equal values (zeros after a
/// ReLU) do not wait for one another's store.
pub const TABLES: usize = 4;

/// Counts `floor(x · scale)` of each value, held to `first..first + bins` (NaN counts in the first bin).
///
/// `counts: [TABLES, bins]` is added to; a bin's count is the sum over the tables. `scale` is a power of two, so the
/// product is exact.
///
/// # Panics
/// `counts` is empty or not a multiple of [`TABLES`] long, or a bin is beyond ±2^23.
pub fn histogram(isa: Isa, x: &[f32], scale: f32, first: i32, counts: &mut [u32]) {
    let bins = counts.len() / TABLES;
    assert!(bins > 0 && counts.len() == bins * TABLES, "{} counts", counts.len());
    assert!(first.unsigned_abs() as usize + bins < 1 << 23, "bins {first}..+{bins}");
    isa.run(Bins { x, scale, first, bins, counts });
}

struct Bins<'a> {
    x: &'a [f32],
    scale: f32,
    first: i32,
    bins: usize,
    counts: &'a mut [u32],
}

impl Kernel for Bins<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (scale, one) = (s.splat(self.scale), s.splat(1.0));
        let (lo, hi) = (s.splat(self.first as f32), s.splat((self.first + self.bins as i32 - 1) as f32));
        let mut floors = [0f32; 64];
        let floors = &mut floors[..S::LANES];
        for (turn, x) in self.x.chunks(S::LANES).enumerate() {
            let v = s.mul(s.read(x), scale);
            let rounded = s.round(v);
            let floor = s.select_lt(v, rounded, s.sub(rounded, one), rounded);
            // `max` gives its second operand where the first is NaN.
            s.write(floors, s.sub(s.min(s.max(floor, lo), hi), lo));
            for (i, floor) in floors[..x.len()].iter().enumerate() {
                // SAFETY: the value was just held to 0..=bins - 1, so it is finite and fits.
                let bin = unsafe { floor.to_int_unchecked::<u32>() } as usize;
                self.counts[(turn + i) % TABLES * self.bins + bin] += 1;
            }
        }
    }
}

struct Extremes<'a> {
    x: &'a [f32],
    min: &'a mut [f32],
    max: &'a mut [f32],
    sum: &'a mut [f32],
}

impl Kernel for Extremes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let channels = self.sum.len();
        for first in (0..channels).step_by(S::LANES) {
            let lanes = S::LANES.min(channels - first);
            let mut min = s.read(&self.min[first..first + lanes]);
            let mut max = s.read(&self.max[first..first + lanes]);
            let mut sum = s.read(&self.sum[first..first + lanes]);
            for row in self.x.chunks_exact(channels) {
                let v = s.read(&row[first..first + lanes]);
                // The second operand wins over NaN, so a NaN does not hide the extremes seen.
                min = s.min(v, min);
                max = s.max(v, max);
                sum = s.add(sum, v);
            }
            s.write(&mut self.min[first..first + lanes], min);
            s.write(&mut self.max[first..first + lanes], max);
            s.write(&mut self.sum[first..first + lanes], sum);
        }
    }
}

struct Deviations<'a> {
    x: &'a [f32],
    mean: &'a [f32],
    centre: f32,
    sums: [&'a mut [f32]; 3],
}

impl Kernel for Deviations<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let [absolute, square, around] = self.sums;
        let channels = self.mean.len();
        let centre = s.splat(self.centre);
        for first in (0..channels).step_by(S::LANES) {
            let lanes = S::LANES.min(channels - first);
            let mean = s.read(&self.mean[first..first + lanes]);
            let mut sums = [
                s.read(&absolute[first..first + lanes]),
                s.read(&square[first..first + lanes]),
                s.read(&around[first..first + lanes]),
            ];
            for row in self.x.chunks_exact(channels) {
                let v = s.read(&row[first..first + lanes]);
                let d = s.sub(v, mean);
                sums[0] = s.add(sums[0], s.abs(d));
                sums[1] = s.fma(d, d, sums[1]);
                sums[2] = s.add(sums[2], s.abs(s.sub(v, centre)));
            }
            s.write(&mut absolute[first..first + lanes], sums[0]);
            s.write(&mut square[first..first + lanes], sums[1]);
            s.write(&mut around[first..first + lanes], sums[2]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn histograms_are_the_same_on_every_instruction_set(
            x in prop::collection::vec(-9.0f32..9.0, 1..300),
            exponent in -3i32..4,
        ) {
            let scale = 2f32.powi(exponent);
            for isa in Isa::supported() {
                let mut counts = vec![0; 40 * TABLES];
                histogram(isa, &x, scale, -20, &mut counts);
                let found: Vec<u32> = (0..40).map(|bin| (0..TABLES).map(|t| counts[t * 40 + bin]).sum()).collect();
                prop_assert_eq!(&found, &reference::histogram(&x, scale, -20, 40), "{}", isa.name());
            }
        }

        #[test]
        fn every_instruction_set_agrees_with_the_plain_loops(
            channels in 1usize..40,
            rows in 1usize..20,
            seed in prop::collection::vec(-8.0f32..8.0, 1..800),
        ) {
            let x: Vec<f32> = seed.iter().cycle().take(rows * channels).copied().collect();
            let mean: Vec<f32> = (0..channels).map(|c| c as f32 / 7.0 - 1.0).collect();
            for isa in Isa::supported() {
                let mut found = [vec![f32::INFINITY; channels], vec![f32::NEG_INFINITY; channels], vec![0.0; channels]];
                let mut expected = found.clone();
                let [a, b, c] = &mut found;
                extremes(isa, &x, [a, b, c]);
                let [a, b, c] = &mut expected;
                reference::extremes(&x, [a, b, c]);
                prop_assert_eq!(&found[..2], &expected[..2]);
                let mut sums = [vec![0.5; channels], vec![0.25; channels], vec![0.0; channels]];
                let mut plain = sums.clone();
                let [a, b, c] = &mut sums;
                deviations(isa, &x, &mean, 0.3, [a, b, c]);
                let [a, b, c] = &mut plain;
                reference::deviations(&x, &mean, 0.3, [a, b, c]);
                for (f, e) in found[2..].iter().chain(&sums).flatten().zip(expected[2..].iter().chain(&plain).flatten()) {
                    prop_assert!((f - e).abs() <= 1e-4 * (1.0 + e.abs()), "{} {} {}", isa.name(), f, e);
                }
            }
        }
    }
}
