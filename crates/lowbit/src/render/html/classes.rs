//! Which classes lost, and what they are taken for now.

use lowbit_quantize::report::{Class, Report, Score};
use maud::{Markup, html};

use super::Section;
use super::parts::{Kind, bar, folded};
use crate::render::units;

/// Classes in sight.
const WORST: usize = 12;

pub(super) fn section(report: &Report) -> Option<Section> {
    let compared: Vec<&Score> = report.scores.iter().filter(|score| !score.classes.is_empty()).collect();
    // A page about one network shows that one; a comparison shows all.
    let shown =
        if report.layers.is_empty() { &compared[..] } else { &compared[compared.len().saturating_sub(1)..] };
    let first = shown.first()?;
    let most =
        shown.iter().flat_map(|score| &score.classes).map(|class| change(class).abs()).fold(0.0, f64::max);
    let body = html! {
        @for score in shown {
            @if shown.len() > 1 { h3.of { (score.model) @if let Some(engine) = &score.engine { " · " (engine) } } }
            (chart(&score.classes, most))
        }
    };
    let lead = format!(
        "Samples answered right, of each class: with the first network, with this one, and the class that it takes them for more \
         often. Sorted by what was lost; {} in all.",
        units::plural(first.classes.len(), "class")
    );
    Some(Section { id: "classes", title: "Which classes lost", lead, body })
}

/// Points gained (lost, if negative).
fn change(class: &Class) -> f64 {
    percent(class, class.after) - percent(class, class.before)
}

fn percent(class: &Class, right: usize) -> f64 {
    100.0 * right as f64 / class.samples.max(1) as f64
}

fn chart(classes: &[Class], most: f64) -> Markup {
    let mut sorted: Vec<&Class> = classes.iter().filter(|class| class.samples > 0).collect();
    sorted.sort_by(|a, b| change(a).total_cmp(&change(b)));
    let rows = sorted.into_iter().map(|class| {
        let change = change(class);
        let kind = if change < 0.0 { Kind::Harm } else { Kind::Weight };
        html! {
            li title={ (units::plural(class.samples, "sample")) } {
                span.name { (class.name) }
                (bar(change.abs() / most.max(f64::MIN_POSITIVE), kind, ""))
                span.number { (units::points(change)) }
                span.number.soft {
                    (units::percent(Some(percent(class, class.before)))) " → "
                    (units::percent(Some(percent(class, class.after))))
                }
                span.soft {
                    @if let Some(other) = &class.taken_for { "taken for " span.name { (other.class) } ": +" (other.more) }
                }
            }
        }
    });
    folded(rows.collect(), WORST, "class", "class-chart")
}
