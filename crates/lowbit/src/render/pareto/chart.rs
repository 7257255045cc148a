//! A drawing of points: what something takes across, loss upward on a logarithmic scale.

use maud::{Markup, html};

use crate::facade::{Point, SearchReport};
use crate::render::html::trim;

/// Size of a drawing in its own units, and room for numbers.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 508.0;
const TOP: f64 = 10.0;
const FLOOR: f64 = 268.0;
/// Room that a name takes.
const LABEL: [f64; 2] = [34.0, 10.0];
/// Loss below which points are drawn at the bottom.
const LEAST: f64 = 1e-6;

/// What is drawn of a point.
struct Dot {
    /// Its place in the report.
    i: usize,
    x: f64,
    y: f64,
    best: bool,
}

/// Points for which `across` has a number; it also says whether nothing shown beats them in it.
pub(super) fn chart(
    report: &SearchReport,
    title: &str,
    across: &dyn Fn(&Point) -> Option<(f64, bool)>,
    unit: &dyn Fn(f64) -> String,
) -> Markup {
    let shown: Vec<Dot> = report
        .points
        .iter()
        .enumerate()
        .filter_map(|(i, point)| {
            let ((x, best), y) = (across(point)?, point.mean_loss().max(LEAST));
            (x.is_finite() && y.is_finite()).then_some(Dot { i, x, y, best })
        })
        .collect();
    let ends = |values: &mut dyn Iterator<Item = f64>| {
        values.fold([f64::INFINITY, f64::NEG_INFINITY], |[lo, hi], v| [lo.min(v), hi.max(v)])
    };
    let [_, most] = ends(&mut shown.iter().map(|dot| dot.x));
    let [low, high] = ends(&mut shown.iter().map(|dot| dot.y.log10()));
    let (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
    let step = nice(most / 5.0);
    let right = (most / step).ceil().max(1.0) * step;
    let at_x = |x: f64| LEFT + (RIGHT - LEFT) * x / right;
    let at_y = |y: f64| FLOOR - (FLOOR - TOP) * (y.log10() - low) / (high - low);
    let steps = (0u32..).map(|i| f64::from(i) * step).take_while(|x| *x <= right * 1.001);
    let decades = (low as i32..=high as i32).map(|d| 10f64.powi(d));
    // Points of one width have their names beside them: on the right, on the left where there is no room, or nowhere.
    let mut labels: Vec<(usize, f64, &str)> = Vec::new();
    let mut taken: Vec<[f64; 2]> = Vec::new();
    for dot in shown.iter().filter(|dot| report.points[dot.i].uniform) {
        let place = [at_x(dot.x), at_y(dot.y)];
        let (shift, anchor) = if place[0] > RIGHT - LABEL[0] { (-8.0, "end") } else { (8.0, "start") };
        if taken.iter().all(|t| (t[0] - place[0]).abs() > LABEL[0] || (t[1] - place[1]).abs() > LABEL[1]) {
            labels.push((dot.i, place[0] + shift, anchor));
            taken.push(place);
        }
    }
    html! {
        figure.scatter {
            figcaption { (title) }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label={ "Loss against: " (title) } {
                @for y in decades {
                    line.grid x1=(LEFT) x2=(RIGHT) y1=(trim(at_y(y))) y2=(trim(at_y(y))) {}
                    text.tick x=(LEFT - 6.0) y=(trim(at_y(y) + 3.5)) text-anchor="end" { (decade(y)) }
                }
                @for x in steps {
                    line.grid x1=(trim(at_x(x))) x2=(trim(at_x(x))) y1=(TOP) y2=(FLOOR) {}
                    text.tick x=(trim(at_x(x))) y=(FLOOR + 16.0) text-anchor="middle" { (if x > 0.0 { unit(x) } else { "0".into() }) }
                }
                @for &Dot { i, x, y, best } in &shown {
                    @let p = &report.points[i];
                    @let chosen = report.chosen == Some(i);
                    a href={ "#p" (i) } {
                        circle class={ "point" @if best { " best" } @if chosen { " picked" } } data-point=(i)
                            cx=(trim(at_x(x))) cy=(trim(at_y(y))) r=(if chosen { 7.0 } else { 4.5 }) {
                            title { (p.name) " · " (unit(x)) " · loss " (format!("{y:.2e}")) " · " (format!("{:.2}", p.drop[0])) " points lost" }
                        }
                        @if let Some((_, x, anchor)) = labels.iter().find(|(of, _, _)| *of == i) {
                            text.label x=(trim(*x)) y=(trim(at_y(y) + 3.5)) text-anchor=(anchor) { (p.name) }
                        }
                    }
                }
            }
        }
    }
}

/// 1, 2 or 5 times a power of ten, not below `x`.
fn nice(x: f64) -> f64 {
    if !(x > 0.0 && x.is_finite()) {
        return 1.0;
    }
    let base = 10f64.powf(x.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * base).find(|step| *step >= x * 0.999).unwrap_or(10.0 * base)
}

fn decade(y: f64) -> String {
    if (0.001..1000.0).contains(&y) { format!("{y}") } else { format!("{y:.0e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_numbers() {
        assert_eq!([0.7, 1.0, 13.0, 34_000.0].map(nice), [1.0, 1.0, 20.0, 50_000.0]);
        assert_eq!([nice(0.0), nice(f64::NAN)], [1.0, 1.0]);
    }
}
