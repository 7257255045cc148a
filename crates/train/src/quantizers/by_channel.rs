//! Quantizers of filters for weights whose output channels are not axis 0: `Gemm` as most exporters write it, transposed
//! convolutions.
//!
//! Filters are brought one after another, quantized there, and put back.

use super::{Coded, Draw, WeightQuantizer};

/// A quantizer of consecutive filters, for a weight of `[outer, channels, inner]`.
pub struct ByChannel<Q> {
    quantizer: Q,
    channels: usize,
    inner: usize,
}

impl<Q: WeightQuantizer> ByChannel<Q> {
    /// For weights of this shape with output channels at `axis`; the quantizer's filters are as long as all other axes
    /// together.
    pub fn new(quantizer: Q, shape: &[usize], axis: usize) -> ByChannel<Q> {
        ByChannel { quantizer, channels: shape[axis], inner: shape[axis + 1..].iter().product() }
    }

    /// `[outer, channels, inner]` to `[channels, outer, inner]`.
    fn gather<T: Copy>(&self, from: &[T]) -> Vec<T> {
        let rows = |c: usize| from.chunks(self.inner).skip(c).step_by(self.channels);
        (0..self.channels).flat_map(|c| rows(c).flatten().copied()).collect()
    }

    /// And back.
    fn scatter<T: Copy>(&self, from: &[T], to: &mut [T]) {
        let outer = to.len() / (self.channels * self.inner).max(1);
        for (at, row) in to.chunks_mut(self.inner).enumerate() {
            let (o, c) = (at / self.channels, at % self.channels);
            row.copy_from_slice(&from[(c * outer + o) * self.inner..][..self.inner]);
        }
    }
}

impl<Q: WeightQuantizer> WeightQuantizer for ByChannel<Q> {
    fn len(&self) -> usize {
        self.quantizer.len()
    }

    fn start(&self, shadow: &[f32]) -> Vec<f32> {
        self.quantizer.start(&self.gather(shadow))
    }

    fn forward(&self, parameters: &[f32], shadow: &[f32], draw: Option<Draw>, out: &mut [f32]) {
        let mut found = vec![0.0; out.len()];
        self.quantizer.forward(parameters, &self.gather(shadow), draw, &mut found);
        self.scatter(&found, out);
    }

    fn backward(&self, parameters: &[f32], shadow: &[f32], grad: &mut [f32], by_parameter: &mut [f32]) {
        let mut found = self.gather(grad);
        self.quantizer.backward(parameters, &self.gather(shadow), &mut found, by_parameter);
        self.scatter(&found, grad);
    }

    fn constrain(&self, parameters: &mut [f32]) {
        self.quantizer.constrain(parameters);
    }

    fn code(&self, parameters: &[f32], shadow: &[f32]) -> Coded {
        let found = self.quantizer.code(parameters, &self.gather(shadow));
        let mut codes = vec![0; found.codes.len()];
        self.scatter(&found.codes, &mut codes);
        Coded { codes, ..found }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Binary;
    use super::*;

    #[test]
    fn filters_of_any_axis_have_a_scale_each() {
        // Two channels at axis 1 of [2, 2, 2]: 1, 2, 5, 6 and 3, 4, 7, 8.
        let w = [1.0, -2.0, 3.0, 4.0, -5.0, 6.0, 7.0, 8.0];
        let layer = ByChannel::new(Binary { filter: 4 }, &[2, 2, 2], 1);
        let mut out = [0.0; 8];
        layer.forward(&[], &w, None, &mut out);
        assert_eq!(out, [3.5, -3.5, 5.5, 5.5, -3.5, 3.5, 5.5, 5.5]);
        let coded = layer.code(&[], &w);
        assert_eq!((coded.codes, coded.scale), (vec![1, -1, 1, 1, -1, 1, 1, 1], vec![3.5, 5.5]));
        let mut grad: Vec<f32> = (0..8).map(|i| i as f32).collect();
        layer.backward(&[], &w, &mut grad, &mut []);
        assert_eq!(grad, (0..8).map(|i| i as f32).collect::<Vec<_>>());
    }
}
