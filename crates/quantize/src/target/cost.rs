//! What work takes on a target: measured where someone measured, else by a formula, else not known.
//!
//! A bit-count is no model of time: on the Raspberry Pi 4 the published table has int8 convolutions that are slower than
//! float ones. So a measurement of an operator at its shapes and widths always counts before the formula.

use super::Target;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Costs beside those of multiplications.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Where the numbers come from: machine, threads, batch.
    #[serde(default)]
    pub source: String,
    /// Nanoseconds per multiply-accumulate in float.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub float_ns_per_mac: Option<f64>,
    /// Nanoseconds per element of the output, of operators that multiply nothing to speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ns_per_element: Option<f64>,
    /// Nanoseconds per element for a conversion between float and codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ns_per_conversion: Option<f64>,
    /// Measurements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<Measured>,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Operator, with what was computed in the same pass: `Conv`, `Conv+Add`. `Quantize` and `Dequantize` are conversions.
    pub op: String,
    /// Extents of one sample: data and weight inputs and the output, such as `16x32x32 16x16x3x3 16x32x32`.
    pub shape: String,
    /// Widths: `float`, or `w4a8`, or `a8` where there is no weight.
    pub form: Form,
    /// Nanoseconds for one sample.
    pub ns: f64,
}

/// In what widths an operator computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Form {
    /// In float.
    Float,
    /// On codes.
    Codes {
        /// Bits of the weight, if it has one.
        weight: Option<u8>,
        /// Bits of the data.
        data: u8,
    },
}

/// What a cost is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Work {
    /// As [`Measured::op`].
    pub op: String,
    /// As [`Measured::shape`].
    pub shape: String,
    /// Widths.
    pub form: Form,
}

impl Target {
    /// Nanoseconds that `work` of so many multiply-accumulates and elements of output takes for one sample. Widths that
    /// nobody measured take the nearest wider ones. `None` where neither a measurement nor a formula tells.
    pub fn ns(&self, work: &Work, macs: u64, elements: u64) -> Option<f64> {
        let measured = self.cost.iter().flat_map(|cost| &cost.measured);
        let fits = measured.filter(|m| m.op == work.op && m.shape == work.shape);
        let wider = fits.filter_map(|m| Some((work.form.beyond(m.form)?, m.ns)));
        if let Some((_, ns)) = wider.min_by(|a, b| a.0.cmp(&b.0)) {
            return Some(ns);
        }
        let cost = self.cost.as_ref();
        let per = |each: Option<f64>, count: u64| each.map(|ns| ns * count as f64);
        match work.form {
            _ if matches!(work.op.as_str(), "Quantize" | "Dequantize") => {
                per(cost?.ns_per_conversion, elements)
            }
            Form::Float if macs > 0 => per(cost?.float_ns_per_mac, macs),
            Form::Codes { weight: Some(bits), .. } if macs > 0 => per(self.ns_per_mac(bits), macs),
            _ => per(cost?.ns_per_element, elements),
        }
    }
}

impl Form {
    /// How many bits `wider` has beyond this, where it can stand in for it: altogether, then of the weight.
    fn beyond(self, wider: Form) -> Option<(u8, u8)> {
        match (self, wider) {
            (Form::Float, Form::Float) => Some((0, 0)),
            (Form::Codes { weight: a, data: b }, Form::Codes { weight: c, data: d }) => {
                let weight = match (a, c) {
                    (None, None) => 0,
                    (Some(a), Some(c)) => c.checked_sub(a)?,
                    _ => return None,
                };
                Some((weight + d.checked_sub(b)?, weight))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Form::Float => f.write_str("float"),
            Form::Codes { weight: None, data } => write!(f, "a{data}"),
            Form::Codes { weight: Some(weight), data } => write!(f, "w{weight}a{data}"),
        }
    }
}

impl From<Form> for String {
    fn from(form: Form) -> String {
        form.to_string()
    }
}

impl TryFrom<String> for Form {
    type Error = String;

    fn try_from(text: String) -> Result<Form, String> {
        let bits = |text: &str| text.parse::<u8>().ok().filter(|bits| (1..=32).contains(bits));
        let parsed = match text.split_once('a') {
            _ if text == "float" => Some(Form::Float),
            Some(("", data)) => bits(data).map(|data| Form::Codes { weight: None, data }),
            Some((weight, data)) => weight
                .strip_prefix('w')
                .and_then(|weight| Some(Form::Codes { weight: Some(bits(weight)?), data: bits(data)? })),
            None => None,
        };
        parsed.ok_or_else(|| format!("`{text}`; accepted: float, a8, w4a8 and the like"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(op: &str, form: &str) -> Work {
        Work { op: op.into(), shape: "s".into(), form: form.to_owned().try_into().unwrap() }
    }

    #[test]
    fn a_measurement_counts_before_the_formula_and_wider_ones_stand_in() {
        let text = "extends = \"generic-int8\"\n[[latency]]\nbits = 8\nns_per_mac = 2.0\n[cost]\nfloat_ns_per_mac = 5.0\n\
            ns_per_element = 3.0\nns_per_conversion = 7.0\nmeasured = [\
            { op = \"Conv\", shape = \"s\", form = \"w8a8\", ns = 100.0 }, { op = \"Conv\", shape = \"s\", form = \"w4a8\", ns = 60.0 },\
            { op = \"Conv\", shape = \"t\", form = \"w3a8\", ns = 50.0 }, { op = \"Conv\", shape = \"t\", form = \"w4a4\", ns = 40.0 }]";
        let target = Target::parse("mine", text).unwrap();
        let ns = |op: &str, form: &str, macs| target.ns(&work(op, form), macs, 10);
        assert_eq!(
            ["w8a8", "w5a8", "w4a4", "w2a8"].map(|f| ns("Conv", f, 9)),
            [100.0, 100.0, 60.0, 60.0].map(Some)
        );
        let other = |form: &str| target.ns(&Work { shape: "t".into(), ..work("Conv", form) }, 9, 10);
        assert_eq!(["w3a8", "w3a4", "w2a5", "w2a2"].map(other), [50.0, 40.0, 50.0, 40.0].map(Some));
        assert_eq!(ns("Conv", "float", 9), Some(45.0));
        assert_eq!(ns("Gemm", "w4a8", 9), Some(18.0));
        assert_eq!(ns("Add", "a8", 0), Some(30.0));
        assert_eq!(ns("Quantize", "float", 0), Some(70.0));
        assert_eq!(Target::named("generic-int8").unwrap().ns(&work("Add", "a8"), 0, 1), None);
    }

    #[test]
    fn forms_read_as_they_are_written() {
        for text in ["float", "a8", "w4a8"] {
            assert_eq!(Form::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for text in ["", "w4", "a", "w0a8", "4a8"] {
            assert!(Form::try_from(text.to_owned()).unwrap_err().contains("accepted"), "{text}");
        }
    }

    /// The published table of ResNet-18's convolutions on the Raspberry Pi 4: all float, all int8, and the faster of both.
    #[test]
    fn on_the_raspberry_pi_the_faster_of_both_differs_by_layer() {
        let target = Target::named("arm-neon").unwrap();
        let counts = [1.0, 4.0, 1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 1.0, 1.0, 1.0];
        let measured = &target.cost.as_ref().unwrap().measured;
        let shapes: Vec<&str> =
            measured.iter().filter(|m| m.form == Form::Float).map(|m| m.shape.as_str()).collect();
        let ns = |shape: &str, form: &str| {
            let work = Work { shape: shape.into(), ..work("Conv", form) };
            target.ns(&work, 1, 1).unwrap()
        };
        let sum = |of: &dyn Fn(&str) -> f64| -> f64 {
            shapes.iter().zip(counts).map(|(s, n)| n * of(s) * 1e-6).sum::<f64>()
        };
        assert_eq!(shapes.len(), counts.len());
        let (float, codes) = (sum(&|s| ns(s, "float")), sum(&|s| ns(s, "w8a8")));
        let best = sum(&|s| ns(s, "float").min(ns(s, "w8a8")));
        for (found, published) in [(float, 149.26), (codes, 120.45), (best, 115.25)] {
            assert!((found - published).abs() < 0.01, "{found} {published}");
        }
    }
}
