//! What happens to a number on an edge (HAGO, 3.5): it arrives as an integer of its producer's type, which may have wrapped
//! around, and leaves as one of its reader's.

use crate::target::ElementType;

/// A simulated quantizer: one per edge, and one per output of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantizer {
    /// Real units per step at which the producer computes: one number, or one per channel.
    pub in_scale: Vec<f64>,
    /// The type that it computes in.
    pub in_type: ElementType,
    /// Real units per step for the reader.
    pub out_scale: Vec<f64>,
    /// The type that it reads.
    pub out_type: ElementType,
    /// Lowest and highest code for the reader.
    pub clip: [i64; 2],
    /// The axis of scales where there are several.
    pub axis: usize,
}

/// Rounds halves away from zero, as the method's simulation does.
pub fn round(x: f64) -> f64 {
    x.round()
}

impl Quantizer {
    /// What the reader gets for `x`, of channel `c`.
    pub fn apply(&self, x: f32, c: usize) -> f32 {
        let of = |scales: &[f64]| scales[if scales.len() == 1 { 0 } else { c }];
        let mut x = f64::from(x);
        if self.in_type.is_integer() {
            let scale = of(&self.in_scale);
            x = self.in_type.wrap(round(x / scale) as i64) as f64 * scale;
        }
        if self.out_type.is_integer() {
            let scale = of(&self.out_scale);
            let [lo, hi] = self.clip;
            let code = (round(x / scale) as i64).clamp(lo, hi);
            x = self.out_type.wrap(code) as f64 * scale;
        }
        x as f32
    }

    /// Applies it to a row-major tensor.
    pub fn apply_all(&self, values: &mut [f32], shape: &[usize]) {
        let run: usize = shape.iter().skip(self.axis + 1).product::<usize>().max(1);
        let channels = shape.get(self.axis).copied().unwrap_or(1).max(1);
        for (i, x) in values.iter_mut().enumerate() {
            *x = self.apply(*x, i / run % channels);
        }
    }
}

/// Lowest and highest code of a symmetric code of so many bits, the lowest of all left out.
pub fn symmetric_range(bits: u8) -> [i64; 2] {
    let end = (1i64 << (bits - 1)) - 1;
    [-end, end]
}

/// Real units per step of a symmetric code of so many bits that reaches `threshold`.
pub fn scale(threshold: f64, bits: u8) -> f64 {
    threshold / (1i64 << (bits - 1)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(x: &[f32], threshold: f64) -> Vec<i64> {
        let step = scale(threshold, 8);
        let [lo, hi] = symmetric_range(8);
        x.iter().map(|&x| (round(f64::from(x) / step) as i64).clamp(lo, hi)).collect()
    }

    #[test]
    fn the_accumulator_of_the_worked_example_is_exact() {
        let x = codes(&[0.5, -1.25, 0.75, 1.9], 2.0);
        let w = codes(&[0.25, -0.5, 0.1, 0.3], 0.5);
        assert_eq!((x.as_slice(), w.as_slice()), (&[32, -80, 48, 122][..], &[64, -127, 26, 77][..]));
        let sum: i64 = x.iter().zip(&w).map(|(x, w)| x * w).sum();
        let step = scale(2.0, 8) * scale(0.5, 8);
        assert_eq!((sum, step), (22_850, 6.103_515_625e-5));
        assert!((sum as f64 * step - 1.394_653).abs() < 1e-6);
    }

    #[test]
    fn a_sum_beyond_its_type_wraps_and_float_passes() {
        let step = 4.577_636_718_75e-5;
        let wraps = Quantizer {
            in_scale: vec![step],
            in_type: ElementType::I16,
            out_scale: vec![1.0],
            out_type: ElementType::F32,
            clip: [0, 0],
            axis: 1,
        };
        assert!((wraps.apply((34_836.0 * step) as f32, 0) + 1.405_334).abs() < 1e-6);
        let passes = Quantizer { in_type: ElementType::F32, ..wraps };
        assert_eq!(passes.apply(1.25, 0), 1.25);
    }
}
