//! Reports of embedding tables as text, JSON and Markdown; the page is in [`super::html::embedding`].

use super::table::{Align, Table};
use super::text::{self, Style};
use super::{json, units};
use crate::embedding::{EmbedBench, EmbedReport, Speed};

/// A loss: `0.0815`.
pub(super) fn loss(value: f64) -> String {
    units::real(value as f32)
}

/// The first line: what the table is.
pub(super) fn about(report: &EmbedReport) -> String {
    format!(
        "{} rows · {} columns · {} in float32",
        units::grouped(report.rows),
        units::grouped(report.columns as u64),
        units::bytes(report.float_bytes)
    )
}

/// The second: what became of it.
pub(super) fn became(report: &EmbedReport) -> String {
    format!(
        "{} · {} bits · {} · {} per row · {} in {} on {}",
        report.method,
        report.bits,
        report.format,
        units::bytes(report.row_bytes as u64),
        units::plural(report.rows as usize, "row"),
        units::seconds(report.seconds),
        units::plural(report.threads, "thread"),
    )
}

/// Loss and size in one line.
pub(super) fn result(report: &EmbedReport) -> Table {
    let mut table = Table::new(
        &["loss", "weighted", "half below", "90 % below", "99 % below", "worst", "size", "of float32"]
            .map(|title| (title, Align::Right)),
    );
    let quantile = |at: usize| report.quantiles.get(at).map_or(units::NONE.to_owned(), |q| loss(q.loss));
    table.push(vec![
        loss(report.loss),
        report.weighted_loss.map_or(units::NONE.to_owned(), loss),
        quantile(0),
        quantile(1),
        quantile(2),
        report.worst.first().map_or(units::NONE.to_owned(), |row| loss(row.loss)),
        units::bytes(report.packed_bytes),
        units::percent(Some(100.0 * report.packed_bytes as f64 / report.float_bytes as f64)),
    ]);
    table.without_blank_columns()
}

/// Rows by loss.
pub(super) fn worst(report: &EmbedReport) -> Table {
    let mut table = Table::new(&[("row", Align::Left), ("loss", Align::Right)]);
    report.worst.iter().for_each(|row| table.push(vec![units::grouped(row.row), loss(row.loss)]));
    table
}

/// Other methods.
pub(super) fn compared(report: &EmbedReport) -> Table {
    let mut table = Table::new(&[
        ("method", Align::Left),
        ("loss", Align::Right),
        ("bytes per row", Align::Right),
        ("of float32", Align::Right),
        ("rows/s", Align::Right),
    ]);
    for other in &report.compared {
        table.push(vec![
            other.method.clone(),
            loss(other.loss),
            other.row_bytes.to_string(),
            units::percent(Some(25.0 * other.row_bytes as f64 / report.columns as f64)),
            units::count(other.rows_per_second as u64),
        ]);
    }
    table
}

/// Title of the comparison.
pub(super) fn compared_title(report: &EmbedReport) -> String {
    format!("Methods on {} rows", units::grouped(report.compared_rows))
}

/// Facts about rows.
pub(super) fn notes(report: &EmbedReport) -> Vec<String> {
    let mut notes = report.notes.clone();
    if report.constant_rows > 0 {
        notes.push(format!("{} of one value only", units::plural(report.constant_rows as usize, "row")));
    }
    notes
}

/// For a terminal.
pub fn text(report: &EmbedReport, style: Style) -> String {
    let lines = [report.table.clone(), about(report), became(report)];
    let mut sections = vec![(String::new(), result(report)), ("Worst rows".to_owned(), worst(report))];
    if !report.compared.is_empty() {
        sections.push((compared_title(report), compared(report)));
    }
    text::sections(&lines, &sections, &notes(report), style)
}

/// One object.
pub fn json(report: &EmbedReport) -> String {
    json::value(report)
}

/// To paste into an issue.
pub fn markdown(report: &EmbedReport) -> String {
    let mut out = format!(
        "# {}\n\n{}.\n{}.\n\n{}",
        super::markdown::escape(&report.table),
        about(report),
        became(report),
        result(report).to_markdown()
    );
    for note in notes(report) {
        out.push_str(&format!("\n- {}", super::markdown::escape(&note)));
    }
    out.push_str(&format!("\n## Worst rows\n\n{}", worst(report).to_markdown()));
    if !report.compared.is_empty() {
        out.push_str(&format!("\n## {}\n\n{}", compared_title(report), compared(report).to_markdown()));
    }
    out
}

/// Speeds, for a terminal.
pub fn bench(bench: &EmbedBench, style: Style) -> String {
    let lines = [format!(
        "{} rows · {} columns · {} bits · {} · {}",
        units::grouped(bench.rows),
        bench.columns,
        bench.bits,
        bench.format,
        bench.isa
    )];
    let pooled =
        format!("Look-ups, {} bags of {} random rows", units::grouped(bench.bags as u64), bench.pooling);
    let sections =
        [("Quantizing in memory".to_owned(), speeds(&bench.quantized)), (pooled, speeds(&bench.lookups))];
    text::sections(&lines, &sections, &[], style)
}

fn speeds(speeds: &[Speed]) -> Table {
    let mut table = Table::new(&[
        ("what", Align::Left),
        ("threads", Align::Right),
        ("rows/s", Align::Right),
        ("packed", Align::Right),
        ("of memory", Align::Right),
    ]);
    for speed in speeds {
        table.push(vec![
            speed.what.clone(),
            speed.threads.to_string(),
            units::count(speed.rows_per_second as u64),
            format!("{}/s", units::bytes(speed.bytes_per_second as u64)),
            units::percent(speed.of_memory_percent),
        ]);
    }
    table.without_blank_columns()
}
