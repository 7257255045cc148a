//! LSQ: a uniform quantizer whose step is trained (Esser et al. 2020).
//!
//! `code = round(clamp(v/s, -Qn, Qp))`, `v̂ = code·s`. Straight through inside the range; the step gets
//! `Σ g·(round(v/s) - v/s)` inside and `∓g·Q` beyond the ends, times `1/sqrt(N·Qp)`, without which it diverges at few bits.

use super::{Coded, Draw, EdgeCode, EdgeQuantizer, Table, WeightQuantizer, search_clip};
use lowbit_engine::Rounding;
use lowbit_kernels::{FakeQuant, Isa, fake_quant};
use std::sync::{Arc, PoisonError, RwLock};

/// Factor of the learning rate at 8 bits, as published (0.001 against 0.01). At the rate of few bits, the small steps of 8
/// fall to nothing within a hundred updates, and the network with them.
const EIGHT_BITS: f64 = 0.1;

/// Smallest step.
const LEAST: f32 = 1e-8;

/// Where the step of a weight begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// At least squared error: what short runs need.
    #[default]
    Mse,
    /// `2·mean|v|/sqrt(Qp)`, as published.
    Published,
}

/// Range of codes and factor of the step's gradient.
#[derive(Clone, Copy, Debug)]
struct Range {
    low: i32,
    high: i32,
    factor: f32,
    start: Start,
}

impl Range {
    fn new(bits: u8, signed: bool, elements: usize, start: Start) -> Range {
        let half = 1i32 << (bits - 1);
        // At 8 bits the lowest code goes, so that codes can change sign with a batch norm's gain.
        let low = match (signed, bits) {
            (false, _) => 0,
            (true, 8) => 1 - half,
            (true, _) => -half,
        };
        let high = if signed { half - 1 } else { 2 * half - 1 };
        let slow = if bits == 8 { EIGHT_BITS } else { 1.0 };
        let factor = slow / (elements as f64 * f64::from(high)).sqrt();
        Range { low, high, factor: factor as f32, start }
    }

    fn quant(&self, step: f32) -> FakeQuant {
        FakeQuant { scale: step, zero_point: 0, lo: self.low, hi: self.high }
    }

    fn first_step(&self, values: &[f32]) -> f32 {
        let (low, high) = (self.low as f32, self.high as f32);
        match self.start {
            Start::Published => {
                let mean =
                    values.iter().map(|v| f64::from(v.abs())).sum::<f64>() / values.len().max(1) as f64;
                ((2.0 * mean / f64::from(self.high).sqrt()) as f32).max(LEAST)
            }
            Start::Mse => {
                // The search is for a clip: the larger end of the range.
                let end = (-low).max(high);
                search_clip(values, |clip, x| {
                    let step = clip / end;
                    (x / step).clamp(low, high).round_ties_even() * step
                }) / end
            }
        }
    }
}

/// A weight with one trained step.
#[derive(Clone, Debug)]
pub struct Lsq(Range);

impl Lsq {
    /// For `elements` weights of `bits` bits (2 to 8), two's complement.
    pub fn new(bits: u8, elements: usize, start: Start) -> Lsq {
        Lsq(Range::new(bits, true, elements, start))
    }
}

impl WeightQuantizer for Lsq {
    fn len(&self) -> usize {
        1
    }

    fn start(&self, shadow: &[f32]) -> Vec<f32> {
        vec![self.0.first_step(shadow)]
    }

    fn forward(&self, parameters: &[f32], shadow: &[f32], _draw: Option<Draw>, out: &mut [f32]) {
        fake_quant::fake_quant(isa(), &self.0.quant(parameters[0]), shadow, out);
    }

    fn backward(&self, parameters: &[f32], shadow: &[f32], grad: &mut [f32], by_parameter: &mut [f32]) {
        let quant = self.0.quant(parameters[0]);
        let sum = fake_quant::clipped_backward_in_place(isa(), &quant, shadow, grad);
        by_parameter[0] = sum as f32 * self.0.factor;
    }

    fn constrain(&self, parameters: &mut [f32]) {
        parameters[0] = parameters[0].max(LEAST);
    }

    fn code(&self, parameters: &[f32], shadow: &[f32]) -> Coded {
        let (low, high) = (self.0.low as f32, self.0.high as f32);
        let code = |v: &f32| (v / parameters[0]).clamp(low, high).round_ties_even() as i32;
        Coded {
            codes: shadow.iter().map(code).collect(),
            scale: vec![parameters[0]],
            levels: (self.0.low..=self.0.high).collect(),
        }
    }
}

/// The instruction set asked for, or the best there is: an unknown name was refused before training began.
fn isa() -> Isa {
    Isa::from_env().unwrap_or_else(|_| Isa::best())
}

/// An edge with one trained step.
#[derive(Debug)]
pub struct LsqEdge {
    range: Range,
    bits: u8,
    step: RwLock<f32>,
}

impl LsqEdge {
    /// For an edge of `elements` values per sample, signed or not below zero.
    pub fn new(bits: u8, signed: bool, elements: usize) -> LsqEdge {
        let mut range = Range::new(bits, signed, elements, Start::Mse);
        // Edges keep their sign: the lowest code is there at 8 bits too.
        range.low = if signed { -(1 << (bits - 1)) } else { 0 };
        LsqEdge { range, bits, step: RwLock::new(1.0) }
    }

    fn quant(&self) -> FakeQuant {
        self.range.quant(*self.step.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EdgeQuantizer for LsqEdge {
    fn len(&self) -> usize {
        1
    }

    fn start(&self, seen: &[f32]) -> Vec<f32> {
        vec![self.range.first_step(seen)]
    }

    fn constrain(&self, parameters: &mut [f32]) {
        parameters[0] = parameters[0].max(LEAST);
    }

    /// Evenly spaced levels, below 8 bits on a grid of 8 that is finer: integer runtimes round a layer's bias to the grid
    /// of its sums, and that of few bits is too coarse for a bias. The grid has an odd number of steps between levels,
    /// so that thresholds lie between its codes.
    fn code(&self, parameters: &[f32]) -> EdgeCode {
        let Range { low, high, .. } = self.range;
        if self.bits == 8 {
            return EdgeCode { bits: 8, scale: parameters[0], zero_point: -low, table: None };
        }
        let room = if low < 0 { 127 / -low } else { 255 / high };
        let steps = if room % 2 == 0 { room - 1 } else { room };
        let zero_point = if low < 0 { 128 } else { 0 };
        let table = Table {
            levels: (low..=high).map(|code| zero_point + code * steps).collect(),
            bounds: (low..high).map(|code| zero_point + code * steps + steps / 2 + 1).collect(),
        };
        EdgeCode { bits: 8, scale: parameters[0] / steps as f32, zero_point, table: Some(table) }
    }

    fn rounding(self: Arc<Self>) -> Arc<dyn Rounding> {
        self
    }
}

impl Rounding for LsqEdge {
    fn len(&self) -> usize {
        1
    }

    fn set(&self, values: &[f32]) {
        *self.step.write().unwrap_or_else(PoisonError::into_inner) = values[0];
    }

    fn forward(&self, isa: Isa, x: &[f32], y: &mut [f32]) {
        fake_quant::fake_quant(isa, &self.quant(), x, y);
    }

    fn backward(&self, isa: Isa, x: &[f32], grad: &mut [f32], parameters: &mut [f32]) {
        let sum = fake_quant::clipped_backward_in_place(isa, &self.quant(), x, grad);
        parameters[0] = sum as f32 * self.range.factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V: [f32; 8] = [-1.3, -0.55, -0.25, -0.1, 0.0, 0.22, 0.45, 0.8];
    const G: [f32; 8] = [1.0, -1.0, 0.5, 2.0, 1.0, -0.5, 1.0, 0.25];

    fn near(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 2e-6), "{found:?}, {expected:?}");
    }

    #[test]
    fn the_worked_examples_have_their_values() {
        type Case = (u8, f32, [i32; 8], [f32; 8], f32);
        let cases: [Case; 2] = [
            (2, 0.917500, [-2, -1, -1, 0, 0, 1, 1, 1], [0.0, -1.0, 0.5, 2.0, 1.0, -0.5, 0.0, 0.0], -0.366812),
            (
                3,
                0.529719,
                [-3, -1, -1, 0, 0, 1, 1, 2],
                [1.0, -1.0, 0.5, 2.0, 1.0, -0.5, 1.0, 0.25],
                -0.033170,
            ),
        ];
        for (bits, start, codes, dv, ds) in cases {
            let lsq = Lsq::new(bits, 8, Start::Published);
            near(&lsq.start(&V), &[start]);
            assert_eq!(lsq.code(&[0.4], &V).codes, codes);
            let mut out = [0.0; 8];
            lsq.forward(&[0.4], &V, None, &mut out);
            near(&out, &codes.map(|q| q as f32 * 0.4));
            let (mut grad, mut step) = (G, [0.0]);
            lsq.backward(&[0.4], &V, &mut grad, &mut step);
            near(&grad, &dv);
            near(&step, &[ds]);
        }
    }

    #[test]
    fn the_unsigned_example_has_its_values() {
        let edge = LsqEdge::new(2, false, 6);
        Rounding::set(&edge, &[0.4]);
        let x = [0.0, 0.15, 0.5, 0.9, 1.3, 2.0];
        let mut y = [0.0; 6];
        edge.forward(Isa::from_env().unwrap(), &x, &mut y);
        near(&y, &[0.0, 0.0, 0.4, 0.8, 1.2, 1.2]);
        let (mut grad, mut step) = ([1.0, -1.0, 0.5, 2.0, 1.0, -0.5], [0.0]);
        edge.backward(Isa::from_env().unwrap(), &x, &mut grad, &mut step);
        near(&step, &[0.294628]);
        near(&grad, &[0.0, -1.0, 0.5, 2.0, 0.0, 0.0]);
    }

    #[test]
    fn the_grid_of_the_code_has_thresholds_where_the_rounding_has() {
        for (bits, signed) in
            [(2, false), (3, false), (4, false), (7, false), (2, true), (3, true), (4, true)]
        {
            let edge = LsqEdge::new(bits, signed, 1);
            let (step, isa) = (0.37f32, Isa::from_env().unwrap());
            Rounding::set(&edge, &[step]);
            let code = EdgeQuantizer::code(&edge, &[step]);
            let table = code.table.unwrap();
            assert_eq!(table.levels.len(), 1 << bits);
            for i in -4000..4000 {
                // No value lies within rounding of a threshold.
                let x = (i as f32 + 0.3) * 1e-3 * step * 5.0;
                let mut y = [0.0];
                edge.forward(isa, &[x], &mut y);
                let g = ((x / code.scale).round_ties_even() as i32 + code.zero_point).clamp(0, 255);
                let level = table.levels[table.bounds.iter().filter(|b| **b <= g).count()];
                let decoded = (level - code.zero_point) as f32 * code.scale;
                assert!((decoded - y[0]).abs() < 1e-5, "{bits} {signed} {x}: {decoded} {}", y[0]);
            }
        }
    }

    #[test]
    fn multiples_of_the_step_are_kept_and_move_it_nowhere() {
        let lsq = Lsq::new(3, 4, Start::Mse);
        let v = [-0.75, 0.25, 0.0, 0.5];
        let (mut out, mut grad, mut step) = ([0.0; 4], [1.0, -2.0, 3.0, 0.5], [0.0]);
        lsq.forward(&[0.25], &v, None, &mut out);
        assert_eq!(out, v);
        lsq.backward(&[0.25], &v, &mut grad, &mut step);
        assert_eq!(step, [0.0]);
    }

    #[test]
    fn with_the_rounding_held_the_step_gradient_is_a_finite_difference() {
        // v̂ = (v/s + r)·s with r = code - v/s held, and the ends held as codes.
        let (lsq, s) = (Lsq::new(3, 8, Start::Mse), 0.31f32);
        let mut grad = G;
        let mut step = [0.0];
        lsq.backward(&[s], &V, &mut grad, &mut step);
        let loss = |at: f64| -> f64 {
            V.iter()
                .zip(G)
                .map(|(&v, g)| {
                    let u = f64::from(v) / f64::from(s);
                    let code = u.clamp(-4.0, 3.0).round_ties_even();
                    let out = if u > -4.0 && u < 3.0 { f64::from(v) + (code - u) * at } else { code * at };
                    f64::from(g) * out
                })
                .sum()
        };
        let h = 1e-5;
        let difference = (loss(f64::from(s) + h) - loss(f64::from(s) - h)) / (2.0 * h);
        let expected = difference / (8.0f64 * 3.0).sqrt();
        assert!((f64::from(step[0]) - expected).abs() < 1e-5, "{step:?} {expected}");
    }
}
