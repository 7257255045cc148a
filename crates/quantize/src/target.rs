//! What the hardware or runtime behind a name allows and costs, as data: which operators run in integers, which edges that
//! makes, in what types each computes, and what that takes.
//!
//! Two levels of detail answer different questions. The placement keys (`integer_ops`, `pass_through`, `fused_residual`, …)
//! say which edges of a network carry integers; [`crate::site`] reads nothing else. The descriptors (`[[op]]`) say in what
//! types an operator computes and what its sums do at their ends; [`crate::rewrite`] reads those. A file that has both is
//! held to agree ([`check`]).

pub mod check;
pub mod cost;
pub mod descriptor;
pub mod element;
mod extend;

use crate::strict::{self, ConfigError};
pub use cost::{Cost, Form, Measured};
pub use descriptor::{Accumulator, Descriptor, Overflow};
pub use element::ElementType;
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
    /// Form of the file written when the user names none.
    pub flavour: String,
    /// What is computed in one pass over the data, such as `Conv+Add+Relu`; edges inside carry the accumulator.
    #[serde(default)]
    pub fusions: Vec<String>,
    /// How a sum becomes a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requantize: Option<Requantize>,
    /// What multiplications cost by the width of the weight; empty where nobody has measured.
    #[serde(default)]
    pub latency: Vec<Latency>,
    /// What everything else costs, and measurements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// In what types operators compute, in the order in which they are preferred.
    #[serde(default, rename = "op", skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<Descriptor>,
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

/// How a sum becomes a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requantize {
    /// What multiplies the sum.
    pub kind: Rescale,
    /// Where a tie goes.
    pub rounding: Ties,
}

/// What multiplies a sum on its way to a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rescale {
    /// A real number.
    FloatMultiply,
    /// A 32-bit integer, then a shift.
    FixedMultiply,
    /// A shift only: scales must be powers of two apart.
    Shift,
}

/// Where a number halfway between two codes goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// To the even code.
    Even,
    /// Away from zero.
    Away,
    /// To the higher code.
    Up,
}

const BUILT_IN: &[(&str, &str)] = &[
    ("onnxruntime", include_str!("../targets/onnxruntime.toml")),
    ("onnxruntime-x86", include_str!("../targets/onnxruntime-x86.toml")),
    ("paper", include_str!("../targets/paper.toml")),
    ("products", include_str!("../targets/products.toml")),
    ("generic-int8", include_str!("../targets/generic-int8.toml")),
    ("generic-int4", include_str!("../targets/generic-int4.toml")),
    ("int8-acc16", include_str!("../targets/int8-acc16.toml")),
    ("x86-avx2", include_str!("../targets/x86-avx2.toml")),
    ("x86-avx512-vnni", include_str!("../targets/x86-avx512-vnni.toml")),
    ("x86-amx", include_str!("../targets/x86-amx.toml")),
    ("arm-neon", include_str!("../targets/arm-neon.toml")),
    ("arm-dotprod", include_str!("../targets/arm-dotprod.toml")),
    ("turing-tensorcore", include_str!("../targets/turing-tensorcore.toml")),
];

impl Target {
    /// Names and summaries of the built-in targets.
    pub fn built_in() -> impl Iterator<Item = (&'static str, Target)> {
        BUILT_IN
            .iter()
            .map(|&(name, text)| (name, Target::parse(name, text).expect("built-in targets parse (tested)")))
    }

    /// The text of the built-in target of that name.
    pub fn built_in_text(name: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
    }

    /// The built-in target of that name.
    ///
    /// # Errors
    /// When there is none; the message lists those there are.
    pub fn named(name: &str) -> Result<Target, ConfigError> {
        let names = BUILT_IN.iter().map(|(n, _)| *n);
        let text = Target::built_in_text(name).ok_or_else(|| strict::unknown("target", name, names))?;
        Target::parse(name, text)
    }

    /// A target from TOML text. `extends` may name a built-in target.
    ///
    /// # Errors
    /// On unknown or missing keys, values of another kind, operators that are not known, and what contradicts itself.
    pub fn parse(name: &str, text: &str) -> Result<Target, ConfigError> {
        Target::parse_with(name, text, &|_| None)
    }

    /// The same, where `extends` may also name what `lookup` knows: the caller reads files.
    ///
    /// # Errors
    /// As [`Target::parse`]; when `extends` leads in a circle.
    pub fn parse_with(
        name: &str,
        text: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Target, ConfigError> {
        let table = extend::resolve(name, text, lookup)?;
        let mut target: Target = strict::from_table(name, table)?;
        target.name = name.to_owned();
        check::check(&target)?;
        Ok(target)
    }

    /// Nanoseconds per multiply-accumulate with weights of so many bits: hardware without a path of that width takes the
    /// next wider one. `None` where the table has neither.
    pub fn ns_per_mac(&self, bits: u8) -> Option<f64> {
        self.latency.iter().filter(|l| l.bits >= bits).min_by_key(|l| l.bits).map(|l| l.ns_per_mac)
    }

    /// The descriptors of an operator, in order of preference.
    pub fn descriptors<'a>(&'a self, op: &'a str) -> impl Iterator<Item = &'a Descriptor> {
        self.ops.iter().filter(move |d| d.op == op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> String {
        Target::built_in_text(name).unwrap().to_owned()
    }

    #[test]
    fn a_width_without_a_path_of_its_own_takes_the_next_wider_one() {
        let text = text("paper")
            + "\n[[latency]]\nbits = 8\nns_per_mac = 2.0\n[[latency]]\nbits = 4\nns_per_mac = 1.0\n";
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
        let text = text("onnxruntime").replace("\"Conv\"", "\"Convv\"");
        let error = Target::parse("mine", &text).unwrap_err().to_string();
        assert!(error.contains("did you mean `Conv`"), "{error}");
        let error = Target::parse("mine", &(text + "\nfused_residuals = true")).unwrap_err().to_string();
        assert!(error.contains("fused_residual"), "{error}");
    }

    #[test]
    fn a_target_survives_being_written_down() {
        for (name, target) in Target::built_in() {
            let again = Target::parse(name, &toml::to_string(&target).unwrap()).unwrap();
            assert_eq!(again, target);
        }
    }
}
