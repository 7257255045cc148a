//! A report as one self-contained HTML page: drawings are inline SVG, nothing is fetched (the page forbids it to
//! itself), and everything but sorting and copying works without scripts.
//!
//! Three colours carry meaning throughout: green is weights, blue is activations, orange is harm (clipped values,
//! error). A width in bits is drawn as eight cells of which that many are filled.

mod activations;
mod classes;
mod comparison;
pub mod embedding;
mod graph;
mod layers;
mod parts;
mod run;
mod summary;
mod training;
mod windows;

use lowbit_quantize::report::Report;
pub(super) use parts::{copyable, trim};
pub(super) use summary::brand;

use maud::{DOCTYPE, Markup, PreEscaped, html};

pub(super) const STYLE: &str = include_str!("html/style.css");
pub(super) const SCRIPT: &str = include_str!("html/script.js");

/// Nothing may be loaded, from anywhere: a report can be opened next to secrets.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// A whole page that carries all it needs: head and frame of every page that lowbit writes.
pub(super) fn document(title: &str, styles: &[&str], body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) }
                link rel="icon" href="data:,";
                style { @for style in styles { (PreEscaped(style)) } }
            }
            body { (body) }
        }
    }
    .into_string()
}

/// A part of the page; left out when it has nothing to show.
struct Section {
    id: &'static str,
    title: &'static str,
    /// One sentence on how to read it.
    lead: String,
    body: Markup,
}

/// The whole page.
pub fn report(report: &Report) -> String {
    let sections: Vec<Section> = [
        comparison::section(report),
        training::section(report),
        run::notes(report),
        classes::section(report),
        layers::harm(report),
        layers::widths(report),
        layers::table(report),
        activations::section(report),
        windows::section(report),
        run::embedding_tables(report),
        run::kept_float(report),
        run::stages(report),
        run::reproduce(report),
    ]
    .into_iter()
    .flatten()
    .collect();

    let body = html! {
        (summary::header(report))
        nav aria-label="Sections" {
            @for section in &sections { a href={ "#" (section.id) } { (section.title) } }
        }
        main {
            @for section in &sections {
                section id=(section.id) {
                    h2 { (section.title) }
                    @if !section.lead.is_empty() { p.lead { (section.lead) } }
                    (section.body)
                }
            }
        }
        footer {
            "Written by lowbit"
            @if !report.job.version.is_empty() { " " (report.job.version) " with seed " (report.job.seed) }
            ". Sizes in decimal units (1 kB = 1000 bytes)."
        }
        script { (PreEscaped(SCRIPT)) }
    };
    document(&format!("{} · lowbit report", report.model.name), &[STYLE], &body)
}
