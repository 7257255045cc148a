//! The network as a row of dots with arcs for what reads what, coloured by bits: below it stand the bars of the same layers.

use lowbit_quantize::report::Report;
use maud::{Markup, html};

use super::parts::trim;
use crate::render::units;

/// Height of the drawing, in units of its own.
const HEIGHT: f64 = 8.0;

/// `None` where a report does not say what layers read.
pub(super) fn graph(report: &Report) -> Option<Markup> {
    let layers = &report.layers;
    let arcs: Vec<(usize, usize)> = layers
        .iter()
        .enumerate()
        .flat_map(|(to, layer)| layer.reads.iter().map(move |&from| (from, to)))
        .collect();
    let longest = arcs.iter().map(|(from, to)| to - from).max()?;
    // Unit widths, stretched by the browser, as the bars have them; dots are line ends, which keep their shape.
    Some(html! {
        figure.strip.graph {
            figcaption { "Graph" }
            svg viewBox={ "0 0 " (layers.len()) " 8" } preserveAspectRatio="none" role="img"
                aria-label={ (layers.len()) " layers and what each reads" } {
                @for &(from, to) in &arcs {
                    @let bits = layers[from].activation.as_ref().map(|a| f64::from(a.bits));
                    path.edge.float[bits.is_none()] d=(arc(from, to, longest)) style=[shade(bits)] {
                        title {
                            (layers[from].name) " → " (layers[to].name) ": "
                            @match bits { Some(bits) => { (units::bits(bits)) " bits" } None => "float" }
                        }
                    }
                }
                @for (i, layer) in layers.iter().enumerate() {
                    @let bits = layer.weight.as_ref().map(|w| w.bits);
                    a href={ "#layer-" (i + 1) } {
                        path.node.float[bits.is_none()] d={ "M" (trim(i as f64 + 0.5)) " 7h0" } style=[shade(bits)] {
                            title {
                                (i + 1) ". " (layer.name) ": " (layer.op)
                                @if let Some(bits) = bits { ", weights of " (units::bits(bits)) " bits" }
                            }
                        }
                    }
                }
            }
        }
    })
}

/// A line to the next dot, or an arc over those between, higher the more they are.
fn arc(from: usize, to: usize, longest: usize) -> String {
    let [a, b] = [from, to].map(|i| trim(i as f64 + 0.5));
    if to == from + 1 {
        return format!("M{a} 7H{b}");
    }
    // A cubic reaches three quarters of the way to its handles.
    let height = (HEIGHT - 2.0) * (0.35 + 0.65 * (to - from) as f64 / longest as f64);
    let top = trim(7.0 - height / 0.75);
    format!("M{a} 7C{a} {top} {b} {top} {b} 7")
}

/// Fewer bits are paler.
fn shade(bits: Option<f64>) -> Option<String> {
    Some(format!("opacity:{}", trim(0.3 + 0.7 * bits?.min(8.0) / 8.0)))
}
