//! Dropout: which elements are zero is a function of the seed, the step and the element's place in the batch, so that
//! the way back draws the same, and neither chunks nor threads matter.

/// Zeros about `ratio` of the elements and divides the others by `1 - ratio`.
///
/// `stream` names the step, and the first element's place.
pub(super) fn drop(ratio: f32, seed: u64, [step, first]: [u64; 2], values: &mut [f32]) {
    let (key, scale) = (mixed(seed ^ mixed(step)), 1.0 / (1.0 - ratio));
    let least = (f64::from(ratio) * 2f64.powi(32)) as u64;
    for (place, value) in (first..).zip(values) {
        let kept = mixed(key ^ place) >> 32 >= least;
        *value = if kept { *value * scale } else { 0.0 };
    }
}

/// SplitMix64's finalizer (Steele, Lea and Flood 2014).
fn mixed(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_kept_and_pieces_draw_what_the_whole_draws() {
        let mut whole = vec![1.0; 100_000];
        drop(0.3, 7, [2, 0], &mut whole);
        let zeros = whole.iter().filter(|&&v| v == 0.0).count();
        assert!((29_000..31_000).contains(&zeros), "{zeros}");
        assert!(whole.iter().all(|&v| v == 0.0 || v == 1.0 / (1.0 - 0.3)));
        let mut part = vec![1.0; 10];
        drop(0.3, 7, [2, 500], &mut part);
        assert_eq!(part, whole[500..510]);
        let mut other = vec![1.0; 10];
        drop(0.3, 8, [2, 500], &mut other);
        assert_ne!(part, other);
    }
}
