//! Variants of the network side by side.

use lowbit_quantize::report::{Report, Score};
use maud::{Markup, html};

use super::Section;
use super::parts::{Kind, bar};
use crate::render::units;

pub(super) fn section(report: &Report) -> Option<Section> {
    let scores = report.scores.as_slice();
    let first = scores.first()?;
    let described = !report.layers.is_empty() && scores.len() > 1;
    let labelled = scores.iter().any(|score| score.top1.is_some());
    let top5 = scores.iter().any(|score| score.top5.is_some());
    let largest = scores.iter().map(|score| score.size_bytes).max().unwrap_or(0).max(1) as f64;
    let body = html! {
        div.scroll {
            table.comparison {
                thead {
                    tr {
                        th { "Network" }
                        th { "Bits" }
                        @if labelled { th.number { "Top-1" } th.number { "Change" } }
                        @if top5 { th.number { "Top-5" } }
                        th.number title="Samples whose first guess is that of the first network" { "Agreement" }
                        th.number title="Signal-to-quantization-noise ratio of the outputs" { "SQNR" }
                        th.number { "Size" }
                        th.number { "Smaller" }
                    }
                }
                tbody {
                    @for (i, score) in scores.iter().enumerate() {
                        tr.chosen[described && i + 1 == scores.len()] {
                            th scope="row" { (score.model) @if let Some(engine) = &score.engine { " · " (engine) } }
                            td { (score.bits) }
                            @if labelled { (top1(first, score, i == 0)) }
                            @if top5 { td.number { (units::percent(score.top5)) } }
                            td.number { (agreement(score, i == 0)) }
                            td.number { @if i > 0 { (units::decibel(score.sqnr_db)) } }
                            td.number {
                                (units::bytes(score.size_bytes))
                                (bar(score.size_bytes as f64 / largest, Kind::Weight, ""))
                            }
                            td.number { @if i > 0 { (units::ratio(first.size_bytes, score.size_bytes)) } }
                        }
                    }
                }
            }
        }
    };
    let samples = units::plural(first.samples, "sample");
    let lead = if described {
        format!("On {samples}. The rest of this page is about the marked row.")
    } else {
        format!("On {samples}.")
    };
    Some(Section { id: "comparison", title: "Comparison", lead, body })
}

fn top1(first: &Score, score: &Score, is_first: bool) -> Markup {
    let change = score.top1.zip(first.top1).filter(|_| !is_first).map(|(is, was)| is - was);
    html! {
        td.number {
            (units::percent(score.top1))
            (bar(score.top1.unwrap_or(0.0) / 100.0, Kind::Plain, ""))
        }
        td.number { @if let Some(change) = change { (units::points(change)) } }
    }
}

fn agreement(score: &Score, is_first: bool) -> Markup {
    html! {
        @if !is_first {
            (units::percent(score.agreement))
            @if let Some(percent) = score.agreement { (bar(percent / 100.0, Kind::Plain, "")) }
        }
    }
}
