//! The page of an embedding table: loss and size, the distribution over rows as bars, the worst rows, other methods.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{POLICY, STYLE};
use crate::embedding::EmbedReport;
use crate::render::embedding::{about, became, compared, compared_title, loss, notes, result, worst};
use crate::render::table::Table;
use crate::render::units;

/// The whole page.
pub fn page(report: &EmbedReport) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (report.table) " · lowbit report" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { h1 { (report.table) } p { (about(report)) } p { (became(report)) } }
                main {
                    section id="result" {
                        h2 { "Loss and size" }
                        p.lead { "Normalised L2 loss: the length of the error over that of the table." }
                        (table(&result(report)))
                        @for note in notes(report) { p { (note) } }
                    }
                    section id="rows" {
                        h2 { "Rows by loss" }
                        p.lead { "Each bar is the rows whose loss is below the number under it and not below the one before." }
                        (bars(&report.distribution))
                        h3 { "Worst rows" }
                        (table(&worst(report)))
                    }
                    @if !report.compared.is_empty() {
                        section id="methods" { h2 { (compared_title(report)) } (table(&compared(report))) }
                    }
                }
                footer { "Written by lowbit " (env!("CARGO_PKG_VERSION")) ". Sizes in decimal units (1 kB = 1000 bytes)." }
            }
        }
    }
    .into_string()
}

fn table(table: &Table) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { @for title in table.titles() { th { (title) } } } }
                tbody { @for row in table.rows() { tr { @for cell in row { td { (cell) } } } } }
            }
        }
    }
}

/// Width of a bar, height of the tallest.
const BAR: [usize; 2] = [14, 120];

fn bars(distribution: &[(f64, u64)]) -> Markup {
    let most = distribution.iter().map(|&(_, n)| n).max().unwrap_or(1).max(1);
    let [width, height] = BAR;
    // A number under every eighth bar: a factor of two.
    let label = |below: f64| if below.is_finite() { loss(below) } else { "1 and more".to_owned() };
    html! {
        svg.harm role="img" aria-label="Rows by loss"
            viewBox={ "0 0 " (width * distribution.len().max(8) + 40) " " (height + 24) } {
            @for (nth, &(below, n)) in distribution.iter().enumerate() {
                @let tall = (n as f64 / most as f64 * height as f64).ceil() as usize;
                rect.fill x=(width * nth) y=(height - tall) width=(width - 2) height=(tall) {
                    title { (units::grouped(n)) " rows below " (label(below)) }
                }
                @if nth % 8 == 0 { text x=(width * nth) y=(height + 18) font-size="11" fill="currentColor" { (label(below)) } }
            }
        }
    }
}
