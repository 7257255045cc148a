//! `bias-correction`: undoes the shift that rounding gives a channel's weights (Banner et al. 2019, step C).
//!
//! Rounding leaves each output channel `c` with a mean error `μ_c = E(W_c) − E(Q_c)` (and a wrong spread, ratio
//! `ξ_c = σ(W_c)/σ(Q_c)`), which shows as a shift of the channel's output. Two ways to return it:
//!
//! * `form = "expected"` (default, runs everywhere): the output shift is computed from the mean of each input channel seen
//!   in calibration, `Δb_c = Σ (W − Q)[c, k]·E[x_k]`, and added to the bias. It takes each tap's own error, not only
//!   the channel's mean.
//! * `form = "shift"` (the paper's): `Q_c + μ_c`, a real-valued zero point that only some targets have.
//!
//! `variance = true` first multiplies the channel's scale by `ξ_c`.

use super::range::{per_channel, rescaled};
use crate::method::{Entry, Method, MethodError};
use crate::plan::Plan;
use crate::site::WeightSite;
use crate::workbench::{Workbench, channel};
use lowbit_graph::Op;
use lowbit_tensor::{Code, Moments, Uniform};
use serde::Deserialize;

pub(super) const ENTRY: Entry = Entry::new::<BiasCorrection>(
    "bias-correction",
    "returns the output shift that weight rounding causes",
    &[
        (
            "form",
            "expected (default): into the bias, from mean inputs | shift: a real zero point, as in the paper",
        ),
        ("variance", "also restore each channel's spread through its scale (default false)"),
    ],
);

/// Where the correction goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Into the bias, from the expected input.
    #[default]
    Expected,
    /// Into a real-valued zero point.
    Shift,
}

/// Options.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BiasCorrection {
    /// Where the correction goes.
    pub form: Form,
    /// Whether the spread is restored too.
    pub variance: bool,
}

impl Method for BiasCorrection {
    fn refine(&self, mut plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        if self.form == Form::Shift && !bench.target.weight_shift {
            let message = format!(
                "target `{}` has no real-valued zero point; use form = \"expected\"",
                bench.target.name
            );
            return Err(MethodError::Needs { step: ENTRY.id, message });
        }
        for (i, site) in bench.sites.weights.iter().enumerate() {
            let setting = &mut plan.weights[i];
            if !setting.is_quantized() {
                continue;
            }
            let Some(code) = &setting.code else {
                let message =
                    format!("the weight of `{}` has no code yet; put a range step first", site.name);
                return Err(MethodError::Needs { step: ENTRY.id, message });
            };
            let (tensor, float) = bench.weight(site);
            // A vector is one channel: its first axis is summed over, so nothing of it is an output channel.
            let Some(axis) = site.channel_axis else { continue };
            let shape = tensor.shape();
            let values = setting.values.as_deref().unwrap_or(&float);
            let (mut code, mut values) = (code.clone(), std::borrow::Cow::Borrowed(values));
            if let Code::Uniform(code) = &mut code {
                if self.variance {
                    let (spread, replaced) = restore_spread(code, &values, shape, axis);
                    (*code, values) = (spread, replaced.into());
                }
                if self.form == Form::Shift {
                    *code = restore_mean(code, &values, &float, shape, axis);
                }
            } else if self.variance || self.form == Form::Shift {
                let message = format!(
                    "the weight of `{}` is a sum of points, whose spread and zero point are no one number; use form = \
                     \"expected\" without variance",
                    site.name
                );
                return Err(MethodError::Needs { step: ENTRY.id, message });
            }
            if self.form == Form::Expected {
                let inputs = site.reads.map(|r| bench.seen.edges[r].channels.as_slice());
                let mut rounded = values.to_vec();
                code.fake_quantize(&mut rounded, shape);
                let error: Vec<f32> = float.iter().zip(&rounded).map(|(w, q)| w - q).collect();
                let op = &bench.graph.nodes[site.node.0].op;
                if let Some(shift) = inputs.and_then(|m| expected_shift(op, site, &error, shape, m)) {
                    plan.bias_shift.insert(i, shift);
                }
            }
            if self.variance {
                setting.values = Some(values.into_owned());
            }
            setting.set(code, ENTRY.id);
        }
        Ok(plan)
    }
}

/// Output shift per channel of weight errors `error`, for inputs whose channels have the given means; `None` where
/// channels of the input and taps of the weight do not correspond (a product without a bias).
fn expected_shift(
    op: &Op,
    site: &WeightSite,
    error: &[f32],
    shape: &[usize],
    inputs: &[Moments],
) -> Option<Vec<f32>> {
    let mean = |k: usize| inputs[k].mean() as f32;
    match op {
        Op::Conv(op) => {
            let [outputs, per_group] = [shape[0], shape[1]];
            let taps: usize = shape[2..].iter().product();
            if inputs.len() != per_group * op.group {
                return None;
            }
            let row = |c: usize| {
                let group = c / (outputs / op.group);
                let channel = |k: usize| {
                    let start = (c * per_group + k) * taps;
                    error[start..start + taps].iter().sum::<f32>() * mean(group * per_group + k)
                };
                (0..per_group).map(channel).sum()
            };
            Some((0..outputs).map(row).collect())
        }
        Op::Gemm(_) => {
            let (rows, columns) = (shape[0], shape[1]);
            let (outputs, features) =
                if site.channel_axis == Some(0) { (rows, columns) } else { (columns, rows) };
            if inputs.len() != features {
                return None;
            }
            let at = |c: usize, k: usize| {
                if site.channel_axis == Some(0) { c * columns + k } else { k * columns + c }
            };
            Some((0..outputs).map(|c| (0..features).map(|k| error[at(c, k)] * mean(k)).sum()).collect())
        }
        _ => None,
    }
}

/// Mean and standard deviation (divisor `n`) of each channel.
fn spreads(values: &[f32], shape: &[usize], axis: usize) -> Vec<(f64, f64)> {
    let of = |c: usize| {
        let values = channel(values, shape, axis, c).map(f64::from);
        let n = values.clone().count().max(1) as f64;
        let mean = values.clone().sum::<f64>() / n;
        (mean, (values.map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
    };
    (0..shape[axis]).map(of).collect()
}

/// What the code makes of the values.
fn decoded(code: &Uniform, values: &[f32], shape: &[usize]) -> Vec<f32> {
    let mut decoded = values.to_vec();
    code.fake_quantize(&mut decoded, shape);
    decoded
}

/// The code with a shift by which each decoded channel has the mean of the float one.
pub fn restore_mean(code: &Uniform, values: &[f32], float: &[f32], shape: &[usize], axis: usize) -> Uniform {
    let code = Uniform { shift: None, ..per_channel(code, shape, axis) };
    let (wanted, found) = (spreads(float, shape, axis), spreads(&decoded(&code, values, shape), shape, axis));
    let shift = wanted.iter().zip(&found).map(|(w, f)| (w.0 - f.0) as f32).collect();
    Uniform { shift: Some(shift), ..code }
}

/// The code with each channel's scale multiplied so that its decoded spread is the float one (`ξ`, with `+ 1e-8` as in
/// the authors' code), and the values that this code encodes as the given one encodes `values`.
pub fn restore_spread(code: &Uniform, values: &[f32], shape: &[usize], axis: usize) -> (Uniform, Vec<f32>) {
    let code = per_channel(code, shape, axis);
    let (wanted, found) =
        (spreads(values, shape, axis), spreads(&decoded(&code, values, shape), shape, axis));
    let factor =
        |(w, f): (&(f64, f64), &(f64, f64))| if f.1 > 0.0 { (w.1 / (f.1 + 1e-8)) as f32 } else { 1.0 };
    let factors: Vec<f32> = wanted.iter().zip(&found).map(factor).collect();
    rescaled(&code, values, shape, axis, &factors)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [[f32; 6]; 2] = [[0.31, -0.12, 0.05, 0.44, -0.27, 0.09], [-1.5, 0.2, 0.3, 0.1, -0.4, 0.65]];

    /// The 3-bit min-max code of one row.
    fn row_code(row: &[f32]) -> Uniform {
        let [lo, hi] = super::super::minmax::extremes(row);
        Uniform { axis: Some(0), ..Uniform::covering(lo, hi, 3) }
    }

    fn assert_close(found: &[f32], expected: &[f32]) {
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 2e-6, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn worked_examples() {
        let cases = [
            (
                [6, 2, 3, 7, 0, 4],
                [0.320000, -0.085714, 0.015714, 0.421429, -0.288571, 0.117143],
                [0.321036, -0.086454, 0.015418, 0.422908, -0.290199, 0.117291],
            ),
            (
                [0, 6, 6, 5, 4, 7],
                [-1.541667, 0.301190, 0.301190, -0.005952, -0.313095, 0.608333],
                [-1.528562, 0.297446, 0.297446, -0.006888, -0.311223, 0.601781],
            ),
        ];
        for (row, (codes, mean_only, both)) in ROWS.iter().zip(cases) {
            let (code, shape) = (row_code(row), [1, 6]);
            assert_eq!(code.codes(row, &shape), codes);
            let mean = restore_mean(&code, row, row, &shape, 0);
            assert_close(&decoded(&mean, row, &shape), &mean_only);
            let (spread, replaced) = restore_spread(&code, row, &shape, 0);
            assert_eq!(spread.codes(&replaced, &shape), codes);
            let full = restore_mean(&spread, &replaced, row, &shape, 0);
            assert_close(&decoded(&full, &replaced, &shape), &both);
        }
    }

    #[test]
    fn corrected_channels_have_the_float_mean_and_spread() {
        let values: Vec<f32> =
            (0..60).map(|i| ((i * 37 % 61) as f32 / 30.0 - 1.0) * (1.0 + (i / 20) as f32)).collect();
        let shape = [3, 20];
        let code = Uniform {
            bits: vec![3; 3],
            scale: vec![0.4, 0.9, 1.1],
            zero_point: vec![0; 3],
            axis: Some(0),
            signed: true,
            shift: None,
        };
        let (spread, replaced) = restore_spread(&code, &values, &shape, 0);
        let full = restore_mean(&spread, &replaced, &values, &shape, 0);
        let (wanted, found) =
            (spreads(&values, &shape, 0), spreads(&decoded(&full, &replaced, &shape), &shape, 0));
        for (w, f) in wanted.iter().zip(&found) {
            assert!((w.0 - f.0).abs() < 1e-6 && (w.1 - f.1).abs() < 1e-5, "{w:?} {f:?}");
        }
    }

    #[test]
    fn the_expected_shift_is_the_error_times_the_mean_input() {
        let mut x = Moments::default();
        x.add(1, 2.0, 0.0, 0.0);
        let mut y = Moments::default();
        y.add(1, -1.0, 0.0, 0.0);
        let site = WeightSite {
            name: "fc".into(),
            node: lowbit_graph::NodeId(0),
            input: 1,
            value: lowbit_graph::ValueId(0),
            channel_axis: Some(0),
            reads: None,
            first_or_last: false,
        };
        let op = Op::Conv(lowbit_graph::ops::Conv { window: lowbit_graph::ops::Window::default(), group: 1 });
        let shift = expected_shift(&op, &site, &[0.1, 0.2, 0.3, 0.4], &[2, 2, 1, 1], &[x, y]).unwrap();
        assert_close(&shift, &[0.0, 0.2]);
    }
}
