//! From trained numbers to a plan: the codes of weights and edges, for the folded network.
//!
//! Folding multiplies each output channel of a weight by its normalization's gain. Codes stay what they were, but for
//! their sign where a gain is negative; the gain goes into the scale.

use crate::error::TrainError;
use crate::model::Model;
use crate::quantizers::{Coded, EdgeCode};
use lowbit_graph::Graph;
use lowbit_quantize::bias;
use lowbit_quantize::plan::{Plan, Setting};
use lowbit_quantize::site::{Sites, WeightSite};
use lowbit_tensor::{Code, Levels, Uniform};

/// The plan with the codes that a model has learned. `folded` is the model's own graph
/// ([`Model::graph_of`], weights quantized) prepared for inference, `sites` are its.
///
/// # Errors
/// When a site is missing, or codes cannot be written down.
pub fn plan(
    model: &Model,
    learned: &[Vec<f32>],
    folded: &Graph,
    sites: &Sites,
    mut plan: Plan,
) -> Result<Plan, TrainError> {
    let of = |group: Option<usize>| group.map_or(&[][..], |g| learned[g].as_slice());
    for weight in &model.weights {
        let place = sites.weights.iter().position(|site| site.name == weight.layer);
        let place = place.ok_or_else(|| TrainError::NoSuchLayer(weight.layer.clone()))?;
        let coded = weight.quantizer.code(of(weight.parameters), &learned[weight.shadow]);
        set_weight(&mut plan.weights[place], folded, &sites.weights[place], &coded)?;
    }
    for edge in &model.edges {
        let place = sites.activations.iter().position(|site| site.name == edge.name);
        let place = place.ok_or_else(|| TrainError::NoSuchEdge(edge.name.clone()))?;
        plan.activations[place].set(edge_code(&edge.quantizer.code(of(edge.parameters)))?, STEP);
    }
    plan.follow(sites);
    bias::make_room(folded, sites, &mut plan);
    Ok(plan)
}

/// What plans say chose these codes.
const STEP: &str = "train";

fn edge_code(code: &EdgeCode) -> Result<Code, TrainError> {
    let grid = Uniform::per_tensor(code.bits, false, code.scale, code.zero_point);
    Ok(match &code.table {
        None => Code::Uniform(grid),
        Some(table) => Code::Levels(
            Levels::new(grid, table.levels.clone(), table.bounds.clone())
                .map_err(|error| TrainError::Graph(error.to_string()))?,
        ),
    })
}

fn set_weight(
    setting: &mut Setting,
    folded: &Graph,
    site: &WeightSite,
    coded: &Coded,
) -> Result<(), TrainError> {
    let tensor = folded.constant(site.value).ok_or_else(|| TrainError::NoSuchLayer(site.name.clone()))?;
    let (values, shape) = (tensor.to_f32(), tensor.shape());
    let axis = site.channel_axis;
    let channels = axis.map_or(1, |axis| shape[axis]);
    let run: usize = axis.map_or(values.len(), |axis| shape[axis + 1..].iter().product());
    let channel = |i: usize| if channels == 1 { 0 } else { i / run.max(1) % channels };
    // The scale of each channel: what multiplies its codes, found where codes are largest.
    let mut sums = vec![[0.0f64; 2]; channels];
    for (i, (&value, &code)) in values.iter().zip(&coded.codes).enumerate() {
        let sum = &mut sums[channel(i)];
        sum[0] += f64::from(value) * f64::from(code);
        sum[1] += f64::from(code) * f64::from(code);
    }
    // Channels without any weight left have the scale they had.
    let kept = |c: usize| f64::from(coded.scale[if coded.scale.len() == 1 { 0 } else { c }]);
    let gain: Vec<f64> =
        sums.iter().enumerate().map(|(c, s)| if s[0] != 0.0 { s[0] / s[1] } else { kept(c) }).collect();
    let scale: Vec<f32> = gain.iter().map(|g| g.abs() as f32).collect();
    let codes: Vec<i32> = coded
        .codes
        .iter()
        .enumerate()
        .map(|(i, &code)| if gain[channel(i)] < 0.0 { -code } else { code })
        .collect();
    let decoded = codes.iter().enumerate().map(|(i, &code)| code as f32 * scale[channel(i)]).collect();
    setting.values = Some(decoded);
    setting.set(weight_code(axis, scale, &codes, &coded.levels, channel)?, STEP);
    Ok(())
}

/// Evenly spaced codes where the levels are all integers of a width, else the levels on a grid of 8 bits.
fn weight_code(
    axis: Option<usize>,
    scale: Vec<f32>,
    codes: &[i32],
    levels: &[i32],
    channel: impl Fn(usize) -> usize,
) -> Result<Code, TrainError> {
    let channels = scale.len();
    let uniform = |bits: Vec<u8>| Uniform {
        axis,
        bits,
        signed: true,
        zero_point: vec![0; scale.len()],
        scale: scale.clone(),
        shift: None,
    };
    let (low, high) = (levels[0], levels[levels.len() - 1]);
    // Three values are the same two bits either way; as levels they are known to be three.
    let unbroken = (high - low) as usize + 1 == levels.len() && (high > 1 || low < -high);
    if !unbroken {
        let levels = Levels::nearest(uniform(vec![8; channels]), levels.to_vec());
        return Ok(Code::Levels(levels.map_err(|error| TrainError::Graph(error.to_string()))?));
    }
    let bits = 32 - (high as u32).leading_zeros() as u8 + 1;
    // A channel whose codes changed sign may reach one beyond the highest code: it takes a bit more.
    let mut each = vec![bits; channels];
    for (i, _) in codes.iter().enumerate().filter(|(_, code)| **code > high) {
        each[channel(i)] = bits + 1;
    }
    Ok(Code::Uniform(uniform(each)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evenly_spaced_levels_are_uniform_and_others_a_table() {
        let of = |levels: &[i32], codes: &[i32]| weight_code(None, vec![0.5], codes, levels, |_| 0).unwrap();
        let Code::Uniform(two) = of(&[-2, -1, 0, 1], &[-2, 1]) else { panic!("uniform") };
        assert_eq!(two.bits, [2]);
        let Code::Uniform(turned) = of(&[-2, -1, 0, 1], &[2, -1]) else { panic!("uniform") };
        assert_eq!(turned.bits, [3]);
        let Code::Uniform(eight) = of(&(-127..=127).collect::<Vec<_>>(), &[-127, 127]) else {
            panic!("uniform")
        };
        assert_eq!(eight.bits, [8]);
        for levels in [&[-127, -23, 0, 23, 127][..], &[-1, 1], &[-1, 0, 1]] {
            let Code::Levels(code) = of(levels, levels) else { panic!("a table") };
            assert_eq!(code.levels, levels);
        }
    }
}
