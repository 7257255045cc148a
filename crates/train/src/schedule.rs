//! The learning rate over a run, as a share of its base value.

use serde::{Deserialize, Serialize};

/// How the learning rate goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// From the base to 0 along half a cosine.
    #[default]
    Cosine,
    /// A tenth of itself at each of these shares of the run, ascending in `(0, 1)`.
    Step(Vec<f64>),
    /// From a 25th to the base over the first 30 %, then to nearly 0 along half a cosine (Smith and Topin 2018).
    OneCycle,
    /// The base throughout.
    Constant,
}

impl Schedule {
    /// The factor at `step` of `steps`.
    pub fn factor(&self, step: u64, steps: u64) -> f64 {
        let share = step as f64 / steps.max(1) as f64;
        match self {
            Schedule::Cosine => half_cosine(share),
            Schedule::Step(at) => 0.1f64.powi(at.iter().filter(|&&at| share >= at).count() as i32),
            Schedule::OneCycle if share < 0.3 => {
                let least = 1.0 / 25.0;
                1.0 - (1.0 - least) * half_cosine(share / 0.3)
            }
            Schedule::OneCycle => half_cosine((share - 0.3) / 0.7).max(1e-4),
            Schedule::Constant => 1.0,
        }
    }
}

/// 1 at 0, ½ in the middle, 0 at 1.
fn half_cosine(share: f64) -> f64 {
    0.5 * (1.0 + libm::cos(std::f64::consts::PI * share.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_begins_and_ends_where_it_should() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        let cosine = Schedule::Cosine;
        for (step, factor) in [(0, 1.0), (50, 0.5), (100, 0.0)] {
            near(cosine.factor(step, 100), factor);
        }
        let step = Schedule::Step(vec![0.5, 0.75]);
        for (at, factor) in [(49, 1.0), (50, 0.1), (75, 0.01)] {
            near(step.factor(at, 100), factor);
        }
        let cycle = Schedule::OneCycle;
        for (at, factor) in [(0, 0.04), (30, 1.0), (65, 0.5)] {
            near(cycle.factor(at, 100), factor);
        }
        assert!(cycle.factor(99, 100) < 0.01);
        near(Schedule::Constant.factor(7, 9), 1.0);
    }
}
