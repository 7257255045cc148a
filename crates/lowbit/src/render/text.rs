//! Values as text for a terminal.

use lowbit_quantize::report::{Model, Report, Score};

use super::table::Table;
use super::{by_harm, error_percent, tables, units};
use crate::Inspection;
use crate::facade::{Bench, KernelSet};

/// What the place that shows the text can do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Characters in a line; `None` for no limit (a file or a pipe).
    pub width: Option<usize>,
    /// Whether to use bold and dim letters.
    pub colour: bool,
}

/// Layers named under "hurt most".
const WORST: usize = 5;

/// A whole report.
pub fn report(report: &Report, style: Style) -> String {
    let mut out = Out::new(style);
    out.model(&report.model);
    let job = &report.job;
    if !job.recipe.is_empty() {
        out.line(&format!(
            "recipe {} · target {} · flavour {} · seed {}{} · calibrated on {}",
            job.recipe,
            job.target,
            job.flavour,
            job.seed,
            job.effort.as_ref().map_or_else(String::new, |effort| format!(" · effort {effort}")),
            units::plural(job.calibration_samples, "sample")
        ));
    }
    out.section(&samples_title(&report.scores), &tables::scores(&report.scores));
    out.section("Layers", &tables::layers(report));
    out.worst(report);
    out.section("Windows of operands", &tables::windows(report));
    out.section("Embedding tables", &tables::embedding_tables(report));
    out.section("Kept in float", &tables::kept_float(report));
    if !report.notes.is_empty() {
        out.heading("Notes");
        for note in &report.notes {
            out.line(&format!("• {note}"));
        }
    }
    out.section("Time", &tables::stages(report));
    out.text
}

/// Networks side by side.
pub fn scores(scores: &[Score], style: Style) -> String {
    let mut out = Out::new(style);
    out.section(&samples_title(scores), &tables::scores(scores));
    out.text
}

/// How fast a network ran.
pub fn bench(bench: &Bench, style: Style) -> String {
    let mut out = Out::new(style);
    out.line(&format!(
        "{} engine · {} · batch {} · {} · {}",
        bench.engine,
        bench.isa,
        bench.batch,
        units::plural(bench.threads, "thread"),
        units::plural(bench.runs, "run")
    ));
    out.section("Speed", &tables::speed(bench));
    out.section("Nodes, on one thread", &tables::node_times(&bench.nodes));
    if !bench.float_nodes.is_empty() {
        out.heading("In float");
        for node in &bench.float_nodes {
            out.line(&format!("• {node}"));
        }
    }
    out.text
}

/// The instruction sets of this machine.
pub fn kernels(sets: &[KernelSet], style: Style) -> String {
    let mut out = Out::new(style);
    for set in sets {
        out.line(&format!("{}{}", set.name, if set.chosen { "  (in use)" } else { "" }));
    }
    out.text
}

/// A network that nothing was done to yet.
pub fn inspection(inspection: &Inspection, style: Style) -> String {
    let mut out = Out::new(style);
    out.model(&inspection.model);
    for (what, edges) in [("input", &inspection.model.inputs), ("output", &inspection.model.outputs)] {
        for edge in edges {
            out.line(&format!("{what}  {edge}"));
        }
    }
    out.section("Layers", &tables::inspected_layers(inspection));
    out.section("Blocks: what reconstruction fits one at a time", &tables::inspected_blocks(inspection));
    out.section("Operators", &tables::ops(inspection));
    out.text
}

/// A table alone.
pub fn table(table: &Table, style: Style) -> String {
    let mut out = Out::new(style);
    out.table(table);
    out.text
}

/// Lines, the first in bold, then tables under headings (an empty one for none), then notes.
pub(super) fn sections(
    lines: &[String],
    tables: &[(String, Table)],
    notes: &[String],
    style: Style,
) -> String {
    let mut out = Out::new(style);
    for (nth, line) in lines.iter().enumerate() {
        if nth == 0 { out.styled(line, 1) } else { out.line(line) }
    }
    for (title, table) in tables {
        match title.is_empty() {
            true => {
                out.line("");
                out.table(table);
            }
            false => out.section(title, table),
        }
    }
    if !notes.is_empty() {
        out.heading("Notes");
        notes.iter().for_each(|note| out.line(&format!("• {note}")));
    }
    out.text
}

fn samples_title(scores: &[Score]) -> String {
    match scores.first() {
        Some(first) => format!("Compared on {}", units::plural(first.samples, "sample")),
        None => String::new(),
    }
}

/// Without control characters: a name from a hostile file must not reach the terminal as a command.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

struct Out {
    style: Style,
    text: String,
}

impl Out {
    fn new(style: Style) -> Out {
        Out { style, text: String::new() }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(&printable(line));
        self.text.push('\n');
    }

    /// `code`: a Select Graphic Rendition number, 1 bold, 2 dim.
    fn styled(&mut self, line: &str, code: u8) {
        if self.style.colour {
            self.text.push_str(&format!("\x1b[{code}m{}\x1b[0m\n", printable(line)));
        } else {
            self.line(line);
        }
    }

    fn heading(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.line("");
        }
        self.styled(title, 1);
    }

    fn table(&mut self, table: &Table) {
        for (i, line) in table.to_text(self.style.width).iter().enumerate() {
            if i == 0 { self.styled(line, 2) } else { self.line(line) }
        }
    }

    fn section(&mut self, title: &str, table: &Table) {
        if !table.is_empty() {
            self.heading(title);
            self.table(table);
        }
    }

    fn model(&mut self, model: &Model) {
        self.styled(&model.name, 1);
        self.line(&format!(
            "{} · {} parameters · {} MACs per sample · {}",
            units::plural(model.nodes, "node"),
            units::count(model.parameters),
            units::count(model.macs),
            units::bytes(model.file_bytes)
        ));
    }

    fn worst(&mut self, report: &Report) {
        let harm = by_harm(report);
        if harm.is_empty() {
            return;
        }
        self.heading("Layers that hurt most, each quantized alone");
        let name = |i: usize| report.layers[i].name.as_str();
        let width = harm.iter().take(WORST).map(|&(i, _)| name(i).chars().count()).max().unwrap_or(0);
        for &(i, db) in harm.iter().take(WORST) {
            let error = units::share(error_percent(db));
            self.line(&format!("{:width$}  {:>8}  output off by {error}", name(i), units::decibel(db)));
        }
    }
}
