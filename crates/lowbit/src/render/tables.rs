//! The tables that text and Markdown share: which columns there are is decided once, here.

use lowbit_quantize::report::{Layer, Report, Score, WindowUse};

use super::table::Align::{Left, Right};
use super::table::Table;
use super::units;
use crate::Inspection;
use crate::facade::{Bench, NodeTime};

/// Variants side by side.
pub(super) fn scores(scores: &[Score]) -> Table {
    let mut table = Table::new(&[
        ("network", Left),
        ("engine", Left),
        ("bits", Left),
        ("top-1", Right),
        ("top-5", Right),
        ("agreement", Right),
        ("SQNR", Right),
        ("size", Right),
        ("smaller", Right),
    ]);
    let first = scores.first().map_or(0, |score| score.size_bytes);
    for (i, score) in scores.iter().enumerate() {
        table.push(vec![
            score.model.clone(),
            score.engine.clone().unwrap_or_default(),
            score.bits.clone(),
            units::percent(score.top1),
            units::percent(score.top5),
            if i == 0 { String::new() } else { units::percent(score.agreement) },
            if i == 0 { String::new() } else { units::decibel(score.sqnr_db) },
            units::bytes(score.size_bytes),
            if i == 0 { String::new() } else { units::ratio(first, score.size_bytes) },
        ]);
    }
    table.without_blank_columns()
}

/// What a benchmark measured.
pub(super) fn speed(bench: &Bench) -> Table {
    let mut table = Table::new(&[("measure", Left), ("value", Right)]);
    let per_image = |seconds: f64| format!("{:.1} µs", 1e6 * seconds);
    let rows = [
        ("latency, half the runs", Some(format!("{:.3} ms", bench.latency_p50_ms))),
        ("latency, 99 % of the runs", Some(format!("{:.3} ms", bench.latency_p99_ms))),
        ("images per second", Some(format!("{:.0}", bench.images_per_second))),
        ("processor time of an image", Some(per_image(bench.seconds_per_image))),
        ("most memory held", bench.peak_bytes.map(units::bytes)),
        ("weights in memory", bench.weight_bytes.map(units::bytes)),
    ];
    for (what, value) in rows {
        if let Some(value) = value {
            table.push(vec![what.into(), value]);
        }
    }
    table
}

/// Time of each node.
pub(super) fn node_times(nodes: &[NodeTime]) -> Table {
    let mut table = Table::new(&[
        ("node", Left),
        ("computes", Left),
        ("weights", Right),
        ("time per image", Right),
        ("share", Right),
    ]);
    let total: f64 = nodes.iter().map(|n| n.seconds_per_image).sum();
    for node in nodes {
        table.push(vec![
            node.node.clone(),
            node.what.clone(),
            if node.weight_bytes > 0 { units::bytes(node.weight_bytes) } else { String::new() },
            format!("{:.2} µs", 1e6 * node.seconds_per_image),
            units::share(100.0 * node.seconds_per_image / total),
        ]);
    }
    table
}

/// One row per quantized layer.
pub(super) fn layers(report: &Report) -> Table {
    let mut table = Table::new(&[
        ("layer", Left),
        ("operators", Left),
        ("output", Right),
        ("MACs", Right),
        ("w bits", Right),
        ("w SQNR", Right),
        ("w bytes", Right),
        ("a bits", Right),
        ("clip", Right),
        ("clipped", Right),
        ("a SQNR", Right),
        ("alone", Right),
    ]);
    for layer in &report.layers {
        let weight = layer.weight.as_ref();
        let activation = layer.activation.as_ref();
        table.push(vec![
            layer.name.clone(),
            layer.op.clone(),
            units::shape(&layer.output_shape),
            units::count(layer.macs),
            weight.map_or(String::new(), |w| units::bits(w.bits)),
            weight.map_or(String::new(), |w| units::decibel(w.sqnr_db)),
            weight.map_or(String::new(), |w| units::bytes(w.bytes)),
            activation.map_or(String::new(), |a| a.bits.to_string()),
            clip(layer),
            activation.map_or(String::new(), |a| units::share(a.clipped_percent)),
            activation.map_or(String::new(), |a| units::decibel(a.sqnr_db)),
            layer.alone_sqnr_db.map_or(String::new(), units::decibel),
        ]);
    }
    table.without_blank_columns()
}

fn clip(layer: &Layer) -> String {
    layer
        .activation
        .as_ref()
        .map_or(String::new(), |a| format!("{} … {}", units::real(a.clip_lo), units::real(a.clip_hi)))
}

/// Use of the windows that operands are read through.
pub(super) fn windows(report: &Report) -> Table {
    let mut table = Table::new(&[
        ("layer", Left),
        ("bits", Right),
        ("zeros", Right),
        ("pairs with one", Right),
        ("two", Right),
        ("% by place", Right),
        ("wide", Right),
        ("flips, 8 bits", Right),
        ("window", Right),
        ("control", Right),
    ]);
    for (layer, used) in report.layers.iter().filter_map(|layer| Some((layer, layer.window.as_ref()?))) {
        table.push(vec![
            layer.name.clone(),
            used.bits.to_string(),
            units::share(used.zero_percent),
            units::share(used.one_zero_percent),
            units::share(used.both_zero_percent),
            places(used),
            units::share(used.wide_percent),
            units::bits(used.flips_of_8_bits),
            units::bits(used.flips_of_window),
            units::bits(used.flips_of_control),
        ]);
    }
    table
}

/// Percent at each place, the lowest first: `20 14 11 6 2`.
pub(super) fn places(used: &WindowUse) -> String {
    let texts: Vec<String> = used.shift_percent.iter().map(|share| format!("{share:.0}")).collect();
    texts.join(" ")
}

/// Embedding tables.
pub(super) fn embedding_tables(report: &Report) -> Table {
    let mut table = Table::new(&[
        ("table", Left),
        ("rows", Right),
        ("columns", Right),
        ("bits", Right),
        ("method", Left),
        ("loss", Right),
        ("before", Right),
        ("after", Right),
        ("smaller", Right),
    ]);
    for packed in &report.tables {
        table.push(vec![
            packed.name.clone(),
            units::grouped(packed.rows as u64),
            units::grouped(packed.columns as u64),
            packed.bits.to_string(),
            packed.method.clone(),
            units::real(packed.loss as f32),
            units::bytes(packed.float_bytes),
            units::bytes(packed.bytes),
            units::ratio(packed.float_bytes, packed.bytes),
        ]);
    }
    table
}

/// What stayed in float.
pub(super) fn kept_float(report: &Report) -> Table {
    let mut table = Table::new(&[("node", Left), ("operator", Left), ("why it stays float", Left)]);
    for kept in &report.kept_float {
        table.push(vec![kept.node.clone(), kept.op.clone(), kept.reason.clone()]);
    }
    table
}

/// Stages and their wall time.
pub(super) fn stages(report: &Report) -> Table {
    let mut table = Table::new(&[("stage", Left), ("time", Right)]);
    for stage in &report.stages {
        table.push(vec![stage.name.clone(), units::seconds(stage.seconds)]);
    }
    table
}

/// Layers of a network that nothing was done to yet.
pub(super) fn inspected_layers(inspection: &Inspection) -> Table {
    let mut table = Table::new(&[
        ("layer", Left),
        ("operators", Left),
        ("output", Right),
        ("parameters", Right),
        ("MACs", Right),
        ("can be quantized", Left),
        ("stays float because", Left),
    ]);
    for layer in &inspection.layers {
        table.push(vec![
            layer.name.clone(),
            layer.op.clone(),
            units::shape(&layer.output_shape),
            units::count(layer.parameters),
            units::count(layer.macs),
            layer.sites.clone(),
            layer.kept_float.clone().unwrap_or_default(),
        ]);
    }
    table.without_blank_columns()
}

/// What reconstruction fits one at a time.
pub(super) fn inspected_blocks(inspection: &Inspection) -> Table {
    let mut table = Table::new(&[
        ("block", Left),
        ("kind", Left),
        ("layers", Left),
        ("parameters", Right),
        ("MACs", Right),
        ("input", Right),
        ("output", Right),
    ]);
    let shapes =
        |shapes: &[Vec<usize>]| shapes.iter().map(|dims| units::shape(dims)).collect::<Vec<_>>().join(", ");
    for block in &inspection.blocks {
        // What all names begin with is said once, in the first column.
        let own = |layer: &String| {
            let rest = layer.strip_prefix(&block.name).filter(|rest| rest.starts_with(['.', '/']));
            rest.unwrap_or(layer).to_owned()
        };
        table.push(vec![
            block.name.clone(),
            block.kind.clone(),
            block.layers.iter().map(own).collect::<Vec<_>>().join(", "),
            units::count(block.parameters),
            units::count(block.macs),
            shapes(&block.input_shapes),
            shapes(&block.output_shapes),
        ]);
    }
    table
}

/// How often each operator occurs.
pub(super) fn ops(inspection: &Inspection) -> Table {
    let mut table = Table::new(&[("operator", Left), ("nodes", Right)]);
    for op in &inspection.ops {
        table.push(vec![op.op.clone(), op.count.to_string()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_the_nodes_are_percentages_of_their_sum() {
        let node = |seconds_per_image: f64| NodeTime {
            node: "n".into(),
            what: "conv".into(),
            weight_bytes: 0,
            seconds_per_image,
        };
        let table = node_times(&[node(1e-3), node(3e-3)]);
        let shares: Vec<&str> = table.rows().iter().map(|row| row.last().unwrap().as_str()).collect();
        assert_eq!(shares, ["25.0 %", "75.0 %"]);
    }
}
