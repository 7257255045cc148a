//! What the joint search varies: one multiplier on the step, or the steps, of each tensor of few bits.
//!
//! Clip and step are proportional, so that one multiplier per tensor is one clip per tensor; zero points stay, a two-sided
//! range is scaled about zero. The search sees the logarithms of the multipliers: no step becomes negative, and a step of
//! the search means the same share of every clip.

use crate::methods::range::On;
use crate::plan::{Plan, Setting};
use crate::site::Sites;
use lowbit_tensor::Code;

/// A tensor whose steps vary together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// Weight site of that index.
    Weight(usize),
    /// Activation site of that index.
    Edge(usize),
}

impl Variable {
    /// The tensor, for messages.
    pub fn name(self, sites: &Sites) -> String {
        match self {
            Variable::Weight(i) => format!("weight of {}", sites.weights[i].name),
            Variable::Edge(i) => sites.activations[i].name.clone(),
        }
    }

    /// Its setting in a plan.
    pub fn setting(self, plan: &mut Plan) -> &mut Setting {
        match self {
            Variable::Weight(i) => &mut plan.weights[i],
            Variable::Edge(i) => &mut plan.activations[i],
        }
    }
}

/// The tensors below 8 bits (`eight_bit`: all) with a uniform code; in no particular order.
///
/// A weight whose codes an earlier step chose is not among them: another step would undo that choice. Neither is an edge
/// that follows another.
pub fn find(plan: &Plan, sites: &Sites, on: On, eight_bit: bool) -> Vec<Variable> {
    let varies = |setting: &Setting| match &setting.code {
        Some(Code::Uniform(code)) => {
            setting.is_quantized() && setting.values.is_none() && (eight_bit || code.max_bits() < 8)
        }
        _ => false,
    };
    let weights = plan.weights.iter().enumerate().filter(|(_, setting)| on.weights() && varies(setting));
    let edges = plan.activations.iter().enumerate().filter(|&(i, setting)| {
        on.activations() && varies(setting) && sites.activations[i].follows.is_none()
    });
    weights.map(|(i, _)| Variable::Weight(i)).chain(edges.map(|(i, _)| Variable::Edge(i))).collect()
}

/// The plan with the steps of each variable times `exp` of its coordinate in `point`.
pub fn scaled(plan: &Plan, variables: &[Variable], point: &[f64]) -> Plan {
    let mut plan = plan.clone();
    for (variable, &x) in variables.iter().zip(point) {
        if let Some(Code::Uniform(code)) = &mut variable.setting(&mut plan).code {
            let multiplier = libm::exp(x);
            code.scale.iter_mut().for_each(|scale| *scale = (f64::from(*scale) * multiplier) as f32);
        }
    }
    plan
}
