//! The rounding of one weight as something that is learned (AdaRound, Nagel et al. 2020).
//!
//! A weight `w` in steps `s` lies between two codes. `ŵ = s·(clamp(⌊w/s⌋ + z + h(V)) − z)` with the rectified sigmoid
//! `h(V) = clamp(1.2·σ(V) − 0.1, 0, 1)` moves between them; at first `h` is the fraction that `w` really has, in the end it
//! is 0 or 1.

use lowbit_engine::Parameter;
use lowbit_graph::ValueId;
use lowbit_kernels::Isa;
use lowbit_kernels::adam::Adam;
use lowbit_kernels::rounding::{self, Grid, Regularizer};
use lowbit_tensor::Uniform;
use std::ops::Range;

/// Ends of the sigmoid before it is cut to 0..=1.
const GAMMA: f32 = -0.1;
const ZETA: f32 = 1.1;

/// One weight tensor.
#[derive(Clone, Debug)]
pub(super) struct SoftWeight {
    /// Place among the weight sites.
    pub(super) site: usize,
    /// The constant of the simulated network that holds it.
    constant: ValueId,
    isa: Isa,
    code: Uniform,
    shape: Vec<usize>,
    /// Codes below: `⌊w/s⌋ + z`, before clamping. All rows from here on are channel by channel.
    below: Vec<f32>,
    /// Rounding variables.
    v: Vec<f32>,
    nearest: Vec<f32>,
    moments: [Vec<f32>; 2],
    gradient: Vec<f32>,
    work: Vec<f32>,
    /// In the tensor's order.
    values: Vec<f32>,
}

impl SoftWeight {
    /// A weight `values` of `shape` under the code that it has so far.
    pub(super) fn new(
        isa: Isa,
        site: usize,
        constant: ValueId,
        code: &Uniform,
        values: &[f32],
        shape: &[usize],
    ) -> SoftWeight {
        let channels = code.scale.len();
        let mut below = Vec::with_capacity(values.len());
        let mut v = Vec::with_capacity(values.len());
        for c in 0..channels {
            for w in channel_values(values, shape, code.axis, c) {
                let steps = w / code.scale[c];
                below.push(steps.floor() + code.zero_point[c] as f32);
                v.push(rounding::initial(steps - steps.floor()));
            }
        }
        let mut nearest = values.to_vec();
        code.fake_quantize(&mut nearest, shape);
        let zeros = vec![0.0; values.len()];
        SoftWeight {
            site,
            constant,
            isa,
            code: code.clone(),
            shape: shape.to_vec(),
            below,
            v,
            nearest,
            moments: [zeros.clone(), zeros.clone()],
            gradient: zeros.clone(),
            work: zeros,
            values: values.to_vec(),
        }
    }

    /// The weight as a parameter of the simulated network.
    pub(super) fn parameter(&self) -> Parameter {
        Parameter::Constant(self.constant)
    }

    /// All that learning depends on: steps and fractions.
    pub(super) fn start(&self) -> impl Iterator<Item = f32> + '_ {
        self.code.scale.iter().chain(&self.nearest).copied()
    }

    /// Number of weights.
    pub(super) fn len(&self) -> usize {
        self.v.len()
    }

    /// The weight as its rounding variables have it now.
    pub(super) fn soften(&mut self) -> &[f32] {
        let direct = self.is_channel_major();
        let (isa, code, below, v) = (self.isa, &self.code, &self.below, &self.v);
        let soft = if direct { &mut self.values } else { &mut self.work };
        each_channel(code, v.len(), |grid, rows| {
            rounding::soft(isa, grid, &below[rows.clone()], &v[rows.clone()], &mut soft[rows]);
        });
        if !direct {
            let (work, values) = (&self.work, &mut self.values);
            permute(&self.shape, self.code.axis, |i, place| values[place] = work[i]);
        }
        &self.values
    }

    /// One step of Adam from the gradient of the loss with respect to the soft weight.
    pub(super) fn update(&mut self, gradient: &[f32], regularizer: Option<Regularizer>, adam: &Adam, t: u32) {
        let dw = if self.is_channel_major() {
            gradient
        } else {
            let work = &mut self.work;
            permute(&self.shape, self.code.axis, |i, place| work[i] = gradient[place]);
            &self.work
        };
        let (isa, below, v, dv) = (self.isa, &self.below, &self.v, &mut self.gradient);
        each_channel(&self.code, v.len(), |grid, rows| {
            let (below, v, dw) = (&below[rows.clone()], &v[rows.clone()], &dw[rows.clone()]);
            rounding::backward(isa, grid, below, v, dw, regularizer, &mut dv[rows]);
        });
        let [first, second] = &mut self.moments;
        adam.step(self.isa, t, &mut self.v, &self.gradient, [first, second]);
    }

    /// Weights whose variable is not within 0.001 of 0 or 1.
    pub(super) fn undecided(&self) -> usize {
        self.v.iter().filter(|&&v| (1e-3..=1.0 - 1e-3).contains(&rectified(v))).count()
    }

    /// Rounds every weight up or down for good.
    pub(super) fn decide(&mut self) {
        let ups: Vec<f32> = self.v.iter().map(|&v| if v >= 0.0 { 1.0 } else { 0.0 }).collect();
        let below = self.below.clone();
        self.set(|i, _, [lo, hi]| (below[i] + ups[i]).clamp(lo, hi));
    }

    /// Sets the weight from the code of each element: `code(place channel by channel, place in the tensor, ends)`.
    fn set(&mut self, code: impl Fn(usize, usize, [f32; 2]) -> f32) {
        let per_channel = self.v.len() / self.code.scale.len();
        let (grid, values) = (&self.code, &mut self.values);
        permute(&self.shape, self.code.axis, |i, place| {
            let c = i / per_channel;
            let code = code(i, place, grid.range(c).map(|end| end as f32));
            values[place] = (code - grid.zero_point[c] as f32) * grid.scale[c];
        });
    }

    /// Back to nearest rounding.
    pub(super) fn reset(&mut self) {
        self.values.copy_from_slice(&self.nearest);
    }

    /// The weight as last softened, decided or reset.
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The codes of [`SoftWeight::values`], from the lowest on.
    pub(super) fn codes(&self) -> Vec<u8> {
        let codes = self.code.codes(&self.values, &self.shape);
        let lowest = self.lowest();
        codes.iter().map(|&q| (q - lowest) as u8).collect()
    }

    /// Takes codes that [`SoftWeight::codes`] gave; whether they are as many as there are weights.
    pub(super) fn take_codes(&mut self, codes: &[u8]) -> bool {
        if codes.len() != self.len() {
            return false;
        }
        let lowest = self.lowest() as f32;
        self.set(|_, place, _| f32::from(codes[place]) + lowest);
        true
    }

    fn lowest(&self) -> i32 {
        (0..self.code.scale.len()).map(|c| self.code.range(c)[0]).min().unwrap_or(0)
    }

    fn is_channel_major(&self) -> bool {
        self.code.axis.is_none_or(|axis| self.shape[..axis].iter().all(|&n| n == 1))
    }
}

/// `h(V)`.
fn rectified(v: f32) -> f32 {
    ((ZETA - GAMMA) / (1.0 + (-v).exp()) + GAMMA).clamp(0.0, 1.0)
}

/// Calls `f` with each channel's grid and rows; channels may differ in bits.
fn each_channel(code: &Uniform, len: usize, mut f: impl FnMut(&Grid<'_>, Range<usize>)) {
    let per_channel = len / code.scale.len();
    for c in 0..code.scale.len() {
        let (scales, zero_points) = (&code.scale[c..=c], &code.zero_point[c..=c]);
        f(&Grid { scales, zero_points, codes: code.range(c) }, c * per_channel..(c + 1) * per_channel);
    }
}

/// Calls `f(i, place)` for the `i`-th element channel by channel, which lies at `place` in the tensor.
fn permute(shape: &[usize], axis: Option<usize>, mut f: impl FnMut(usize, usize)) {
    let Some(axis) = axis else {
        return (0..shape.iter().product()).for_each(|i| f(i, i));
    };
    let run: usize = shape[axis + 1..].iter().product();
    let blocks: usize = shape[..axis].iter().product();
    let mut i = 0;
    for c in 0..shape[axis] {
        for block in 0..blocks {
            let start = (block * shape[axis] + c) * run;
            for place in start..start + run {
                f(i, place);
                i += 1;
            }
        }
    }
}

fn channel_values<'a>(
    values: &'a [f32],
    shape: &'a [usize],
    axis: Option<usize>,
    c: usize,
) -> Box<dyn Iterator<Item = f32> + 'a> {
    match axis {
        None => Box::new(values.iter().copied()),
        Some(axis) => Box::new(crate::workbench::channel(values, shape, axis, c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: [f32; 10] = [-1.30, -0.72, -0.41, -0.18, -0.05, 0.02, 0.11, 0.27, 0.55, 0.94];

    /// The weight of the worked examples, 4 bits: step 0.14634667, zero point 9.
    fn example() -> SoftWeight {
        let code = Uniform::per_tensor(4, false, 0.146_346_67, 9);
        SoftWeight::new(Isa::best(), 0, ValueId(0), &code, &W, &[10])
    }

    #[test]
    fn rounding_variables_invert_the_rectified_sigmoid() {
        let fractions = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999];
        let expected = [-2.397895, -1.609438, -0.887303, 0.0, 0.887303, 1.609438, 2.387035];
        for (fraction, expected) in fractions.into_iter().zip(expected) {
            let v = rounding::initial(fraction);
            assert!((v - expected).abs() < 1e-5 && (rectified(v) - fraction).abs() < 1e-6, "{fraction}");
        }
    }

    #[test]
    fn the_worked_example_starts_as_the_specification_says() {
        let mut weight = example();
        let below: Vec<f32> = weight.below.iter().map(|b| b - 9.0).collect();
        assert_eq!(below, [-9., -5., -3., -2., -1., 0., 0., 1., 3., 6.]);
        let expected = [
            -1.51081, -1.733458, -1.105589, 0.969583, 0.540611, -1.403772, 0.893927, 1.309595, 0.92061,
            -0.257734,
        ];
        for (v, expected) in weight.v.iter().zip(expected) {
            assert!((v - expected).abs() < 2e-5, "{v} {expected}");
        }
        // Soft weights equal the trained ones but for the last, whose code is clamped.
        let soft = weight.soften().to_vec();
        for (soft, w) in soft.iter().zip(&W).take(9) {
            assert!((soft - w).abs() < 1e-6);
        }
        assert!((soft[9] - W[9] + 0.06192).abs() < 1e-5);
        weight.decide();
        assert_eq!(weight.values(), weight.nearest);
        assert_eq!(weight.codes(), [0, 4, 6, 8, 9, 9, 10, 11, 13, 15]);
    }

    #[test]
    fn codes_bring_a_weight_back() {
        let mut weight = example();
        weight.v.iter_mut().for_each(|v| *v = -*v);
        weight.decide();
        let (codes, values) = (weight.codes(), weight.values().to_vec());
        let mut other = example();
        assert!(other.take_codes(&codes) && !other.take_codes(&codes[1..]));
        assert_eq!(other.values(), values);
    }

    #[test]
    fn channels_may_lie_along_any_axis() {
        let code = Uniform {
            axis: Some(1),
            bits: vec![4; 2],
            signed: true,
            scale: vec![0.1, 1.0],
            zero_point: vec![0; 2],
            shift: None,
        };
        let w = [0.12, 3.3, -0.27, -1.8, 0.57, 6.6];
        let mut weight = SoftWeight::new(Isa::best(), 0, ValueId(0), &code, &w, &[3, 2]);
        for (soft, w) in weight.soften().iter().zip(&w) {
            assert!((soft - w).abs() < 1e-5);
        }
        weight.decide();
        assert_eq!(weight.values(), weight.nearest);
        let codes = weight.codes();
        assert!(weight.take_codes(&codes));
        assert_eq!(weight.values(), weight.nearest);
    }
}
