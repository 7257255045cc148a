//! The companding function of LCQ: monotone, piecewise linear, `[0, 1]` onto itself, trained.
//!
//! `K` intervals of equal width `1/K` on the input axis; on interval `k` the slope is `γ_k = K·π_k` with
//! `π = softmax(θ)`, so `f` rises from `β_k = π_0 + … + π_{k-1}` to `β_{k+1}` (Yamamoto 2021, eq. 3-5). Computed in f64:
//! sums of f32 may end short of 1, and then the top level is not 1.

/// Smallest share of an interval: slopes are divided by, squared.
const LEAST: f64 = 1e-6;

/// `f` for one θ, with what its inverse and its gradient need.
#[derive(Clone, Debug, PartialEq)]
pub struct Companding {
    /// softmax(θ).
    pi: Vec<f64>,
    /// `K + 1` values of f at the left edges of the intervals, and 1.
    beta: Vec<f64>,
}

impl Companding {
    /// From shape parameters, at least one. All equal ones give `f(v) = v`.
    pub fn new(theta: &[f32]) -> Companding {
        let largest = theta.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exps: Vec<f64> = theta.iter().map(|&t| libm::exp(f64::from(t) - f64::from(largest))).collect();
        let sum: f64 = exps.iter().sum();
        let clamped: Vec<f64> = exps.iter().map(|e| (e / sum).max(LEAST)).collect();
        let sum: f64 = clamped.iter().sum();
        let pi: Vec<f64> = clamped.iter().map(|p| p / sum).collect();
        let mut beta: Vec<f64> = std::iter::once(0.0)
            .chain(pi.iter().scan(0.0, |sum, p| {
                *sum += p;
                Some(*sum)
            }))
            .collect();
        *beta.last_mut().expect("at least one interval") = 1.0;
        Companding { pi, beta }
    }

    /// Number of intervals.
    pub fn intervals(&self) -> usize {
        self.pi.len()
    }

    fn gamma(&self, k: usize) -> f64 {
        self.pi.len() as f64 * self.pi[k]
    }

    /// Left edge of an interval on the input axis.
    fn edge(&self, k: usize) -> f64 {
        k as f64 / self.pi.len() as f64
    }

    /// The interval that `v` in `[0, 1]` lies in.
    pub fn interval(&self, v: f64) -> usize {
        ((v * self.pi.len() as f64) as usize).min(self.pi.len() - 1)
    }

    /// The interval whose image `q` in `[0, 1]` lies in.
    fn image_interval(&self, q: f64) -> usize {
        self.beta[1..].partition_point(|&end| end <= q).min(self.pi.len() - 1)
    }

    /// `f(v)` for `v` in `[0, 1]`.
    pub fn compress(&self, v: f64) -> f64 {
        let i = self.interval(v);
        if v >= 1.0 { 1.0 } else { self.gamma(i) * (v - self.edge(i)) + self.beta[i] }
    }

    /// `f⁻¹(q)` for `q` in `[0, 1]`.
    pub fn expand(&self, q: f64) -> f64 {
        let j = self.image_interval(q);
        if q >= 1.0 { 1.0 } else { (q - self.beta[j]) / self.gamma(j) + self.edge(j) }
    }

    /// Slope of compressing in interval `i` over that of expanding at `q`.
    pub fn slope_ratio(&self, i: usize, q: f64) -> f64 {
        self.gamma(i) / self.gamma(self.image_interval(q))
    }

    /// The levels `f⁻¹(m/s)`, `m = 0..=s`: from 0 to 1, ascending.
    pub fn levels(&self, s: usize) -> Vec<f64> {
        (0..=s).map(|m| self.expand(m as f64 / s as f64)).collect()
    }

    /// The thresholds `f⁻¹((m - ½)/s)`, `m = 1..=s`: the code of `v` is how many lie at or below it.
    pub fn thresholds(&self, s: usize) -> Vec<f64> {
        (1..=s).map(|m| self.expand((m as f64 - 0.5) / s as f64)).collect()
    }

    /// `dL/dθ` from what was summed over the elements; by interval and code.
    pub fn gradient(&self, sums: &Sums) -> Vec<f64> {
        let (k, s) = (self.pi.len(), sums.levels - 1);
        let (mut by_gamma, mut by_beta) = (vec![0.0; k], vec![0.0; k]);
        for m in 0..=s {
            let q = m as f64 / s as f64;
            let j = self.image_interval(q);
            let gamma = self.gamma(j);
            for i in 0..k {
                let [a0, a1] = sums.at(i, m);
                by_gamma[i] += (a1 - self.edge(i) * a0) / gamma;
                by_gamma[j] -= a0 * (q - self.beta[j]) / (gamma * gamma);
                by_beta[i] += a0 / gamma;
                by_beta[j] -= a0 / gamma;
            }
        }
        let mut above = 0.0;
        let mut by_pi = vec![0.0; k];
        for i in (0..k).rev() {
            by_pi[i] = k as f64 * by_gamma[i] + above;
            above += by_beta[i];
        }
        let mean: f64 = self.pi.iter().zip(&by_pi).map(|(p, g)| p * g).sum();
        self.pi.iter().zip(&by_pi).map(|(p, g)| p * (g - mean)).collect()
    }
}

/// `Σ c` and `Σ c·v` over the elements below the clip, by interval of `v` and by code, with `c = g·sgn(x)·α`.
#[derive(Clone, Debug)]
pub struct Sums {
    levels: usize,
    cells: Vec<[f64; 2]>,
}

impl Sums {
    /// For `intervals` intervals and codes `0..levels`, empty.
    pub fn new(intervals: usize, levels: usize) -> Sums {
        Sums { levels, cells: vec![[0.0; 2]; intervals * levels] }
    }

    /// Adds to one cell.
    pub fn add(&mut self, interval: usize, code: usize, [c, cv]: [f64; 2]) {
        let cell = &mut self.cells[interval * self.levels + code];
        cell[0] += c;
        cell[1] += cv;
    }

    fn at(&self, interval: usize, code: usize) -> [f64; 2] {
        self.cells[interval * self.levels + code]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const THETA: [f32; 4] = [0.8, 0.3, -0.2, -0.9];

    fn assert_near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 2e-6, "{found:?}, expected {expected:?}");
        }
    }

    #[test]
    fn the_worked_example_has_its_values() {
        let f = Companding::new(&THETA);
        let at = [0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0];
        let values = [0.0, 0.185435, 0.463587, 0.632294, 0.744766, 0.812984, 0.915310, 0.966124, 1.0];
        assert_near(&at.map(|v| f.compress(v)), &values);
        assert_near(&f.levels(3), &[0.0, 0.179758, 0.430561, 1.0]);
        assert_near(&f.thresholds(1), &[0.282375]);
        assert_near(&f.thresholds(3), &[0.089879, 0.282375, 0.629830]);
        assert_near(&f.levels(7), &[0.0, 0.077039, 0.154078, 0.231117, 0.345883, 0.472899, 0.664732, 1.0]);
        let thresholds = [0.038520, 0.115559, 0.192598, 0.282375, 0.409391, 0.560026, 0.789146];
        assert_near(&f.thresholds(7), &thresholds);
    }

    #[test]
    fn equal_parameters_are_the_identity() {
        let f = Companding::new(&[0.7; 16]);
        for v in [0.0, 0.03, 1.0 / 16.0, 0.4999, 0.5, 0.97, 1.0] {
            assert_eq!(f.compress(v), v);
        }
        assert_near(&f.thresholds(3), &[1.0 / 6.0, 0.5, 5.0 / 6.0]);
    }

    proptest! {
        #[test]
        fn expanding_undoes_compressing(theta in prop::collection::vec(-3f32..3.0, 1..20), v in 0.0..=1.0) {
            let f = Companding::new(&theta);
            prop_assert!((f.expand(f.compress(v)) - v).abs() < 1e-12);
            for k in 0..=theta.len() {
                let edge = k as f64 / theta.len() as f64;
                prop_assert!((f.expand(f.compress(edge)) - edge).abs() < 1e-12);
            }
            let moved: Vec<f32> = theta.iter().map(|t| t + 0.5).collect();
            prop_assert!((Companding::new(&moved).compress(v) - f.compress(v)).abs() < 1e-6);
        }

        #[test]
        fn levels_ascend_from_zero_to_one(theta in prop::collection::vec(-6f32..6.0, 16), s in 1usize..16) {
            let levels = Companding::new(&theta).levels(s);
            prop_assert!(levels[0] == 0.0 && levels[s] == 1.0);
            prop_assert!(levels.windows(2).all(|w| w[0] < w[1]), "{levels:?}");
        }

        #[test]
        fn shape_gradients_sum_to_zero(theta in prop::collection::vec(-2f32..2.0, 4), c in -2.0..2.0, v in 0.0..0.999) {
            let f = Companding::new(&theta);
            let mut sums = Sums::new(4, 4);
            sums.add(f.interval(v), (f.compress(v) * 3.0).round() as usize, [c, c * v]);
            prop_assert!(f.gradient(&sums).iter().sum::<f64>().abs() < 1e-9);
        }

        /// With the rounding's offset `r` held, the output `f⁻¹(f(v) + r)` can be differentiated.
        #[test]
        fn shape_gradients_are_finite_differences(
            theta in prop::collection::vec(-1f32..1.0, 5),
            v in 0.01..0.99,
            s in 1usize..8,
        ) {
            let f = Companding::new(&theta);
            let m = (f.compress(v) * s as f64).round();
            let q = m / s as f64;
            let near_edge = |x: f64, edges: &[f64]| edges.iter().any(|e| (x - e).abs() < 1e-3);
            let edges: Vec<f64> = (0..=5).map(|k| f64::from(k) / 5.0).collect();
            prop_assume!(!near_edge(v, &edges) && !near_edge(q, &f.beta));
            let offset = q - f.compress(v);
            let mut sums = Sums::new(5, s + 1);
            sums.add(f.interval(v), m as usize, [1.0, v]);
            let gradient = f.gradient(&sums);
            for k in 0..5 {
                // f32 parameters: a step that they hold exactly.
                let step = 1.0 / 4096.0;
                let at = |sign: f32| {
                    let mut moved = theta.clone();
                    moved[k] += sign * step;
                    let f = Companding::new(&moved);
                    (f.expand(f.compress(v) + offset), f64::from(moved[k]))
                };
                let ((high, up), (low, down)) = (at(1.0), at(-1.0));
                let difference = (high - low) / (up - down);
                prop_assert!((difference - gradient[k]).abs() < 1e-5, "{difference} {gradient:?}");
            }
        }
    }
}
