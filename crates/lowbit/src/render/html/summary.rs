//! The head of the page: what was done to which network, and what came of it in four figures.

use lowbit_quantize::report::{Report, Score};
use maud::{Markup, html};

use super::parts::{Kind, bar, cells};
use crate::render::{average_activation_bits, average_weight_bits, before_after, units};

pub(super) fn header(report: &Report) -> Markup {
    let (model, job) = (&report.model, &report.job);
    let facts: Vec<(&str, String)> = [
        ("recipe", job.recipe.clone()),
        ("target", job.target.clone()),
        ("flavour", job.flavour.clone()),
        ("data", job.data.clone()),
        ("calibrated on", count(job.calibration_samples, "sample")),
        ("effort", job.effort.clone().unwrap_or_default()),
        ("seed", if job.recipe.is_empty() { String::new() } else { job.seed.to_string() }),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect();
    html! {
        header {
            (brand("report"))
            h1 { (model.name) }
            @if let Some((before, after)) = before_after(report) { p.headline { (headline(before, after)) } }
            @if !facts.is_empty() {
                dl.facts { @for (name, value) in &facts { div { dt { (name) } dd { (value) } } } }
            }
            @if before_after(report).is_some() || !report.layers.is_empty() || model.macs > 0 {
                div.cards #summary {
                    @if let Some((before, after)) = before_after(report) {
                        (accuracy(before, after))
                        (size(before, after))
                    }
                    (bits(report))
                    (network(report))
                }
            }
        }
    }
}

fn count(n: usize, noun: &str) -> String {
    if n == 0 { String::new() } else { units::plural(n, noun) }
}

/// The line above every page's title: who wrote it, and what it is.
pub(in crate::render) fn brand(what: &str) -> Markup {
    html! {
        p.brand {
            svg.logo viewBox="0 0 23 11" aria-hidden="true" {
                @for i in 0..8u8 {
                    rect.(if matches!(i, 0 | 2 | 5 | 7) { "on" } else { "off" })
                        x=(6 * (i % 4)) y=(6 * (i / 4)) width="5" height="5" rx="1" {}
                }
            }
            span { "lowbit" }
            " " (what)
        }
    }
}

fn headline(before: &Score, after: &Score) -> Markup {
    html! {
        b { (after.bits) } ": "
        b { (units::ratio(before.size_bytes, after.size_bytes)) } " smaller"
        @if let (Some(was), Some(is)) = (before.top1, after.top1) {
            ", top-1 " b { (units::percent(was)) " → " (units::percent(is)) }
        } @else if let Some(agreement) = after.agreement {
            ", same first guess on " b { (units::percent(agreement)) } " of samples"
        }
        "."
    }
}

fn card(title: &str, figure: Markup, body: Markup) -> Markup {
    html! { div.card { h3 { (title) } p.figure { (figure) } (body) } }
}

fn accuracy(before: &Score, after: &Score) -> Markup {
    match (before.top1, after.top1) {
        (Some(was), Some(is)) => card(
            "Top-1 accuracy",
            html! { (units::percent(is)) },
            html! {
                (bar(is / 100.0, Kind::Plain, ""))
                p { "from " (units::percent(was)) ", " b { (units::points(is - was)) " points" } }
            },
        ),
        _ => card(
            "Agreement",
            html! { (units::percent(after.agreement)) },
            html! {
                (bar(after.agreement.unwrap_or(0.0) / 100.0, Kind::Plain, ""))
                p { "of samples keep their first guess" }
            },
        ),
    }
}

fn size(before: &Score, after: &Score) -> Markup {
    card(
        "File size",
        html! { (units::bytes(after.size_bytes)) },
        html! {
            (bar(after.size_bytes as f64 / before.size_bytes.max(1) as f64, Kind::Plain, ""))
            p { "from " (units::bytes(before.size_bytes)) ", " b { (units::ratio(before.size_bytes, after.size_bytes)) " smaller" } }
        },
    )
}

fn bits(report: &Report) -> Markup {
    let rows: Vec<(&str, f64, Kind)> = [
        ("weights", average_weight_bits(report), Kind::Weight),
        ("activations", average_activation_bits(report), Kind::Activation),
    ]
    .into_iter()
    .filter_map(|(name, bits, kind)| Some((name, bits?, kind)))
    .collect();
    html! {
        @if !rows.is_empty() {
            div.card {
                h3 { "Average bits" }
                dl.bits {
                    @for (name, bits, kind) in rows { dt { (name) } dd { b { (units::bits(bits)) } (cells(bits, kind)) } }
                }
            }
        }
    }
}

fn network(report: &Report) -> Markup {
    let model = &report.model;
    let quantized: u64 = report.layers.iter().filter(|l| l.weight.is_some()).map(|l| l.macs).sum();
    let share = quantized as f64 / model.macs.max(1) as f64;
    html! {
        @if model.macs > 0 {
            (card("Compute per sample", html! { (units::count(model.macs)) small { "MACs" } }, html! {
                (bar(share, Kind::Weight, ""))
                p {
                    (units::share(100.0 * share)) " in " (units::plural(report.layers.len(), "quantized layer")) br;
                    (units::count(model.parameters)) " parameters"
                }
            }))
        }
    }
}
