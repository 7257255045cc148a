//! Batch normalization in training: what it needs to know of the whole batch, and how shards find it out together.

use super::reverse::Sink;
use super::tape::Cell;
use lowbit_graph::ValueId;
use lowbit_kernels::Isa;
use lowbit_kernels::batch_norm::{self, Moments};

/// A batch normalization, with the addition and the clip that follow it.
pub(super) struct Norm {
    /// The node, and what it computes in the graph.
    pub(super) name: String,
    pub(super) value: ValueId,
    /// What is written: the node's output, or what the fused nodes make of it.
    pub(super) y: Cell,
    pub(super) channels: usize,
    pub(super) epsilon: f32,
    pub(super) bounds: [f32; 2],
    pub(super) scale: Values,
    pub(super) shift: Values,
    pub(super) isa: Isa,
}

/// One value per channel.
pub(super) enum Values {
    Constant(Vec<f32>),
    Parameter(usize),
}

impl Values {
    pub(super) fn now<'a>(&'a self, parameters: &'a [Vec<f32>]) -> &'a [f32] {
        match self {
            Values::Constant(values) => values,
            Values::Parameter(parameter) => &parameters[*parameter],
        }
    }

    pub(super) fn parameter(&self) -> Option<usize> {
        match self {
            Values::Constant(_) => None,
            Values::Parameter(parameter) => Some(*parameter),
        }
    }
}

/// What the rows of a shard add.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) moments: Moments,
    /// `Σ dy` and `Σ dy·(x - mean)`.
    slopes: [Vec<f64>; 2],
}

impl Default for Part {
    fn default() -> Part {
        Part::new(0)
    }
}

impl Part {
    pub(super) fn new(channels: usize) -> Part {
        Part { moments: Moments::new(channels), slopes: [vec![0.0; channels], vec![0.0; channels]] }
    }

    pub(super) fn clear(&mut self) {
        self.moments.clear();
        self.slopes.iter_mut().for_each(|sums| sums.fill(0.0));
    }
}

/// What is known of all rows, per channel.
pub(super) struct Normalized {
    pub(super) moments: Moments,
    mean: Vec<f32>,
    /// `y = factor·x + shift`.
    forward: [Vec<f32>; 2],
    /// `dx = by_dy·dy + by_x·x + shift`.
    back: [Vec<f32>; 3],
}

impl Normalized {
    pub(super) fn new(channels: usize) -> Normalized {
        let zeros = || vec![0.0; channels];
        Normalized {
            moments: Moments::new(channels),
            mean: zeros(),
            forward: [zeros(), zeros()],
            back: [zeros(), zeros(), zeros()],
        }
    }
}

impl Norm {
    pub(super) fn gather(&self, x: &[f32], part: &mut Part) {
        part.moments.add(self.isa, x);
    }

    /// The shards' moments become those of the batch.
    pub(super) fn conclude<'a>(
        &self,
        parts: impl Iterator<Item = &'a Part>,
        parameters: &[Vec<f32>],
        all: &mut Normalized,
    ) {
        all.moments.clear();
        parts.for_each(|part| all.moments.merge(&part.moments));
        let (scale, shift) = (self.scale.now(parameters), self.shift.now(parameters));
        for (c, variance) in all.moments.variance().enumerate() {
            let (mean, factor) = (all.moments.mean[c], f64::from(scale[c]) / self.deviation(variance));
            all.mean[c] = mean as f32;
            all.forward[0][c] = factor as f32;
            all.forward[1][c] = (f64::from(shift[c]) - mean * factor) as f32;
        }
    }

    fn deviation(&self, variance: f64) -> f64 {
        (variance + f64::from(self.epsilon)).sqrt()
    }

    pub(super) fn normalize(&self, all: &Normalized, x: &[f32], residual: Option<&[f32]>, y: &mut [f32]) {
        let [factor, shift] = &all.forward;
        batch_norm::normalize(self.isa, x, [factor, shift], residual, self.bounds, y);
    }

    /// Back through the activation, in place.
    pub(super) fn slopes(&self, all: &Normalized, x: &[f32], y: &[f32], grad: &mut [f32], part: &mut Part) {
        let [sum, product] = &mut part.slopes;
        batch_norm::slopes(self.isa, x, &all.mean, y, self.bounds, grad, [sum, product]);
    }

    /// The shards' sums become the factors of the gradient; adds the gradients of scale and shift to theirs.
    ///
    /// With `N` rows, x̂ = (x - mean)/σ, `S₁ = Σ dy`, `S₂ = Σ dy·(x - mean)`:
    /// `dx = scale/σ · (dy - S₁/N - (x - mean)·S₂/(N·σ²))`, `dscale = S₂/σ`, `dshift = S₁`.
    pub(super) fn conclude_back<'a>(
        &self,
        parts: impl Iterator<Item = &'a Part>,
        parameters: &[Vec<f32>],
        all: &mut Normalized,
        gradients: &mut [Vec<f32>],
    ) {
        let mut sums = [vec![0.0; self.channels], vec![0.0; self.channels]];
        for part in parts {
            for (sums, slopes) in sums.iter_mut().zip(&part.slopes) {
                sums.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope);
            }
        }
        let (scale, rows) = (self.scale.now(parameters), all.moments.rows.max(1) as f64);
        for (c, variance) in all.moments.variance().enumerate() {
            let (mean, deviation) = (all.moments.mean[c], self.deviation(variance));
            // The products were taken with the mean as f32.
            let (sum, product) = (sums[0][c], sums[1][c] + (f64::from(all.mean[c]) - mean) * sums[0][c]);
            let by_dy = f64::from(scale[c]) / deviation;
            let by_x = -by_dy * product / (rows * deviation * deviation);
            all.back[0][c] = by_dy as f32;
            all.back[1][c] = by_x as f32;
            all.back[2][c] = (-by_dy * sum / rows - by_x * mean) as f32;
            if let Some(parameter) = self.scale.parameter() {
                gradients[parameter][c] += (product / deviation) as f32;
            }
            if let Some(parameter) = self.shift.parameter() {
                gradients[parameter][c] += sum as f32;
            }
        }
    }

    pub(super) fn backward(&self, all: &Normalized, grad: &[f32], x: &[f32], sink: &mut Sink<'_>) {
        let [by_dy, by_x, shift] = &all.back;
        batch_norm::backward(self.isa, grad, x, [by_dy, by_x, shift], sink.grad, sink.add);
    }
}
