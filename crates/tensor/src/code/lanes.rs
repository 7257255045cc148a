//! What a pair of multipliers of few bits is given of two windowed codes: the hardware's side of [`Windowed`].
//!
//! Each lane multiplies a code of n bits by an 8-bit weight and shifts the product (the paper's ShiftCtrl). Beside a zero
//! both lanes serve the other code, one half each, with its weight (MuxCtrl). Sums over lanes are those over
//! [`Windowed::narrow`]ed codes: products stay exact, only operands lose bits.

use super::Windowed;

/// Input of one multiplier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// As many bits as the window has.
    pub code: u8,
    /// Exponent of the code's lowest bit.
    pub shift: u8,
    /// Whether it multiplies the other lane's weight.
    pub crosses: bool,
}

impl Windowed {
    /// The lanes for two neighbours. Where one is zero, the lane of the other has its high half.
    pub fn lanes(&self, [a, b]: [u8; 2]) -> [Lane; 2] {
        let alone = |code: u8| {
            let shift = self.window.shift(code);
            Lane { code: self.window.value(code) >> shift, shift, crosses: false }
        };
        match [a, b] {
            [0, 0] => [Lane::default(); 2],
            [a, 0] if self.pairs => self.halves(a),
            [0, b] if self.pairs => {
                let [high, low] = self.halves(b);
                [low, high]
            }
            both => both.map(alone),
        }
    }

    /// High half for the code's own lane, low half for the one beside it.
    fn halves(&self, code: u8) -> [Lane; 2] {
        let (bits, value) = (self.window.bits, self.window.value_beside_zero(code));
        // The window of twice the bits sits at any place.
        let shift = (8 - code.leading_zeros() as u8).saturating_sub((2 * bits).min(8));
        let wide = value >> shift;
        [
            Lane { code: wide >> bits, shift: shift + bits, crosses: false },
            Lane { code: wide & ((1 << bits) - 1), shift, crosses: true },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::window;

    #[test]
    fn lanes_of_few_bits_add_up_to_the_narrowed_product() {
        let weights = [-77i64, 1013];
        for &window in window::ALL.as_flattened() {
            for (pairs, a) in
                [(false, 0..=255u8), (true, 0..=255)].into_iter().flat_map(|(p, r)| r.map(move |a| (p, a)))
            {
                for b in [0, 1, 15, 27, 100, 215, 255] {
                    let read = Windowed { window, pairs };
                    let lanes = read.lanes([a, b]);
                    assert!(
                        lanes.iter().all(|lane| lane.code < 1 << window.bits),
                        "{read} {a} {b}: {lanes:?}"
                    );
                    let product = |i: usize| {
                        let weight = weights[if lanes[i].crosses { 1 - i } else { i }];
                        (i64::from(lanes[i].code) << lanes[i].shift) * weight
                    };
                    let mut codes = [a, b];
                    read.narrow(&mut codes);
                    let expected = i64::from(codes[0]) * weights[0] + i64::from(codes[1]) * weights[1];
                    assert_eq!(product(0) + product(1), expected, "{read} {a} {b}: {lanes:?}");
                }
            }
        }
    }

    #[test]
    fn a_code_beside_a_zero_takes_both_lanes() {
        let read: Windowed = "4 bits, shifts 4 3 2 1 0, round, pairs".parse().unwrap();
        let [high, low] =
            [Lane { code: 13, shift: 4, crosses: false }, Lane { code: 7, shift: 0, crosses: true }];
        assert_eq!((read.lanes([215, 0]), read.lanes([0, 215])), ([high, low], [low, high]));
    }
}
