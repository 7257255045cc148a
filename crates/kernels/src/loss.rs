//! How far outputs are from targets, and which way is nearer, in one pass: the data term of block reconstruction, and the
//! loss of classifiers.

mod cross_entropy;
pub mod reference;

pub use cross_entropy::{cross_entropy, cross_entropy_towards};

use crate::simd::{Kernel, Simd};
use crate::{Isa, math};

/// `Σ |y - target|^power · importance`, and `factor` times its gradient with respect to `y` in `gradient`.
///
/// `power` is above 1; `importance` (one number per element) may be left out. Sums go piece by piece in f64, in the
/// order of the elements.
///
/// # Panics
/// The lengths differ.
pub fn power_error(
    isa: Isa,
    power: f32,
    factor: f32,
    y: &[f32],
    target: &[f32],
    importance: Option<&[f32]>,
    gradient: &mut [f32],
) -> f64 {
    assert_eq!([y.len(), target.len()], [gradient.len(); 2], "outputs, targets and gradients");
    if let Some(importance) = importance {
        assert_eq!(importance.len(), y.len(), "outputs and their importance");
    }
    isa.run(PowerError { power, factor, y, target, importance, gradient })
}

struct PowerError<'a> {
    power: f32,
    factor: f32,
    y: &'a [f32],
    target: &'a [f32],
    importance: Option<&'a [f32]>,
    gradient: &'a mut [f32],
}

/// Values summed in f32, per lane, before they join the f64 sum.
const PIECE: usize = 1024;

impl Kernel for PowerError<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f64 {
        let PowerError { power, factor, y, target, importance, gradient } = self;
        let factor = s.splat(factor * power);
        let mut total = 0.0;
        for first in (0..y.len()).step_by(PIECE) {
            let last = (first + PIECE).min(y.len());
            // Lanes past the end have no difference, so they add nothing.
            let mut sum = s.splat(0.0);
            for at in (first..last).step_by(S::LANES) {
                let difference = s.sub(s.read(&y[at..last]), s.read(&target[at..last]));
                let size = s.abs(difference);
                // |d|^(power - 1): 0 where nothing differs, NaN where something is no number.
                let slope = if power == 2.0 {
                    size
                } else {
                    let tiny = s.splat(f32::MIN_POSITIVE);
                    let safe = s.select_lt(size, tiny, tiny, size);
                    let raised = math::exp(s, s.mul(s.splat(power - 1.0), math::ln(s, safe)));
                    s.nan_or(size, s.select_lt(size, tiny, s.splat(0.0), raised))
                };
                let slope = match importance {
                    None => slope,
                    Some(importance) => s.mul(slope, s.read(&importance[at..last])),
                };
                sum = s.fma(slope, size, sum);
                s.write(&mut gradient[at..last], s.mul(factor, s.copysign(slope, difference)));
            }
            let mut lanes = [0.0; 16];
            s.write(&mut lanes[..S::LANES], sum);
            total += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, noise};

    #[test]
    fn every_instruction_set_equals_the_twin() {
        for (isa, len) in Isa::supported().flat_map(|isa| [1, 15, 16, 17, 2000].map(|len| (isa, len))) {
            let [y, target, weights] = [1, 2, 3].map(|seed| noise(len, seed));
            let weights: Vec<f32> = weights.iter().map(|w| w * w).collect();
            for (power, importance) in
                [(2.0, None), (2.4, None), (1.5, Some(&weights)), (2.0, Some(&weights))]
            {
                let importance = importance.map(Vec::as_slice);
                let mut found = vec![f32::NAN; len];
                let sum = power_error(isa, power, 0.5, &y, &target, importance, &mut found);
                let (expected, gradient) = reference::power_error(power, 0.5, &y, &target, importance);
                assert!((sum - expected).abs() <= 1e-5 * expected, "{isa:?} {len} {power}: {sum} {expected}");
                assert_close(&found, &gradient, |_| 1e-5, (isa, len));
            }
        }
    }

    #[test]
    fn the_twin_is_the_slope_of_its_value() {
        let [y, target] = [4, 5].map(|seed| noise(20, seed));
        let (_, gradient) = reference::power_error(2.4, 1.0, &y, &target, None);
        for i in 0..y.len() {
            let at = |h: f32| {
                let mut y = y.clone();
                y[i] += h;
                reference::power_error(2.4, 1.0, &y, &target, None).0
            };
            let slope = (at(1e-3) - at(-1e-3)) / 2e-3;
            assert!((slope - f64::from(gradient[i])).abs() < 1e-3, "{i}");
        }
    }

    #[test]
    fn equal_values_cost_nothing_and_what_is_no_number_is_seen() {
        for isa in Isa::supported() {
            let mut gradient = [1.0; 3];
            assert_eq!(power_error(isa, 2.4, 1.0, &[1.0; 3], &[1.0; 3], None, &mut gradient), 0.0);
            assert_eq!(gradient.map(f32::abs), [0.0; 3]);
            assert!(power_error(isa, 2.4, 1.0, &[f32::NAN], &[1.0], None, &mut [0.0]).is_nan());
        }
    }
}
