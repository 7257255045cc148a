//! One small histogram per quantized edge, with its clip and its levels drawn in.

use lowbit_quantize::report::{Activation, Histogram, Report};
use maud::{Markup, html};

use super::Section;
use super::parts::trim;
use crate::render::units;

/// Size of a drawing in its own units.
const WIDTH: f64 = 260.0;
const TOP: f64 = 4.0;
const FLOOR: f64 = 72.0;
const HEIGHT: f64 = 84.0;

/// Bars drawn at most: finer bins are summed.
const BARS: usize = 87;

/// Levels drawn one by one up to this many; more would be a solid band, and are drawn as one.
const LEVELS: u32 = 64;

/// Histograms in sight; the rest are behind a fold.
const SHOWN: usize = 24;

pub(super) fn section(report: &Report) -> Option<Section> {
    let rows: Vec<Markup> = report
        .layers
        .iter()
        .enumerate()
        .filter_map(|(i, layer)| layer.activation.as_ref().map(|activation| figure(i, activation)))
        .collect();
    if rows.is_empty() {
        return None;
    }
    Some(Section {
        id: "activations",
        title: "Activations",
        lead: "What calibration saw on each quantized edge, on a logarithmic scale. Orange marks the clip: values \
               beyond it saturate. The blue ticks below are the values that have a code."
            .to_owned(),
        body: super::parts::folded(rows, SHOWN, "edge", "histograms"),
    })
}

fn figure(layer: usize, activation: &Activation) -> Markup {
    html! {
        li {
            p.title {
                a.name href={ "#layer-" (layer + 1) } { (activation.name) }
                span.badge { (units::plural(usize::from(activation.bits), "bit")) }
            }
            (drawing(activation))
            p.caption {
                "clip " b { (units::real(activation.clip_lo)) " … " (units::real(activation.clip_hi)) }
                " · " (units::share(activation.clipped_percent)) " clipped"
                @if activation.sqnr_db.is_some() { " · " (units::decibel(activation.sqnr_db)) }
            }
        }
    }
}

fn drawing(activation: &Activation) -> Markup {
    let bars = Bars::new(&activation.histogram);
    let lo = bars.lo.min(f64::from(activation.clip_lo));
    let hi = bars.hi().max(f64::from(activation.clip_hi));
    if !(lo.is_finite() && hi.is_finite() && hi > lo) {
        return html! { p.empty { "constant or empty" } };
    }
    // A margin on both sides, or a clip at the end of the data would be cut in half.
    let x = |value: f64| 4.0 + (WIDTH - 8.0) * (value - lo) / (hi - lo);
    let clip = [x(f64::from(activation.clip_lo)), x(f64::from(activation.clip_hi))];
    html! {
        svg.histogram viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label={ "Histogram of " (activation.name) } {
            title {
                (activation.name) "\nseen " (units::real(activation.min)) " … " (units::real(activation.max))
                "\nset by " (activation.set_by)
            }
            @if lo < f64::from(activation.clip_lo) {
                rect.outside x="0" y=(TOP) width=(trim(clip[0])) height=(FLOOR - TOP) {}
            }
            @if hi > f64::from(activation.clip_hi) {
                rect.outside x=(trim(clip[1])) y=(TOP) width=(trim(WIDTH - clip[1])) height=(FLOOR - TOP) {}
            }
            path.bars d=(bars.path(&x)) {}
            (levels(activation, &x))
            line.floor x1="0" x2=(WIDTH) y1=(FLOOR) y2=(FLOOR) {}
            @for at in clip { line.clip x1=(trim(at)) x2=(trim(at)) y1="0" y2=(FLOOR + 9.0) {} }
            @if lo < 0.0 && hi > 0.0 { line.zero x1=(trim(x(0.0))) x2=(trim(x(0.0))) y1=(TOP) y2=(FLOOR) { title { "0" } } }
        }
    }
}

fn levels(activation: &Activation, x: &dyn Fn(f64) -> f64) -> Markup {
    let (lo, hi) = (f64::from(activation.clip_lo), f64::from(activation.clip_hi));
    let steps = match activation.levels.len() as u32 {
        0 => (1u32 << activation.bits.clamp(1, 16)) - 1,
        levels => levels - 1,
    };
    let level = |i: u32| match activation.levels.get(i as usize) {
        Some(&level) => f64::from(level),
        None => lo + (hi - lo) * f64::from(i) / f64::from(steps),
    };
    html! {
        @if steps < LEVELS {
            @let ticks: String =
                (0..=steps).map(|i| format!("M{} {}v6", trim(x(level(i))), FLOOR + 2.0)).collect();
            path.levels d=(ticks) { title { (steps + 1) " levels" } }
        } @else {
            rect.levels x=(trim(x(lo))) y=(FLOOR + 3.0) width=(trim((x(hi) - x(lo)).max(0.0))) height="4" {
                title { (steps + 1) " levels" }
            }
        }
    }
}

/// Bins made coarse enough to draw, empty ones at both ends dropped.
struct Bars {
    lo: f64,
    width: f64,
    counts: Vec<u64>,
}

impl Bars {
    fn new(histogram: &Histogram) -> Bars {
        let full = |count: &&u64| **count > 0;
        let start = histogram.counts.iter().take_while(|count| !full(count)).count();
        let end =
            histogram.counts.len() - histogram.counts.iter().rev().take_while(|count| !full(count)).count();
        let used = histogram.counts.get(start..end).unwrap_or(&[]);
        let group = used.len().div_ceil(BARS).max(1);
        let width = f64::from(histogram.width);
        Bars {
            lo: f64::from(histogram.lo) + width * start as f64,
            width: width * group as f64,
            counts: used
                .chunks(group)
                .map(|bins| bins.iter().fold(0, |sum, &n| n.saturating_add(sum)))
                .collect(),
        }
    }

    fn hi(&self) -> f64 {
        self.lo + self.width * self.counts.len() as f64
    }

    /// The outline of all bars: one path is a hundredth of the bytes of as many rectangles.
    fn path(&self, x: &dyn Fn(f64) -> f64) -> String {
        let most = self.counts.iter().copied().max().unwrap_or(0).max(1) as f64;
        let mut path = format!("M{} {FLOOR}", trim(x(self.lo)));
        for (i, &count) in self.counts.iter().enumerate() {
            let height = (FLOOR - TOP) * (1.0 + count as f64).ln() / (1.0 + most).ln();
            path.push_str(&format!(
                "V{}H{}",
                trim(FLOOR - height),
                trim(x(self.lo + self.width * (i + 1) as f64))
            ));
        }
        path.push_str(&format!("V{FLOOR}Z"));
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_keep_every_count_and_the_range_of_the_data() {
        let mut counts = vec![0; 2048];
        counts[100..1300].fill(3);
        let bars = Bars::new(&Histogram { lo: -1.0, width: 0.01, counts });
        assert!(bars.counts.len() <= BARS);
        assert_eq!(bars.counts.iter().sum::<u64>(), 3600);
        assert!((bars.lo - 0.0).abs() < 1e-6);
        assert!(bars.hi() >= 12.0 - 1e-6);
    }

    #[test]
    fn an_empty_or_constant_edge_is_said_so() {
        assert!(drawing(&Activation::default()).into_string().contains("constant or empty"));
    }
}
