//! Layer by layer: which hurt, how many bits each has, and every figure there is.

use lowbit_quantize::report::{Activation, Layer, Report, Weight};
use maud::{Markup, html};

use super::Section;
use super::graph;
use super::parts::{Kind, bar, cells, folded, trim};
use crate::render::{by_harm, error_percent, units};

/// Layers of the harm chart in sight.
const WORST: usize = 12;

/// Which layers hurt most.
pub(super) fn harm(report: &Report) -> Option<Section> {
    let harm = by_harm(report);
    let worst = error_percent(harm.first()?.1);
    let rows = harm
        .iter()
        .map(|&(i, db)| {
            let layer = &report.layers[i];
            let error = error_percent(db);
            html! {
                li {
                    a.name href={ "#layer-" (i + 1) } title=(layer.op) { (layer.name) }
                    (bar(error / worst, Kind::Harm, ""))
                    span.number { (units::share(error)) }
                    span.number.soft { (units::decibel(db)) }
                }
            }
        })
        .collect();
    Some(Section {
        id: "harm",
        title: "Which layers hurt most",
        lead: "How far the network’s output moves when only this layer is quantized: root-mean-square error as a share \
               of the signal, and the same as SQNR. More bits are best spent at the top."
            .to_owned(),
        body: folded(rows, WORST, "layer", "harm-chart"),
    })
}

/// Bits along the network.
pub(super) fn widths(report: &Report) -> Option<Section> {
    let weights: Vec<Option<f64>> = report.layers.iter().map(|l| l.weight.as_ref().map(|w| w.bits)).collect();
    let activations: Vec<Option<f64>> =
        report.layers.iter().map(|l| l.activation.as_ref().map(|a| f64::from(a.bits))).collect();
    let strips = [("Weights", weights, Kind::Weight), ("Activations", activations, Kind::Activation)];
    if strips.iter().all(|(_, bits, _)| bits.iter().all(Option::is_none)) {
        return None;
    }
    let graph = graph::graph(report);
    let drawn = graph.is_some();
    let body = html! {
        @if let Some(graph) = graph { (graph) }
        @for (name, bits, kind) in &strips {
            @if bits.iter().any(Option::is_some) { (strip(report, name, bits, *kind)) }
        }
    };
    let mut lead =
        "From input to output; a gap is a layer that has none. Click a bar for its figures.".to_owned();
    if drawn {
        lead += " In the graph a dot is a layer and an arc what reads it; fewer bits are paler, grey is float or has no weights.";
    }
    Some(Section { id: "widths", title: "Bits along the network", lead, body })
}

fn strip(report: &Report, name: &str, bits: &[Option<f64>], kind: Kind) -> Markup {
    // Unit widths, stretched by the browser: the same drawing serves 5 and 500 layers, so it must hold no text.
    let gap = if bits.len() > 150 { 0.0 } else { 0.18 };
    html! {
        figure.strip {
            figcaption { (name) }
            div.axis aria-hidden="true" { span { "8" } span { "4" } span { "0" } }
            svg.(kind.class()) viewBox={ "0 0 " (bits.len()) " 8" } preserveAspectRatio="none" role="img"
                aria-label={ (name) ": bits of each layer" } {
                @for level in [0, 4] { line.grid x1="0" x2=(bits.len()) y1=(level) y2=(level) {} }
                @for (i, bits) in bits.iter().enumerate() {
                    @if let Some(bits) = bits {
                        a href={ "#layer-" (i + 1) } {
                            rect.fill x=(trim(i as f64 + gap / 2.0)) y=(trim(8.0 - bits.min(8.0))) width=(trim(1.0 - gap))
                                height=(trim(bits.min(8.0))) {
                                title { (i + 1) ". " (report.layers[i].name) ": " (units::bits(*bits)) " bits" }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Every figure of every layer.
pub(super) fn table(report: &Report) -> Option<Section> {
    if report.layers.is_empty() {
        return None;
    }
    let most_macs = report.layers.iter().map(|layer| layer.macs).max().unwrap_or(0).max(1) as f64;
    let alone = report.layers.iter().any(|layer| layer.alone_sqnr_db.is_some());
    let body = html! {
        div.scroll {
            table.layers.sortable {
                thead {
                    tr.groups {
                        th colspan="3" {}
                        th.weight colspan="3" { "Weights" }
                        th.activation colspan="4" { "Activations" }
                        @if alone { th.harm { "Network" } }
                    }
                    tr {
                        th.number { "#" }
                        th { "Layer" }
                        th.number { "MACs" }
                        th { "Bits" }
                        th.number title="SQNR of the weight itself" { "SQNR" }
                        th.number title="Packed codes and scales" { "Size" }
                        th { "Bits" }
                        th title="Range that has codes, inside the range seen in calibration" { "Clip" }
                        th.number title="Share of values outside the clip" { "Clipped" }
                        th.number title="SQNR of the edge, from its histogram" { "SQNR" }
                        @if alone { th.number title="SQNR of the network’s output with only this layer quantized" { "Alone" } }
                    }
                }
                tbody {
                    @for (i, layer) in report.layers.iter().enumerate() {
                        tr id={ "layer-" (i + 1) } {
                            td.number.soft { (i + 1) }
                            (name(layer))
                            td.number data-value=(layer.macs) {
                                (units::count(layer.macs))
                                (bar(layer.macs as f64 / most_macs, Kind::Plain, ""))
                            }
                            (weight(layer.weight.as_ref()))
                            (activation(layer.activation.as_ref()))
                            @if alone { (decibel(layer.alone_sqnr_db)) }
                        }
                    }
                }
            }
        }
    };
    let lead = "Click a column title to sort; rest the pointer on a title to see what it means.".to_owned();
    Some(Section { id: "layers", title: "Layers", lead, body })
}

fn name(layer: &Layer) -> Markup {
    html! {
        th.name scope="row" data-value=(layer.name) {
            span { (layer.name) }
            small { (layer.op) " → " (units::shape(&layer.output_shape)) }
        }
    }
}

/// A cell to sort by its value; nothing to sort by where that is not a number.
fn decibel(db: Option<f64>) -> Markup {
    html! { td.number data-value=[finite(db)] { @if db.is_some() { (units::decibel(db)) } } }
}

fn finite(value: impl Into<Option<f64>>) -> Option<f64> {
    value.into().filter(|v| v.is_finite())
}

fn weight(weight: Option<&Weight>) -> Markup {
    let Some(weight) = weight else { return html! { td {} td {} td {} } };
    html! {
        td.width data-value=(weight.bits) title={ "set by " (weight.set_by) } {
            b { (units::bits(weight.bits)) }
            @if weight.channels_by_bits.is_empty() { (cells(weight.bits, Kind::Weight)) }
            @else { (channels(&weight.channels_by_bits)) }
        }
        (decibel(weight.sqnr_db))
        td.number data-value=(weight.bytes)
            title={ (units::shape(&weight.shape)) ", " (units::bytes(weight.float_bytes)) " in float32, "
                    (units::ratio(weight.float_bytes, weight.bytes)) " smaller" } {
            (units::bytes(weight.bytes))
        }
    }
}

/// How many channels have 0, 1, … 8 bits.
fn channels(by_bits: &[usize]) -> Markup {
    let most = by_bits.iter().copied().max().unwrap_or(0).max(1) as f64;
    let tip: Vec<String> = by_bits
        .iter()
        .enumerate()
        .filter(|&(_, &n)| n > 0)
        .map(|(bits, &n)| format!("{}: {}", units::plural(bits, "bit"), units::plural(n, "channel")))
        .collect();
    html! {
        svg.channels.weight viewBox="0 0 55 14" role="img" aria-label=(tip.join(", ")) {
            title { (tip.join("\n")) }
            @for (bits, &n) in by_bits.iter().enumerate().take(9) {
                // A lone channel still shows.
                @let height = if n == 0 { 1.0 } else { (12.0 * n as f64 / most).max(2.0) };
                rect.(if n == 0 { "back" } else { "fill" }) x=(trim(6.2 * bits as f64)) y=(trim(14.0 - height))
                    width="5" height=(trim(height)) {}
            }
        }
    }
}

fn activation(activation: Option<&Activation>) -> Markup {
    let Some(activation) = activation else { return html! { td {} td {} td {} td {} } };
    html! {
        td.width data-value=(activation.bits) title={ "set by " (activation.set_by) } {
            b { (activation.bits) } (cells(f64::from(activation.bits), Kind::Activation))
        }
        td.clip data-value=[finite(f64::from(activation.clip_hi) - f64::from(activation.clip_lo))] {
            (range(activation))
            small { (units::real(activation.clip_lo)) " … " (units::real(activation.clip_hi)) }
        }
        td.number data-value=[finite(activation.clipped_percent)] { (units::share(activation.clipped_percent)) }
        (decibel(activation.sqnr_db))
    }
}

/// The clip as a part of the range seen.
fn range(activation: &Activation) -> Markup {
    let lo = f64::from(activation.min.min(activation.clip_lo));
    let hi = f64::from(activation.max.max(activation.clip_hi));
    let place =
        |x: f32| if hi > lo { (100.0 * (f64::from(x) - lo) / (hi - lo)).clamp(0.0, 100.0) } else { 0.0 };
    let (seen, clip) = (
        [place(activation.min), place(activation.max)],
        [place(activation.clip_lo), place(activation.clip_hi)],
    );
    html! {
        svg.range viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
            title { "seen " (units::real(activation.min)) " … " (units::real(activation.max)) }
            rect.harm-fill x=(trim(seen[0])) y="3" width=(trim(seen[1] - seen[0])) height="2" {}
            rect.activation-fill x=(trim(clip[0])) width=(trim((clip[1] - clip[0]).max(1.0))) height="8" {}
        }
    }
}
