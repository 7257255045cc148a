//! Rounding to half precision and back, in vectors of any instruction set.

use crate::simd::Simd;

/// Largest value that half precision holds.
const LARGEST: f32 = 65504.0;

/// The nearest half-precision value (ties to even) of each lane, as f32; infinite beyond the largest.
///
/// Adding `1.5·2^(e+13)` to a number of exponent `e` leaves the ten bits behind the point that half precision has; below
/// the normal numbers the exponent stays at −14, which leaves fewer.
#[inline(always)]
pub(super) fn round_half<S: Simd>(s: S, a: S::V) -> S::V {
    let size = s.abs(a);
    let (_, exponent) = s.mantissa_exponent(size);
    let exponent = s.min(s.max(exponent, s.splat(-14.0)), s.splat(16.0));
    let magic = s.mul(s.exp2_int(s.add(exponent, s.splat(13.0))), s.splat(1.5));
    let rounded = s.sub(s.add(size, magic), magic);
    let held = s.select_lt(s.splat(LARGEST), rounded, s.splat(f32::INFINITY), rounded);
    s.nan_or(a, s.copysign(held, a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use crate::embedding::reference;
    use crate::simd::Kernel;
    use crate::testing::noise;

    struct All<'a>(&'a mut [f32]);

    impl Kernel for All<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for x in self.0.chunks_mut(S::LANES) {
                let v = round_half(s, s.read(x));
                s.write(x, v);
            }
        }
    }

    #[test]
    fn every_instruction_set_rounds_as_the_standard_says() {
        let mut values: Vec<f32> =
            vec![0.0, -0.0, 65504.0, 65519.9, 65520.0, 1e9, 6e-8, 2.98e-8, 2.99e-8, 1e-30];
        values.extend([
            f32::INFINITY,
            f32::NEG_INFINITY,
            1.0 + 1.0 / 2048.0,
            1.0 + 3.0 / 2048.0,
            6.1e-5,
            6.09e-5,
        ]);
        for exponent in -30..18 {
            values.extend(noise(200, 7).iter().map(|x| x * 2f32.powi(exponent)));
        }
        let want: Vec<f32> = values.iter().map(|&x| reference::round_half(x)).collect();
        for isa in Isa::supported() {
            let mut got = values.clone();
            isa.run(All(&mut got));
            for ((got, want), x) in got.iter().zip(&want).zip(&values) {
                assert_eq!(got.to_bits(), want.to_bits(), "{isa}: {x}");
            }
            let mut nan = [f32::NAN];
            isa.run(All(&mut nan));
            assert!(nan[0].is_nan());
        }
    }
}
