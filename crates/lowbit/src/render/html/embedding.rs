//! The page of an embedding table: loss and size, the distribution over rows as bars, the worst rows, other methods.

use maud::{Markup, html};

use super::parts::{table, trim};
use super::summary::brand;
use super::{STYLE, document};
use crate::embedding::EmbedReport;
use crate::render::embedding::{about, compared, compared_title, loss, notes, result, worst};
use crate::render::units;

/// The whole page.
pub fn page(report: &EmbedReport) -> String {
    let body = html! {
        header {
            (brand("report"))
            h1 { (report.table) }
            p.headline { (about(report)) }
            dl.facts { @for (name, value) in facts(report) { div { dt { (name) } dd { (value) } } } }
        }
        main {
            section id="result" {
                h2 { "Loss and size" }
                p.lead { "Normalised L2 loss: the length of the error over that of the table." }
                (table(&result(report)))
                @let notes = notes(report);
                @if !notes.is_empty() { ul.notes { @for note in notes { li { (note) } } } }
            }
            section id="rows" {
                h2 { "Rows by loss" }
                p.lead {
                    "Each bar is the rows whose loss is below the number at its right end and not below the bar before."
                    @if report.distribution.len() > BARS { " The first bar is all rows below." }
                }
                (bars(&report.distribution))
            }
            section id="worst" { h2 { "Worst rows" } (table(&worst(report))) }
            @if !report.compared.is_empty() {
                section id="methods" { h2 { (compared_title(report)) } (table(&compared(report))) }
            }
        }
        footer { "Written by lowbit " (env!("CARGO_PKG_VERSION")) ". Sizes in decimal units (1 kB = 1000 bytes)." }
    };
    document(&format!("{} · lowbit report", report.table), &[STYLE], &body)
}

/// What became of the table, word by word.
fn facts(report: &EmbedReport) -> [(&'static str, String); 6] {
    [
        ("method", report.method.clone()),
        ("bits", report.bits.to_string()),
        ("rows as", report.format.to_owned()),
        ("bytes per row", report.row_bytes.to_string()),
        ("time", units::seconds(report.seconds)),
        ("threads", report.threads.to_string()),
    ]
}

/// Bars drawn: five factors of two. Rows that are nearly exact would stretch the axis over twenty.
const BARS: usize = 40;
/// Width of the drawing, height of the tallest bar.
const SIZE: [f64; 2] = [640.0, 120.0];
/// Numbers under the axis.
const TICKS: usize = 8;

fn bars(distribution: &[(f64, u64)]) -> Markup {
    let (below, shown) = distribution.split_at(distribution.len().saturating_sub(BARS));
    let below: u64 = below.iter().map(|&(_, n)| n).sum();
    let bars: Vec<(f64, u64)> = shown
        .iter()
        .enumerate()
        .map(|(nth, &(end, n))| (end, if nth == 0 { n + below } else { n }))
        .collect();
    let most = bars.iter().map(|&(_, n)| n).max().unwrap_or(1).max(1) as f64;
    let [width, height] = SIZE;
    let wide = width / bars.len().max(12) as f64;
    let step = bars.len().div_ceil(TICKS).max(1);
    let label = |end: f64| if end.is_finite() { loss(end) } else { "more".to_owned() };
    html! {
        svg.curve.harm role="img" aria-label="Rows by loss" viewBox={ "0 0 " (width) " " (height + 16.0) } {
            line.floor x1="0" x2=(width) y1=(height) y2=(height) {}
            @for (nth, &(end, n)) in bars.iter().enumerate() {
                @let (left, tall) = (wide * nth as f64, (n as f64 / most * height).max(if n > 0 { 1.0 } else { 0.0 }));
                rect.fill x=(trim(left)) y=(trim(height - tall))
                    width=(trim(wide - 1.0)) height=(trim(tall)) {
                    title { (units::grouped(n)) " rows below " (label(end)) }
                }
                @if (bars.len() - 1 - nth).is_multiple_of(step) {
                    text.tick x=(trim(left + wide)) y=(height + 12.0) text-anchor="end" { (label(end)) }
                }
            }
        }
    }
}
