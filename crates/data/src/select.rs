//! Which samples to read: the first of a seeded shuffle, visited in storage order.
//!
//! The shuffle is never written out. Forward Fisher–Yates settles position `i` at step `i`, so the first `k` places
//! need `k` steps and a map of what was displaced: memory follows `skip + limit`, not the number of samples.

use std::collections::HashMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Ascending sample indices.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Selection {
    /// Exactly these.
    Only(Vec<usize>),
    /// All below `samples` but these.
    AllBut { samples: usize, skipped: Vec<usize> },
}

impl Selection {
    /// Places `skip..skip + limit` of the shuffle of `0..samples` that belongs to `seed`; no `limit` means all
    /// that follow. Choices with the same seed and adjoining places are disjoint.
    pub(crate) fn new(samples: usize, skip: usize, limit: Option<usize>, seed: u64) -> Selection {
        let skip = skip.min(samples);
        match limit {
            Some(limit) if limit < samples - skip => {
                let mut chosen = shuffled_head(samples, skip + limit, seed).split_off(skip);
                chosen.sort_unstable();
                Selection::Only(chosen)
            }
            _ => {
                let mut skipped = shuffled_head(samples, skip, seed);
                skipped.sort_unstable();
                Selection::AllBut { samples, skipped }
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Selection::Only(chosen) => chosen.len(),
            Selection::AllBut { samples, skipped } => samples - skipped.len(),
        }
    }

    /// The indices, ascending.
    pub(crate) fn into_iter(self) -> Box<dyn Iterator<Item = usize> + Send> {
        match self {
            Selection::Only(chosen) => Box::new(chosen.into_iter()),
            Selection::AllBut { samples, skipped } => {
                let mut skipped = skipped.into_iter().peekable();
                Box::new((0..samples).filter(move |&index| skipped.next_if_eq(&index).is_none()))
            }
        }
    }
}

/// The first `count` places of the shuffle of `0..samples`; `count` is at most `samples`.
fn shuffled_head(samples: usize, count: usize, seed: u64) -> Vec<usize> {
    // Spelled out instead of `seed_from_u64`, whose expansion may change between versions of the crate.
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut random = ChaCha8Rng::from_seed(key);
    let mut displaced = HashMap::new();
    (0..count)
        .map(|place| {
            let other = place + below(&mut random, (samples - place) as u64) as usize;
            let here = displaced.get(&place).copied().unwrap_or(place);
            displaced.insert(other, here).unwrap_or(other)
        })
        .collect()
}

/// Uniform in `0..bound` by multiply and shift, rejecting the few draws that would favour small results.
fn below(random: &mut ChaCha8Rng, bound: u64) -> u64 {
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let wide = u128::from(random.next_u64()) * u128::from(bound);
        if wide as u64 >= threshold {
            return (wide >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(samples: usize, skip: usize, limit: Option<usize>, seed: u64) -> Vec<usize> {
        let selection = Selection::new(samples, skip, limit, seed);
        let expected = selection.len();
        let indices: Vec<_> = selection.into_iter().collect();
        assert_eq!(indices.len(), expected);
        assert!(indices.is_sorted_by(|a, b| a < b), "storage order, none twice");
        indices
    }

    #[test]
    fn no_limit_is_every_sample() {
        assert_eq!(chosen(5, 0, None, 7), [0, 1, 2, 3, 4]);
        assert_eq!(chosen(5, 0, Some(9), 7), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn adjoining_choices_of_one_seed_are_disjoint_and_cover() {
        let (calibration, held_out) = (chosen(100, 0, Some(30), 3), chosen(100, 30, None, 3));
        let mut both: Vec<_> = calibration.iter().chain(&held_out).copied().collect();
        both.sort_unstable();
        assert_eq!(both, (0..100).collect::<Vec<_>>());
        let part = chosen(100, 30, Some(20), 3);
        assert!(part.iter().all(|index| held_out.contains(index)));
    }

    #[test]
    fn a_larger_limit_adds_samples_and_keeps_the_others() {
        let (few, many) = (chosen(1000, 0, Some(10), 1), chosen(1000, 0, Some(20), 1));
        assert!(few.iter().all(|index| many.contains(index)));
    }

    #[test]
    fn the_choice_is_the_same_on_every_machine() {
        assert_eq!(shuffled_head(10_000, 6, 7), [7641, 4659, 58, 3015, 3863, 3369]);
    }

    #[test]
    fn every_sample_is_chosen_about_equally_often() {
        let mut count = [0; 10];
        (0..2000)
            .for_each(|seed| chosen(10, 0, Some(3), seed).into_iter().for_each(|index| count[index] += 1));
        assert!(count.iter().all(|n| (500..700).contains(n)), "600 expected each: {count:?}");
    }
}
