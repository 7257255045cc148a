//! The plan: which code serves each site, and which recipe steps said so. The float graph is never edited.

use crate::site::Sites;
use lowbit_tensor::{Code, Windowed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is decided for one site so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Bits asked for: one number, or one per channel; empty leaves the site in float.
    pub bits: Vec<u8>,
    /// The code, once a step has chosen one.
    pub code: Option<Code>,
    /// Replaces the trained weight before encoding, where a step chose codes other than the nearest ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<f32>>,
    /// Recipe steps that touched it, in order.
    pub set_by: Vec<String>,
}

impl Setting {
    /// Whether the site is to be quantized at all.
    pub fn is_quantized(&self) -> bool {
        !self.bits.is_empty()
    }

    /// Bits of channel `c`.
    pub fn bits_of(&self, c: usize) -> u8 {
        self.bits[if self.bits.len() == 1 { 0 } else { c }]
    }

    /// Sets the code and remembers who did.
    pub fn set(&mut self, code: Code, step: &str) {
        self.code = Some(code);
        if self.set_by.last().is_none_or(|s| s != step) {
            self.set_by.push(step.to_owned());
        }
    }
}

/// A setting for each site, in the order of [`crate::site::Sites`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Per weight site.
    pub weights: Vec<Setting>,
    /// Per activation site.
    pub activations: Vec<Setting>,
    /// Added to the bias of a weight site's node, per output channel, in real units.
    pub bias_shift: BTreeMap<usize, Vec<f32>>,
    /// How the layer of a weight site reads its operand, where that is not all 8 bits of the edge.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub windows: BTreeMap<usize, Windowed>,
}

impl Plan {
    /// Edges that only rearrange another take its setting.
    pub fn follow(&mut self, sites: &Sites) {
        for i in (0..self.activations.len()).filter(|&i| sites.activations[i].follows.is_some()) {
            self.activations[i] = self.activations[sites.root(i)].clone();
        }
    }
}
