//! Values as JSON: field names are those of the data, so a reader of the documentation knows the file.

use lowbit_quantize::report::{Report, Score};
use serde::Serialize;

use crate::Inspection;
use crate::facade::Bench;

/// A whole report, one object.
pub fn report(report: &Report) -> String {
    pretty(report)
}

/// One object per network, in the order given; percentages in percent, `null` for what is not known.
pub fn scores(scores: &[Score]) -> String {
    pretty(&scores)
}

/// A network that nothing was done to yet, one object.
pub fn inspection(inspection: &Inspection) -> String {
    pretty(inspection)
}

/// How fast a network ran, one object.
pub fn bench(bench: &Bench) -> String {
    pretty(bench)
}

/// Anything, one object.
pub(super) fn value(value: &impl Serialize) -> String {
    pretty(value)
}

/// Not a number becomes `null`; nothing else in these types can fail to be JSON.
fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
