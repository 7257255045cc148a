//! Random crops and flips of samples, decided by seed, epoch and sample alone.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// What may happen to an image before the network sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// The image moves by up to so many pixels each way; what comes in from outside is 0, the mean colour of
    /// normalized images.
    pub crop: usize,
    /// It is mirrored left to right every other time.
    pub flip: bool,
}

impl Augment {
    /// Writes the augmented form of a channels-last image `[h, w, c]` into `out`.
    pub fn apply(
        &self,
        [h, w, c]: [usize; 3],
        image: &[f32],
        seed: u64,
        pass: u64,
        sample: u64,
        out: &mut [f32],
    ) {
        if *self == Augment::default() {
            return out.copy_from_slice(image);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // 16 words per sample and pass are more than are drawn.
        rng.set_stream(pass);
        rng.set_word_pos(u128::from(sample) * 16);
        let mut within = |n: usize| (rng.next_u64() % n.max(1) as u64) as isize;
        let reach = self.crop as isize;
        let [down, right] = [0; 2].map(|_: i32| within(2 * self.crop + 1) - reach);
        let mirrored = self.flip && within(2) == 1;
        for y in 0..h {
            let row = &mut out[y * w * c..(y + 1) * w * c];
            let from_y = y as isize + down;
            if from_y < 0 || from_y >= h as isize {
                row.fill(0.0);
                continue;
            }
            let source = &image[from_y as usize * w * c..][..w * c];
            for x in 0..w {
                let from_x = (if mirrored { w - 1 - x } else { x }) as isize + right;
                let pixel = &mut row[x * c..(x + 1) * c];
                if from_x < 0 || from_x >= w as isize {
                    pixel.fill(0.0);
                } else {
                    pixel.copy_from_slice(&source[from_x as usize * c..][..c]);
                }
            }
        }
    }
}

/// The order in which a pass visits `n` samples.
pub fn order(n: usize, seed: u64, pass: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // The other half of the streams belongs to the augmentation.
    rng.set_stream(pass | 1 << 63);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        // The bias of the remainder is below 2^-32.
        order.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4×4 pixels of two channels, each pixel's values its place + 1, and that negated.
    fn image() -> Vec<f32> {
        (1..=16).flat_map(|i| [i as f32, -(i as f32)]).collect()
    }

    #[test]
    fn nothing_asked_changes_nothing() {
        let mut out = vec![9.0; 32];
        Augment::default().apply([4, 4, 2], &image(), 1, 2, 3, &mut out);
        assert_eq!(out, image());
    }

    #[test]
    fn what_is_seen_is_a_window_of_the_padded_image_or_its_mirror() {
        let augment = Augment { crop: 1, flip: true };
        let mut kinds = std::collections::BTreeSet::new();
        for sample in 0..200 {
            let mut out = vec![9.0; 32];
            augment.apply([4, 4, 2], &image(), 1, 0, sample, &mut out);
            let found = (0..2).flat_map(|m| (-1..=1).flat_map(move |d| (-1..=1).map(move |r| (m, d, r))));
            let same = found.filter(|&(mirrored, down, right)| {
                (0..16).all(|at: isize| {
                    let (y, x) = (at / 4, at % 4);
                    let (y, x) = (y + down, if mirrored == 1 { 3 - x } else { x } + right);
                    let inside = (0..4).contains(&y) && (0..4).contains(&x);
                    let expected = if inside { (4 * y + x + 1) as f32 } else { 0.0 };
                    out[2 * at as usize] == expected && out[2 * at as usize + 1] == -expected
                })
            });
            kinds.extend(same);
        }
        assert_eq!(kinds.len(), 18, "all of two times nine");
    }

    #[test]
    fn an_order_visits_all_and_passes_differ() {
        let mut first = order(100, 4, 0);
        assert_ne!(first, order(100, 4, 1));
        assert_eq!(first, order(100, 4, 0));
        first.sort_unstable();
        assert_eq!(first, (0..100).collect::<Vec<_>>());
    }
}
