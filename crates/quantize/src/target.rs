//! What the hardware or runtime behind a name allows, as data: which operators run in integers, which edges that
//! makes, what their scales may vary over.

use crate::strict;
use lowbit_graph::Op;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A target. Nothing in the code asks for a name; it asks what the file allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Id, from the file's name.
    #[serde(skip)]
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Operators that run on integers if all their edges are quantized.
    pub integer_ops: BTreeSet<String>,
    /// Operators whose output has the scale and zero point of their input.
    pub pass_through: BTreeSet<String>,
    /// Whether a residual Add is computed in the accumulator of the layer before it, so that no edge lies between.
    pub fused_residual: bool,
    /// Whether only what products read is rounded, sums and pools staying in float: no other edge carries integers.
    #[serde(default)]
    pub float_sums: bool,
    /// Whether activations may have one scale per channel.
    pub per_channel_activations: bool,
    /// Whether weights may have a real-valued shift per channel beside the integer zero point.
    pub weight_shift: bool,
    /// What multiplications cost by the width of the weight; empty where nobody has measured.
    #[serde(default)]
    pub latency: Vec<Latency>,
    /// Form of the file written when the user names none.
    pub flavour: String,
}

/// What a multiply-accumulate takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Bits of the weight, up to which this holds.
    pub bits: u8,
    /// Nanoseconds per multiply-accumulate of a layer.
    pub ns_per_mac: f64,
}

const BUILT_IN: &[(&str, &str)] = &[
    ("onnxruntime", include_str!("../targets/onnxruntime.toml")),
    ("paper", include_str!("../targets/paper.toml")),
    ("products", include_str!("../targets/products.toml")),
];

impl Target {
    /// Names and summaries of the built-in targets.
    pub fn built_in() -> impl Iterator<Item = (&'static str, Target)> {
        BUILT_IN
            .iter()
            .map(|&(name, text)| (name, Target::parse(name, text).expect("built-in targets parse (tested)")))
    }

    /// The built-in target of that name.
    ///
    /// # Errors
    /// When there is none; the message lists those there are.
    pub fn named(name: &str) -> Result<Target, strict::ConfigError> {
        let names = BUILT_IN.iter().map(|(n, _)| *n);
        let &(name, text) = BUILT_IN
            .iter()
            .find(|(n, _)| *n == name)
            .ok_or_else(|| strict::unknown("target", name, names))?;
        Target::parse(name, text)
    }

    /// A target from TOML text.
    ///
    /// # Errors
    /// On unknown or missing keys, values of another kind, or operators that are not known.
    pub fn parse(name: &str, text: &str) -> Result<Target, strict::ConfigError> {
        let mut target: Target = strict::from_toml(name, text)?;
        target.name = name.to_owned();
        let names = || Op::ALL.iter().map(|(_, name)| *name);
        let listed = target.integer_ops.iter().chain(&target.pass_through);
        if let Some(unknown) = listed.into_iter().find(|op| !names().any(|name| name == op.as_str())) {
            return Err(strict::unknown("operator", unknown, names()));
        }
        if let Some(odd) = target.latency.iter().find(|l| !(l.ns_per_mac.is_finite() && l.ns_per_mac >= 0.0))
        {
            let (place, found) = (format!("{name}: latency of {} bits", odd.bits), odd.ns_per_mac);
            let message = format!("ns_per_mac is {found}; accepted: finite numbers from 0");
            return Err(strict::ConfigError::Invalid { place, message });
        }
        Ok(target)
    }

    /// Nanoseconds per multiply-accumulate with weights of so many bits: hardware without a path of that width takes the
    /// next wider one. `None` where the table has neither.
    pub fn ns_per_mac(&self, bits: u8) -> Option<f64> {
        self.latency.iter().filter(|l| l.bits >= bits).min_by_key(|l| l.bits).map(|l| l.ns_per_mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_without_a_path_of_its_own_takes_the_next_wider_one() {
        let mut text = BUILT_IN[1].1.to_owned();
        text += "\n[[latency]]\nbits = 8\nns_per_mac = 2.0\n[[latency]]\nbits = 4\nns_per_mac = 1.0\n";
        let target = Target::parse("mine", &text).unwrap();
        assert_eq!([2, 4, 5, 8].map(|bits| target.ns_per_mac(bits)), [1.0, 1.0, 2.0, 2.0].map(Some));
        assert_eq!((target.ns_per_mac(9), Target::named("paper").unwrap().ns_per_mac(4)), (None, None));
        let error = Target::parse("mine", &text.replace("1.0", "nan")).unwrap_err().to_string();
        assert!(error.contains("latency of 4 bits") && error.contains("finite"), "{error}");
    }

    #[test]
    fn built_in_targets_parse_and_unknown_names_get_a_suggestion() {
        assert_eq!(Target::built_in().count(), BUILT_IN.len());
        let error = Target::named("onnxruntme").unwrap_err().to_string();
        assert!(error.contains("did you mean `onnxruntime`"), "{error}");
        let text = BUILT_IN[0].1.replace("\"Conv\"", "\"Convv\"");
        let error = Target::parse("mine", &text).unwrap_err().to_string();
        assert!(error.contains("did you mean `Conv`"), "{error}");
    }
}
