//! What a search found, as a page and as text. The page looks and behaves like a report: one file, drawings inline, nothing
//! fetched; without scripts it lacks hovering, sorting and copying.

mod chart;

use maud::{Markup, PreEscaped, html};

use super::html::{SCRIPT, STYLE, brand, copyable, document};
use super::table::{Align, Table};
use super::text::Style;
use super::{text, units};
use crate::facade::{Point, SearchReport};

const PAGE_STYLE: &str = include_str!("pareto/style.css");
const PAGE_SCRIPT: &str = include_str!("pareto/script.js");

/// The whole page.
pub fn page(report: &SearchReport) -> String {
    let timed = report.points.iter().any(|p| p.measured_ms.is_some());
    let time =
        if timed { "Time of one sample, measured here" } else { "Time of one sample, by the target's costs" };
    let body = html! {
        header {
            (brand("search"))
            h1 { (report.model) }
            p.headline { (headline(report)) }
            dl.facts {
                @for (name, value) in facts(report) { div { dt { (name) } dd { (value) } } }
            }
        }
        main {
            section id="frontier" {
                h2 { "What can be had" }
                p.lead {
                    "Lower and further left is better. Loss is how far the answers are from those of the float network "
                    "(divergence of softened scores, in nats). Filled points are on a frontier: nothing that was tried is "
                    "better in both. Hover or click one."
                }
                div.charts {
                    (chart::chart(report, "Size of the file", &|p| Some((p.size() as f64, p.best.size)), &|x| units::bytes(x as u64)))
                    @if report.points.iter().any(|p| p.ms().is_some()) {
                        (chart::chart(report, time, &|p| Some((p.ms()?, p.best.time)), &milliseconds))
                    }
                }
                p id="tip" hidden {}
            }
            section id="points" {
                h2 { "Points" }
                p.lead {
                    "Bits are averages over layers and edges, float counting as 32. Points lost are of accuracy, on "
                    (units::grouped(report.samples[0] as u64)) " samples that decided and "
                    (units::grouped(report.samples[1] as u64)) " held out."
                }
                div.scroll { (table(report)) }
            }
            @if !report.notes.is_empty() {
                section id="notes" { h2 { "Notes" } ul.notes { @for note in &report.notes { li { (note) } } } }
            }
        }
        footer { "Written by lowbit " (env!("CARGO_PKG_VERSION")) " with seed " (report.seed) ". Sizes in decimal units (1 kB = 1000 bytes)." }
        script { (PreEscaped(SCRIPT)) (PreEscaped(PAGE_SCRIPT)) }
    };
    document(&format!("{} · lowbit search", report.model), &[STYLE, PAGE_STYLE], &body)
}

/// Whether nothing shown beats it, in one thing at least.
fn unbeaten(point: &Point) -> bool {
    point.best.size || point.best.time
}

/// In three digits that count.
fn milliseconds(ms: f64) -> String {
    let places = if ms > 0.0 { (2 - ms.log10().floor() as i32).clamp(0, 6) as usize } else { 0 };
    format!("{ms:.places$} ms")
}

fn headline(report: &SearchReport) -> Markup {
    let chosen = report.chosen.and_then(|i| report.points.get(i));
    html! {
        (report.goal) ": "
        @match chosen {
            Some(point) => {
                b { (units::bytes(point.size())) }
                @if let Some(ms) = point.measured_ms { ", " b { (milliseconds(ms)) } " a sample" }
                ", " b { (units::points(-point.drop[0])) } " of accuracy, " b { (units::points(-point.drop[1])) } " held out"
            },
            None => "nothing was chosen",
        }
    }
}

fn facts(report: &SearchReport) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Target", report.target.clone()),
        ("Tuner", report.tuner.clone()),
        ("Float file", units::bytes(report.float_bytes)),
        (
            "Space",
            format!(
                "{} with {} choices",
                units::plural(report.space[0], "dimension"),
                units::grouped(report.space[1] as u64)
            ),
        ),
        ("Trials", units::grouped((report.trials[0] + report.trials[1]) as u64)),
    ];
    if report.trials[0] > 0 {
        facts.push((
            "Speed",
            format!("{:.0} trials/min, reuse {:.1}×", report.trials_per_minute, report.reuse),
        ));
    }
    facts
}

fn table(report: &SearchReport) -> Markup {
    let ms = |value: Option<f64>| value.map_or(units::NONE.into(), milliseconds);
    html! {
        table.sortable.points {
            thead { tr {
                @for title in ["point", "weights", "edges", "size", "measured", "predicted", "loss", "held out", "lost", "held out", "recipe"] {
                    th.number[title != "point" && title != "recipe"] { (title) }
                }
            } }
            tbody {
                @for (i, p) in report.points.iter().enumerate() {
                    tr id={ "p" (i) } class=[(report.chosen == Some(i)).then_some("chosen")] {
                        th { (p.name) @if report.chosen == Some(i) { " " small { "chosen" } } @else if !unbeaten(p) { " " small { "beaten" } } }
                        @for bits in p.bits { td.number data-value=(bits) { (format!("{bits:.1}")) } }
                        td.number data-value=(p.size()) { (units::bytes(p.size())) }
                        td.number data-value=[p.measured_ms] { (ms(p.measured_ms)) }
                        td.number data-value=[p.predicted_ms] { (ms(p.predicted_ms)) }
                        @for loss in p.loss { td.number data-value=(loss) { (format!("{loss:.5}")) } }
                        @for drop in p.drop { td.number data-value=(drop) { (format!("{drop:.2}")) } }
                        td {
                            details { summary { "TOML" }
                                (copyable(&p.name, &p.recipe))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What was searched, and how, in three lines.
fn about(report: &SearchReport) -> [String; 3] {
    let what =
        format!("{} · target {} · tuner {} · seed {}", report.goal, report.target, report.tuner, report.seed);
    let dimensions = units::plural(report.space[0], "dimension");
    let mut how = format!("{dimensions} with {} choices", units::grouped(report.space[1] as u64));
    let [now, before] = report.trials;
    if now + before > 0 {
        let all = units::grouped((now + before) as u64);
        how.push_str(&format!(" · {all} trials ({} from the log)", units::grouped(before as u64)));
    }
    if now > 0 {
        how.push_str(&format!(" · {:.0} trials/min · reuse {:.1}×", report.trials_per_minute, report.reuse));
    }
    [report.model.clone(), what, how]
}

/// Whether a point is told without the page, which has them all.
fn told(report: &SearchReport, i: usize) -> bool {
    report.chosen == Some(i) || unbeaten(&report.points[i]) || report.points[i].uniform
}

/// The points that are told, the chosen one marked.
fn told_table(report: &SearchReport) -> Table {
    let titles =
        ["", "point", "weights", "edges", "size", "measured", "predicted", "loss", "lost", "held out"];
    let align = |i: usize| if i < 2 { Align::Left } else { Align::Right };
    let columns: Vec<(&'static str, Align)> =
        titles.iter().enumerate().map(|(i, t)| (*t, align(i))).collect();
    let mut table = Table::new(&columns);
    let ms = |value: Option<f64>| value.map_or(String::new(), milliseconds);
    for (i, p) in report.points.iter().enumerate().filter(|(i, _)| told(report, *i)) {
        let mark = if report.chosen == Some(i) {
            "▶"
        } else if unbeaten(p) {
            "•"
        } else {
            ""
        };
        table.push(vec![
            mark.into(),
            p.name.clone(),
            format!("{:.1}", p.bits[0]),
            format!("{:.1}", p.bits[1]),
            units::bytes(p.size()),
            ms(p.measured_ms),
            ms(p.predicted_ms),
            format!("{:.5}", p.mean_loss()),
            format!("{:.2}", p.drop[0]),
            format!("{:.2}", p.drop[1]),
        ]);
    }
    table.without_blank_columns()
}

/// The same for a terminal.
pub fn text(report: &SearchReport, style: Style) -> String {
    let mut out = about(report).join("\n");
    out.push('\n');
    let table = told_table(report);
    if !table.is_empty() {
        out.push('\n');
        out.push_str(&text::table(&table, style));
    }
    let rest = (0..report.points.len()).filter(|&i| !told(report, i)).count();
    if rest > 0 {
        out.push_str(&format!(
            "• {} more on the page (--pareto): something here is better in both\n",
            units::plural(rest, "point")
        ));
    }
    for note in &report.notes {
        out.push_str(&format!("• {note}\n"));
    }
    out
}

/// The same for an issue or a wiki.
pub fn markdown(report: &SearchReport) -> String {
    let [model, what, how] = about(report).map(|line| super::markdown::escape(&line));
    let mut out = format!("# {model}\n\n{what}.\n{how}.\n\n{}", told_table(report).to_markdown());
    for note in &report.notes {
        out.push_str(&format!("\n- {}", super::markdown::escape(note)));
    }
    out
}

/// The same as data.
pub fn json(report: &SearchReport) -> String {
    super::json::value(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facade::Best;

    fn report() -> SearchReport {
        let point = |name: &str, bytes: u64, loss: f64| Point {
            name: name.into(),
            best: Best { size: loss < 0.5, time: false },
            bits: [4.0, 8.0],
            loss: [loss, loss],
            drop: [0.25, -0.1],
            bytes: (bytes, Some(bytes)),
            measured_ms: Some(bytes as f64 / 1e6),
            recipe: format!("# <{name}>\nseed = 0\n"),
            ..Point::default()
        };
        SearchReport {
            model: "net".into(),
            goal: "at most 0.5 points lost".into(),
            points: vec![
                point("mixed w4.0a8.0", 100_000, 0.01),
                point("w8a8", 300_000, 0.001),
                point("w2a2", 60_000, 0.9),
            ],
            chosen: Some(0),
            ..SearchReport::default()
        }
    }

    #[test]
    fn a_page_has_every_point_with_its_recipe_and_fetches_nothing() {
        let page = page(&report());
        assert!(page.contains("default-src 'none'") && !page.contains("http://") && !page.contains("src="));
        for (i, point) in report().points.iter().enumerate() {
            assert!(page.contains(&point.name) && page.contains(&format!("data-point=\"{i}\"")), "{i}");
            assert!(page.contains(&format!("# &lt;{}&gt;", point.name)), "recipes are escaped");
        }
    }

    #[test]
    fn times_have_three_digits() {
        assert_eq!(
            [0.0, 0.0123, 5.0, 12.34, 1234.0].map(milliseconds),
            ["0 ms", "0.0123 ms", "5.00 ms", "12.3 ms", "1234 ms"]
        );
    }

    #[test]
    fn text_marks_what_was_chosen() {
        let text = text(&report(), Style::default());
        assert!(text.lines().any(|line| line.starts_with('▶') && line.contains("mixed w4.0a8.0")), "{text}");
        assert!(text.contains("100 kB"), "{text}");
        let markdown = markdown(&report());
        assert!(markdown.starts_with("# net\n") && markdown.contains("| mixed w4.0a8.0 |"), "{markdown}");
    }
}
