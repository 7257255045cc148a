//! Random batches of calibration samples.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Draws batches without repetition, each from all samples.
pub(super) struct Draw {
    rng: ChaCha8Rng,
    order: Vec<usize>,
}

impl Draw {
    /// From `samples` samples; the stream depends on the seed, the phase and the block alone.
    pub(super) fn new(seed: u64, phase: u64, block: usize, samples: usize) -> Draw {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(phase << 32 | block as u64);
        Draw { rng, order: (0..samples).collect() }
    }

    /// The next `batch` samples (at most all).
    pub(super) fn next(&mut self, batch: usize) -> &[usize] {
        let n = self.order.len();
        let batch = batch.min(n);
        for i in 0..batch {
            // The bias of the remainder is below 2^-32.
            let j = i + (self.rng.next_u64() % (n - i) as u64) as usize;
            self.order.swap(i, j);
        }
        &self.order[..batch]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_repeats_no_sample_and_batches_differ() {
        let mut draw = Draw::new(7, 1, 2, 10);
        let first = draw.next(4).to_vec();
        let mut sorted = first.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 4);
        assert_ne!(draw.next(4), first);
        assert_eq!(Draw::new(7, 1, 2, 10).next(4), first);
        assert_ne!(Draw::new(7, 1, 3, 10).next(4), first);
        assert_eq!(draw.next(99).len(), 10);
    }
}
