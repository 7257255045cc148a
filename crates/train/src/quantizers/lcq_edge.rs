//! LCQ of an edge: clipped, companded, rounded, expanded, on a grid of 8 bits.
//!
//! Both ends of the quantizer lie on the outer grid (steps of `α/255`, or `α/127` where values have signs): a value is
//! first rounded to the grid, then to one of the levels. Thresholds so move by half a step of the grid at most, and what
//! is trained is exactly what a runtime does: requantize to 8 bits, look up a table of 256.

use super::companding::Sums;
use super::lcq::{LEAST_CLIP, StraightThrough};
use super::{Companding, EdgeCode, EdgeQuantizer, Table, search_clip};
use lowbit_engine::Rounding;
use lowbit_kernels::staircase::{clipped_sums, staircase};
use lowbit_kernels::{Isa, Staircase};
use lowbit_tensor::{Levels, Uniform};
use std::sync::{Arc, PoisonError, RwLock};

/// The edge quantizer. Parameters: α, then θ if levels are learned.
#[derive(Debug)]
pub struct LcqEdge {
    signed: bool,
    /// Levels beyond zero.
    s: usize,
    intervals: usize,
    rule: StraightThrough,
    /// Steps of the outer grid from 0 to α; `None` leaves levels and thresholds as they are.
    outer: Option<f64>,
    /// Of the gradient of α.
    factor: f32,
    /// Of the gradient of θ.
    shape_rate: f32,
    now: RwLock<Arc<Rounded>>,
}

/// The quantizer for the parameters of one step.
#[derive(Clone, Debug)]
struct Rounded {
    f: Companding,
    alpha: f32,
    /// Step of the grid; α without one.
    unit: f32,
    /// Magnitudes of the levels in steps of the grid (of α without one), and where on it each but the first begins.
    levels: Vec<f32>,
    bounds: Vec<f32>,
    /// The rounding of real numbers.
    stairs: Staircase,
    /// Where the interval or the code of a magnitude changes, ascending, and both from there on; first those of 0.
    breaks: Vec<f32>,
    cells: Vec<[usize; 2]>,
}

impl LcqEdge {
    /// For an edge of `elements` values per sample; `intervals` of 0 keeps levels evenly spaced.
    pub fn new(bits: u8, signed: bool, elements: usize, intervals: usize, rule: StraightThrough) -> LcqEdge {
        let s = if signed { (1usize << (bits - 1)) - 1 } else { (1 << bits) - 1 };
        LcqEdge::with(s, signed, intervals, rule, Some(if signed { 127.0 } else { 255.0 }))
            .scaled((s as f64 / elements.max(1) as f64).sqrt())
    }

    fn with(s: usize, signed: bool, intervals: usize, rule: StraightThrough, outer: Option<f64>) -> LcqEdge {
        // One level beyond zero leaves nothing to shape.
        let intervals = if s == 1 { 0 } else { intervals };
        let start = [vec![1.0], vec![0.0; intervals]].concat();
        let now = RwLock::new(Arc::new(Rounded::new(s, signed, outer, &start)));
        LcqEdge { signed, s, intervals, rule, outer, factor: 1.0, shape_rate: 1.0, now }
    }

    fn scaled(self, factor: f64) -> LcqEdge {
        LcqEdge { factor: factor as f32, ..self }
    }

    /// With the learning rate of θ multiplied.
    pub fn shaped(self, shape_rate: f32) -> LcqEdge {
        LcqEdge { shape_rate, ..self }
    }

    fn rounded(&self) -> Arc<Rounded> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Rounded {
    fn new(s: usize, signed: bool, outer: Option<f64>, parameters: &[f32]) -> Rounded {
        let f =
            if parameters.len() > 1 { Companding::new(&parameters[1..]) } else { Companding::new(&[0.0]) };
        let alpha = parameters[0];
        let (mut levels, mut bounds) = (f.levels(s), f.thresholds(s));
        if let Some(steps) = outer {
            // Magnitude g of the grid stands for all within half a step of it: it is past t from `t·steps + ½` on.
            bounds.iter_mut().for_each(|t| *t = (*t * steps).floor() + 1.0);
            levels.iter_mut().for_each(|z| *z = (*z * steps).round_ties_even());
            // However steep f is, every level stays apart from the next, and within its own bounds.
            for m in 1..=s {
                levels[m] = levels[m].max(levels[m - 1] + 1.0).min(steps - (s - m) as f64);
                bounds[m - 1] = bounds[m - 1].clamp(levels[m - 1] + 1.0, levels[m]);
            }
        }
        let unit = (f64::from(alpha) / outer.unwrap_or(1.0)) as f32;
        let narrow = |x: Vec<f64>| -> Vec<f32> { x.into_iter().map(|x| x as f32).collect() };
        let (levels, bounds) = (narrow(levels), narrow(bounds));
        // Of real magnitudes, exactly as rounding to the grid has them.
        let thresholds: Vec<f32> = match outer {
            None => bounds.iter().map(|t| t * alpha).collect(),
            Some(_) => {
                let integers = |x: &[f32]| x.iter().map(|&x| x as i32).collect();
                let grid = Uniform::per_tensor(8, false, unit, 0);
                Levels { grid, levels: integers(&levels), bounds: integers(&bounds) }.thresholds(0)
            }
        };
        let values: Vec<f32> = levels.iter().map(|z| z * unit).collect();
        let stairs = if signed {
            // Below zero a threshold belongs to the level nearer to zero: the number just above it begins that level.
            let mirrored = thresholds.iter().rev().map(|t| (-t).next_up());
            Staircase::new(
                mirrored.chain(thresholds.iter().copied()).collect(),
                values[1..].iter().rev().map(|z| -z).chain(values.iter().copied()).collect(),
            )
        } else {
            Staircase::new(thresholds.clone(), values)
        };
        let k = f.intervals();
        let edges = (1..k).map(|i| (alpha * i as f32 / k as f32, 0));
        let mut marks: Vec<(f32, usize)> = edges.chain(thresholds.iter().map(|&t| (t, 1))).collect();
        marks.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut cells = vec![[0; 2]];
        for (_, what) in &marks {
            let mut next = cells[cells.len() - 1];
            next[*what] += 1;
            cells.push(next);
        }
        let breaks = marks.into_iter().map(|(at, _)| at.max(f32::MIN_POSITIVE)).collect();
        Rounded { f, alpha, unit, levels, bounds, stairs, breaks, cells }
    }
}

impl EdgeQuantizer for LcqEdge {
    fn len(&self) -> usize {
        1 + self.intervals
    }

    fn start(&self, seen: &[f32]) -> Vec<f32> {
        let (low, s) = (if self.signed { -(self.s as f32) } else { 0.0 }, self.s as f32);
        let seen: Vec<f32> = seen.iter().map(|&x| if self.signed { x } else { x.max(0.0) }).collect();
        let clip = search_clip(&seen, |clip, x| (x * s / clip).clamp(low, s).round_ties_even() * clip / s);
        let mut parameters = vec![0.0; 1 + self.intervals];
        parameters[0] = clip.max(LEAST_CLIP);
        parameters
    }

    fn constrain(&self, parameters: &mut [f32]) {
        parameters[0] = parameters[0].max(LEAST_CLIP);
    }

    fn code(&self, parameters: &[f32]) -> EdgeCode {
        let now = Rounded::new(self.s, self.signed, self.outer, parameters);
        let magnitudes: Vec<i32> = now.levels.iter().map(|&z| z as i32).collect();
        let reached: Vec<i32> = now.bounds.iter().map(|&b| b as i32).collect();
        let table = if self.signed {
            let levels = magnitudes[1..].iter().rev().map(|m| 128 - m);
            let bounds = reached.iter().rev().map(|b| 128 - b + 1);
            Table {
                levels: levels.chain(magnitudes.iter().map(|m| 128 + m)).collect(),
                bounds: bounds.chain(reached.iter().map(|b| 128 + b)).collect(),
            }
        } else {
            Table { levels: magnitudes, bounds: reached }
        };
        let zero_point = if self.signed { 128 } else { 0 };
        EdgeCode { bits: 8, scale: now.unit, zero_point, table: Some(table) }
    }

    fn rounding(self: Arc<Self>) -> Arc<dyn Rounding> {
        self
    }
}

impl Rounding for LcqEdge {
    fn len(&self) -> usize {
        1 + self.intervals
    }

    fn set(&self, values: &[f32]) {
        let now = Rounded::new(self.s, self.signed, self.outer, values);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
    }

    fn forward(&self, isa: Isa, x: &[f32], y: &mut [f32]) {
        staircase(isa, &self.rounded().stairs, x, y);
    }

    fn backward(&self, isa: Isa, x: &[f32], grad: &mut [f32], parameters: &mut [f32]) {
        let now = self.rounded();
        let mut found = vec![[0.0; 2]; now.cells.len()];
        let beyond = clipped_sums(isa, now.alpha, self.signed, &now.breaks, x, grad, &mut found);
        let alpha = f64::from(now.alpha);
        let (mut sums, mut by_alpha) = (Sums::new(now.f.intervals(), self.s + 1), beyond);
        for (&[interval, code], [c, cx]) in now.cells.iter().zip(found) {
            let (level, cv) = (f64::from(now.levels[code] * now.unit) / alpha, cx / alpha);
            by_alpha += level * c - cv;
            sums.add(interval, code, [c * alpha, cv * alpha]);
        }
        parameters[0] = by_alpha as f32 * self.factor;
        if self.intervals > 0 {
            let shape = now.f.gradient(&sums);
            parameters[1..].iter_mut().zip(shape).for_each(|(p, g)| *p = g as f32 * self.shape_rate);
        }
        if self.rule == StraightThrough::Rounding {
            let slope = |&[interval, code]: &[usize; 2]| {
                now.f.slope_ratio(interval, code as f64 / self.s as f64) as f32
            };
            let slopes = Staircase::new(now.breaks.clone(), now.cells.iter().map(slope).collect());
            grad.iter_mut().zip(x).for_each(|(g, x)| *g *= slopes.value(x.abs()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARAMETERS: [f32; 5] = [2.0, 0.8, 0.3, -0.2, -0.9];
    const X: [f32; 8] = [-0.4, 0.1, 0.35, 0.7, 1.1, 1.6, 1.95, 2.5];
    const G: [f32; 8] = [1.0, -1.0, 0.5, 2.0, 1.0, -0.5, 1.0, 0.25];

    fn isa() -> Isa {
        Isa::from_env().unwrap()
    }

    fn near(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 3e-6), "{found:?}, {expected:?}");
    }

    fn run(edge: &LcqEdge, parameters: &[f32], x: &[f32], g: &[f32]) -> [Vec<f32>; 3] {
        Rounding::set(edge, parameters);
        let (mut y, mut grad) = (vec![0.0; x.len()], g.to_vec());
        let mut by = vec![0.0; parameters.len()];
        edge.forward(isa(), x, &mut y);
        edge.backward(isa(), x, &mut grad, &mut by);
        [y, grad, by]
    }

    #[test]
    fn the_unsigned_example_has_its_values() {
        let edge = LcqEdge::with(3, false, 4, StraightThrough::Paper, None);
        let [y, grad, by] = run(&edge, &PARAMETERS, &X, &G);
        near(&y, &[0.0, 0.0, 0.359516, 0.861121, 0.861121, 2.0, 2.0, 2.0]);
        near(&grad, &[0.0, -1.0, 0.5, 2.0, 1.0, -0.5, 1.0, 0.0]);
        near(&by, &[0.269061, -0.068844, -0.161582, 0.073865, 0.156561]);
        for (x, expected) in [
            (0.7, [0.074694, -0.115817, 0.027478, 0.013645]),
            (1.1, [-0.092500, 0.082774, 0.026624, -0.016898]),
            (1.6, [0.185435, 0.112472, 0.068218, -0.366124]),
        ] {
            near(&run(&edge, &PARAMETERS, &[x], &[1.0])[2][1..], &expected);
        }
    }

    #[test]
    fn levels_of_the_outer_grid_are_the_table() {
        let edge = LcqEdge::new(2, false, 8, 4, StraightThrough::Paper);
        let code = EdgeQuantizer::code(&edge, &PARAMETERS);
        let table = code.table.unwrap();
        assert_eq!(table.levels, [0, 46, 110, 255]);
        // Thresholds 0.089879, 0.282375, 0.629830 of 255: the codes just past them.
        assert_eq!(table.bounds, [23, 73, 161]);
        assert_eq!((code.scale, code.zero_point), (2.0 / 255.0, 0));
    }

    #[test]
    fn the_other_rule_scales_by_the_slopes() {
        let edge = LcqEdge::with(3, false, 4, StraightThrough::Rounding, None);
        let [_, grad, _] = run(&edge, &PARAMETERS, &[1.1], &[1.0]);
        // i = 2, j = 1.
        near(&grad, &[0.682176 / 1.124718]);
    }

    #[test]
    fn whatever_the_shape_levels_stay_apart() {
        for theta in [[9.0, -9.0, -9.0, -9.0], [-9.0, -9.0, -9.0, 9.0]] {
            let edge = LcqEdge::new(4, false, 8, 4, StraightThrough::Paper);
            let table = EdgeQuantizer::code(&edge, &[&[1.0], &theta[..]].concat()).table.unwrap();
            assert!(table.levels.windows(2).all(|w| w[0] < w[1]), "{table:?}");
            assert!(table.bounds.windows(2).all(|w| w[0] < w[1]), "{table:?}");
            assert_eq!((table.levels[0], table.levels[15]), (0, 255));
        }
    }

    proptest! {
        /// What training computes is what the code says: grid, then table.
        #[test]
        fn the_code_is_the_rounding(
            signed: bool,
            bits in 2u8..5,
            x in prop::collection::vec(-3f32..3.0, 1..50),
            theta in prop::collection::vec(-2f32..2.0, 16),
        ) {
            let edge = LcqEdge::new(bits, signed, 8, 16, StraightThrough::Paper);
            let parameters: Vec<f32> = [vec![1.7], theta].concat()[..EdgeQuantizer::len(&edge)].to_vec();
            let [y, ..] = run(&edge, &parameters, &x, &vec![0.0; x.len()]);
            let code = EdgeQuantizer::code(&edge, &parameters);
            let table = code.table.unwrap();
            for (x, y) in x.iter().zip(y) {
                let g = ((x / code.scale).round_ties_even() as i32 + code.zero_point).clamp(0, 255);
                let level = table.levels[table.bounds.iter().filter(|b| **b <= g).count()];
                prop_assert_eq!((level - code.zero_point) as f32 * code.scale, y);
            }
        }

        #[test]
        fn more_is_never_rounded_to_less(a in 0f32..3.0, b in 0f32..3.0) {
            let edge = LcqEdge::new(3, false, 8, 4, StraightThrough::Paper);
            let [y, ..] = run(&edge, &PARAMETERS, &[a.min(b), a.max(b)], &[0.0; 2]);
            prop_assert!(y[0] <= y[1]);
        }
    }
}
