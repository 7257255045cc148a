//! The run itself: what stayed float, where time went, what to note, and how to do it again.

use lowbit_quantize::report::Report;
use maud::html;

use super::Section;
use super::parts::{Kind, bar, copyable, prose, table};
use crate::render::{tables, units};

pub(super) fn notes(report: &Report) -> Option<Section> {
    if report.notes.is_empty() {
        return None;
    }
    let body = html! { ul.notes { @for note in &report.notes { li { (prose(note)) } } } };
    Some(Section { id: "notes", title: "Notes", lead: String::new(), body })
}

pub(super) fn embedding_tables(report: &Report) -> Option<Section> {
    if report.tables.is_empty() {
        return None;
    }
    let lead = "Each row has a scale and a bias of its own. The loss is the length of the error over that of the table.";
    let body = table(&tables::embedding_tables(report));
    Some(Section { id: "tables", title: "Embedding tables", lead: lead.to_owned(), body })
}

pub(super) fn kept_float(report: &Report) -> Option<Section> {
    if report.kept_float.is_empty() {
        return None;
    }
    let body = html! {
        div.scroll {
            table {
                thead { tr { th { "Node" } th { "Operator" } th { "Why" } } }
                tbody {
                    @for kept in &report.kept_float {
                        tr { th.name scope="row" { (kept.node) } td { (kept.op) } td { (prose(&kept.reason)) } }
                    }
                }
            }
        }
    };
    let lead = format!("{} stay in float32.", units::plural(report.kept_float.len(), "node"));
    Some(Section { id: "float", title: "Kept in float", lead, body })
}

pub(super) fn stages(report: &Report) -> Option<Section> {
    let total: f64 = report.stages.iter().map(|stage| stage.seconds).filter(|s| s.is_finite()).sum();
    if report.stages.is_empty() || total <= 0.0 {
        return None;
    }
    let body = html! {
        ol.stages {
            @for stage in &report.stages {
                li {
                    span { (stage.name) }
                    (bar(stage.seconds / total, Kind::Plain, ""))
                    span.number { (units::seconds(stage.seconds)) }
                    span.number.soft { (units::share(100.0 * stage.seconds / total)) }
                }
            }
        }
    };
    let threads = match report.job.threads {
        0 => String::new(),
        n => format!(" on {}", units::plural(n, "thread")),
    };
    Some(Section {
        id: "time",
        title: "Time",
        lead: format!("{} in all{threads}.", units::seconds(total)),
        body,
    })
}

pub(super) fn reproduce(report: &Report) -> Option<Section> {
    let job = &report.job;
    if job.recipe_toml.is_empty() && job.preprocess_toml.is_empty() {
        return None;
    }
    let body = html! {
        div.codes {
            @if !job.recipe_toml.is_empty() { (copyable("recipe.toml", &job.recipe_toml)) }
            @if !job.preprocess_toml.is_empty() { (copyable("preprocess.toml", &job.preprocess_toml)) }
        }
        @if !report.model.inputs.is_empty() {
            dl.edges {
                dt { "Inputs" } dd { @for edge in &report.model.inputs { code { (edge) } } }
                dt { "Outputs" } dd { @for edge in &report.model.outputs { code { (edge) } } }
            }
        }
    };
    let settings = match &job.effort {
        None => format!("samples and seed ({})", job.seed),
        Some(effort) => format!("samples, effort ({effort}) and seed ({})", job.seed),
    };
    let lead = format!(
        "The same network, recipe, preprocessing, {settings} give the same file, byte for byte, on any number of threads."
    );
    Some(Section { id: "reproduce", title: "Reproduce", lead, body })
}
