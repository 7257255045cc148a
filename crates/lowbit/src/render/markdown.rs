//! A report as Markdown, to paste into an issue or a pull request.

use lowbit_quantize::report::{Report, Score};

use super::{before_after, by_harm, error_percent, tables, units};

/// Layers named under "hurt most".
const WORST: usize = 10;

/// A whole report.
pub fn report(report: &Report) -> String {
    let mut out = format!("# {}\n\n", escape(&report.model.name));
    if let Some((before, after)) = before_after(report) {
        out.push_str(&headline(before, after));
    }
    let job = &report.job;
    if !job.recipe.is_empty() {
        out.push_str(&format!(
            "Recipe `{}`, target `{}`, flavour `{}`, seed {}{}, calibrated on {} of `{}`.\n\n",
            job.recipe,
            job.target,
            job.flavour,
            job.seed,
            job.effort.as_ref().map_or_else(String::new, |effort| format!(", effort {effort}")),
            units::plural(job.calibration_samples, "sample"),
            job.data
        ));
    }
    out.push_str(&format!("## Compared\n\n{}\n", tables::scores(&report.scores).to_markdown()));
    for note in &report.notes {
        out.push_str(&format!("- {}\n", escape(note)));
    }
    let harm = by_harm(report);
    if !harm.is_empty() {
        out.push_str("\n## Layers that hurt most\n\nEach quantized alone.\n\n");
        for &(i, db) in harm.iter().take(WORST) {
            let error = units::share(error_percent(db));
            let name = escape(&report.layers[i].name);
            out.push_str(&format!("1. {name}: {}, output off by {error}\n", units::decibel(db)));
        }
    }
    for (title, table) in [
        ("Layers", tables::layers(report)),
        ("Windows of operands", tables::windows(report)),
        ("Embedding tables", tables::embedding_tables(report)),
        ("Kept in float", tables::kept_float(report)),
        ("Time", tables::stages(report)),
    ] {
        if !table.is_empty() {
            out.push_str(&format!("\n## {title}\n\n{}", table.to_markdown()));
        }
    }
    for (title, toml) in [("Recipe", &job.recipe_toml), ("Preprocessing", &job.preprocess_toml)] {
        if !toml.is_empty() {
            out.push_str(&format!("\n## {title}\n\n```toml\n{}\n```\n", toml.trim_end()));
        }
    }
    out
}

fn headline(before: &Score, after: &Score) -> String {
    let size = format!(
        "{} → {} ({} smaller)",
        units::bytes(before.size_bytes),
        units::bytes(after.size_bytes),
        units::ratio(before.size_bytes, after.size_bytes)
    );
    match (before.top1, after.top1) {
        (Some(was), Some(is)) => format!(
            "**{}**: top-1 {} → {} ({} points), {size}.\n\n",
            after.bits,
            units::percent(was),
            units::percent(is),
            units::points(is - was)
        ),
        _ => format!("**{}**: {size}.\n\n", after.bits),
    }
}

/// Keeps names of layers from being read as Markdown; what stands between backticks stays code.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut code = false;
    for c in text.chars() {
        code ^= c == '`';
        match c {
            '|' => out.push_str("\\|"),
            '*' | '_' | '<' | '[' | '\\' if !code => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
