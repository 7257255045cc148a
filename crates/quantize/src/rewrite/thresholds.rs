//! How far the codes of each value reach (HAGO, 3.7).

use lowbit_graph::ValueId;
use std::collections::HashMap;

/// Thresholds by value: one number, or one per channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds(HashMap<ValueId, Vec<f64>>);

impl Thresholds {
    /// The threshold of a value.
    pub fn of(&self, value: ValueId) -> Option<&[f64]> {
        self.0.get(&value).map(Vec::as_slice)
    }

    /// Sets it.
    pub fn set(&mut self, value: ValueId, threshold: Vec<f64>) {
        self.0.insert(value, threshold);
    }

    /// Every threshold rounded up to a power of two, so that scales are a shift apart.
    pub fn to_powers_of_two(&mut self) {
        self.0.values_mut().flatten().for_each(|t| *t = power_of_two(*t));
    }
}

/// The larger magnitude of the mean lowest and the mean highest value of the batches: outliers of single batches count less.
pub fn average_range<'a>(batches: impl IntoIterator<Item = &'a [f32]>) -> f64 {
    let (mut low, mut high, mut count) = (0.0, 0.0, 0usize);
    for batch in batches {
        low += f64::from(batch.iter().copied().fold(f32::INFINITY, f32::min));
        high += f64::from(batch.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        count += 1;
    }
    let mean = |sum: f64| (sum / count.max(1) as f64).abs();
    mean(low).max(mean(high))
}

/// The least power of two that is not below `threshold`; of what is not positive, itself.
pub fn power_of_two(threshold: f64) -> f64 {
    if threshold > 0.0 { libm::exp2(libm::log2(threshold).ceil()) } else { threshold }
}

/// Bins of the histogram that [`divergence_range`] reads: from −max to max.
const BINS: usize = 8001;
/// Levels that its central bins are merged into.
const LEVELS: usize = 255;
/// A little everywhere, so that an empty bin costs much but not infinity.
const SMOOTH: f64 = 1e-4;

/// The threshold under which 255 levels tell most of the distribution (least Kullback-Leibler divergence), by 8,001 bins.
/// `None` without values, or where all are zero.
pub fn divergence_range(values: &[f32]) -> Option<f64> {
    let most = values.iter().fold(0f32, |m, x| m.max(x.abs()));
    if !(most > 0.0 && most.is_finite()) {
        return None;
    }
    let (most, middle) = (f64::from(most), BINS / 2);
    let width = 2.0 * most / BINS as f64;
    let mut counts = vec![0.0; BINS];
    for &x in values {
        let bin = ((f64::from(x) + most) / width) as usize;
        counts[bin.min(BINS - 1)] += 1.0;
    }
    let scored = (LEVELS / 2..=middle).map(|i| (divergence(&counts, middle, i), i));
    let (_, i) = scored.min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some((middle + i + 1) as f64 * width - most)
}

/// Divergence of the central `2i + 1` bins, with the tails folded into their ends, from 255 levels of them.
fn divergence(counts: &[f64], middle: usize, i: usize) -> f64 {
    let (from, to) = (middle - i, middle + i + 1);
    let inside = &counts[from..to];
    let mut reference = inside.to_vec();
    reference[0] += counts[..from].iter().sum::<f64>();
    *reference.last_mut().expect("not empty") += counts[to..].iter().sum::<f64>();
    let merge = reference.len() / LEVELS;
    let mut spread = vec![0.0; reference.len()];
    for level in 0..LEVELS {
        let end = if level + 1 == LEVELS { reference.len() } else { (level + 1) * merge };
        let bins = level * merge..end;
        let filled = inside[bins.clone()].iter().filter(|&&n| n > 0.0).count();
        let share = inside[bins.clone()].iter().sum::<f64>() / filled.max(1) as f64;
        for bin in bins.filter(|&bin| inside[bin] > 0.0) {
            spread[bin] = share;
        }
    }
    let (total_p, total_q) = (reference.iter().sum::<f64>(), spread.iter().sum::<f64>());
    if total_q == 0.0 {
        return f64::INFINITY;
    }
    let pairs = reference.iter().zip(&spread).map(|(p, q)| (p / total_p + SMOOTH, q / total_q + SMOOTH));
    pairs.map(|(p, q)| p * libm::log(p / q)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    #[test]
    fn thresholds_are_those_of_the_worked_example() {
        let batches: [&[f32]; 2] = [&[-1.0, 0.2, 3.0], &[-2.0, 0.1, 1.0]];
        assert_eq!(average_range(batches), 2.0);
        let rounded = [2.632_871, 0.222_048, 4.590_382].map(power_of_two);
        assert_eq!(rounded, [4.0, 0.25, 8.0]);
        assert_eq!([power_of_two(2.0), power_of_two(0.0)], [2.0, 0.0]);
    }

    #[test]
    fn divergence_cuts_the_tail_of_a_bell() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut unit = || (rng.next_u64() >> 11) as f32 / (1u64 << 53) as f32;
        // Twelve uniform numbers make a bell of variance one.
        let values: Vec<f32> = (0..20_000).map(|_| (0..12).map(|_| unit()).sum::<f32>() - 6.0).collect();
        let most = values.iter().fold(0f32, |m, x| m.max(x.abs()));
        let threshold = divergence_range(&values).unwrap();
        assert!(threshold > 1.0 && threshold < f64::from(most), "{threshold} {most}");
        assert_eq!((divergence_range(&[0.0; 4]), divergence_range(&[])), (None, None));
    }
}
