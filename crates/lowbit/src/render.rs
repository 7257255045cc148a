//! Values as text, JSON, Markdown, an HTML page or arrays of numpy. Renderings compute no results; they arrange what a
//! [`Report`] or an [`Inspection`](crate::Inspection) holds.

pub mod embedding;
pub mod html;
pub mod json;
pub mod markdown;
pub mod npz;
pub mod pareto;
pub mod table;
mod tables;
pub mod text;
pub mod units;

use lowbit_quantize::report::{Report, Score};

/// The float network and the network that the report is about: the first and the last variant. `None` where no
/// one variant is meant, as when several files were only compared.
fn before_after(report: &Report) -> Option<(&Score, &Score)> {
    match report.scores.as_slice() {
        [before, after] => Some((before, after)),
        [before, .., after] if !report.layers.is_empty() => Some((before, after)),
        _ => None,
    }
}

/// Layers that were quantized alone, the one that hurts most first.
fn by_harm(report: &Report) -> Vec<(usize, f64)> {
    let mut harm: Vec<(usize, f64)> = report
        .layers
        .iter()
        .enumerate()
        .filter_map(|(i, layer)| Some((i, layer.alone_sqnr_db.filter(|db| db.is_finite())?)))
        .collect();
    harm.sort_by(|a, b| a.1.total_cmp(&b.1));
    harm
}

/// Root-mean-square error as a share of the signal, in percent: what an SQNR in dB means to a reader.
fn error_percent(sqnr_db: f64) -> f64 {
    100.0 * 10f64.powf(-sqnr_db / 20.0)
}

/// Average weight bits, weighted by elements; `None` without quantized weights.
fn average_weight_bits(report: &Report) -> Option<f64> {
    let (bits, elements) = report.layers.iter().filter_map(|layer| layer.weight.as_ref()).fold(
        (0.0, 0.0),
        |(bits, elements), weight| {
            let n = weight.shape.iter().product::<usize>() as f64;
            (bits + n * weight.bits, elements + n)
        },
    );
    (elements > 0.0).then(|| bits / elements)
}

/// Average activation bits, weighted by the values of each edge; `None` without quantized activations.
fn average_activation_bits(report: &Report) -> Option<f64> {
    let (bits, elements) = report
        .layers
        .iter()
        .filter_map(|layer| Some((layer.activation.as_ref()?, layer.output_shape.iter().product::<usize>())))
        .fold((0.0, 0.0), |(bits, elements), (activation, n)| {
            (bits + n as f64 * f64::from(activation.bits), elements + n as f64)
        });
    (elements > 0.0).then(|| bits / elements)
}
