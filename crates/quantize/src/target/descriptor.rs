//! In what types an operator computes on a target: one way of possibly several.

use super::element::ElementType;
use crate::recipe::Granularity;
use serde::{Deserialize, Serialize};

/// One way in which a target computes an operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// The operator's ONNX name.
    pub op: String,
    /// Types of its data and weight inputs, in their order; one for all, or the last for all that follow.
    #[serde(rename = "in")]
    pub inputs: Vec<ElementType>,
    /// Type of its results.
    pub out: ElementType,
    /// Types that a result may leave in by the requantization fused to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requantized: Vec<ElementType>,
    /// Where products are summed, if it sums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accumulator: Option<Accumulator>,
    /// What scales of the weight may vary over; empty where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weight_scale_per: Vec<Granularity>,
    /// Whether data may have a zero point other than 0.
    #[serde(default)]
    pub data_zero_point: bool,
    /// Whether the weight may have one.
    #[serde(default)]
    pub weight_zero_point: bool,
    /// Whether operands may have scales of their own, where the operator adds or joins them.
    #[serde(default)]
    pub own_scales: bool,
    /// Most bits of the weight that the sums bear, where that is less than its type has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_bits: Option<u8>,
    /// Most products of one sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_reduction: Option<u64>,
    /// Orders of axes that it takes, such as `NHWC`; empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layouts: Vec<String>,
}

/// Where products are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accumulator {
    /// Its type.
    #[serde(rename = "type")]
    pub element: ElementType,
    /// What happens at its ends.
    pub overflow: Overflow,
    /// The type in which two neighbouring products meet first, saturating, where there is such a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<ElementType>,
}

/// What a sum does beyond the ends of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overflow {
    /// Keeps its lowest bits.
    Wrap,
    /// Stays at the end.
    Saturate,
}

impl Descriptor {
    /// Type of input `i`.
    pub fn input(&self, i: usize) -> ElementType {
        self.inputs[i.min(self.inputs.len() - 1)]
    }

    /// Whether all its types are integers.
    pub fn is_integer(&self) -> bool {
        self.inputs.iter().chain([&self.out]).all(|t| t.is_integer())
    }

    /// Whether all its types are floats.
    pub fn is_float(&self) -> bool {
        !self.inputs.iter().chain([&self.out]).any(|t| t.is_integer())
    }

    /// Most bits of input `i`: of the weight of a layer perhaps fewer than its type has.
    pub fn input_bits(&self, i: usize) -> u8 {
        let bits = self.input(i).bits();
        if i == 1 { self.weight_bits.map_or(bits, |most| most.min(bits)) } else { bits }
    }

    /// Most products that a sum bears whatever the codes, by the types alone: every product as large as can be. `None`
    /// where nothing is summed.
    pub fn bearable_reduction(&self) -> Option<u64> {
        let accumulator = self.accumulator?;
        let largest = |i: usize| -> u64 {
            let [lo, hi] = self.input(i).range();
            // A weight of fewer bits than its type.
            let narrower = u32::from(self.input(i).bits() - self.input_bits(i));
            lo.unsigned_abs().max(hi.unsigned_abs()) >> narrower
        };
        Some(accumulator.element.range()[1].unsigned_abs() / (largest(0) * largest(1)).max(1))
    }
}
