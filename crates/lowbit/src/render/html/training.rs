//! How training went: loss, accuracy, learning rate and what the quantizers learned, over the epochs.

use lowbit_quantize::report::{Epoch, Report, TrainingLog};
use maud::{Markup, html};

use super::Section;
use super::parts::trim;
use crate::render::units;

/// Size of a drawing in its own units.
const WIDTH: f64 = 260.0;
const HEIGHT: f64 = 120.0;
/// Room on the left and below for numbers.
const LEFT: f64 = 34.0;
const FLOOR: f64 = 104.0;

/// Quantizers drawn at most: more lines would be a blot.
const LINES: usize = 64;

pub(super) fn section(report: &Report) -> Option<Section> {
    let log = report.training.as_ref().filter(|log| !log.epochs.is_empty())?;
    let of =
        |value: fn(&Epoch) -> Option<f64>| -> Vec<Option<f64>> { log.epochs.iter().map(value).collect() };
    let last = &log.epochs[log.epochs.len() - 1];
    let validated =
        last.validation_top1.map_or(String::new(), |a| format!(" · validation {}", units::percent(a)));
    let body = html! {
        ol.histograms {
            (figure("Loss", &format!("{:.3} in the last epoch", last.loss), &[("line weights", of(|e| Some(e.loss)))]))
            (figure(
                "Top-1 in percent",
                &format!("training {}{validated}", units::percent(last.train_top1)),
                &[("line weights", of(|e| Some(e.train_top1))), ("line activations", of(|e| e.validation_top1))],
            ))
            (figure("Learning rate", "of the last step of each epoch", &[("line plain", of(|e| Some(e.learning_rate)))]))
            @if !log.names.is_empty() {
                (figure("Steps and clips", "of each quantizer, relative to its first epoch", &relative(log)))
            }
        }
    };
    let lead = format!(
        "{} and {}, at {:.0} images per second in the last. Green is training, blue is validation.",
        units::plural(log.epochs.len(), "epoch"),
        units::plural(last.step as usize, "step"),
        last.images_per_second
    );
    Some(Section { id: "training", title: "Training", lead, body })
}

/// The first learned number of each quantizer over its first value.
fn relative(log: &TrainingLog) -> Vec<(&'static str, Vec<Option<f64>>)> {
    let one = |q: usize| {
        let first = log.epochs[0].learned.get(q).copied().unwrap_or(0.0);
        let at = |epoch: &Epoch| {
            let now = epoch.learned.get(q)?;
            (first != 0.0).then(|| f64::from(now / first))
        };
        ("line faint", log.epochs.iter().map(at).collect())
    };
    (0..log.names.len().min(LINES)).map(one).collect()
}

fn figure(title: &str, caption: &str, lines: &[(&'static str, Vec<Option<f64>>)]) -> Markup {
    html! {
        li {
            p.title { span.name { (title) } }
            (drawing(title, lines))
            p.caption { (caption) }
        }
    }
}

fn drawing(title: &str, lines: &[(&'static str, Vec<Option<f64>>)]) -> Markup {
    let values =
        || lines.iter().flat_map(|(_, line)| line.iter().flatten().copied()).filter(|v| v.is_finite());
    let (lo, hi) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
    if lo > hi {
        return html! { p.empty { "nothing measured" } };
    }
    let (lo, hi) = if hi > lo { (lo, hi) } else { (lo - 0.5, hi + 0.5) };
    let count = lines.iter().map(|(_, line)| line.len()).max().unwrap_or(1);
    let x = |i: usize| LEFT + (WIDTH - LEFT - 6.0) * (i as f64 + 0.5) / count as f64;
    let y = |v: f64| 6.0 + (FLOOR - 10.0) * (hi - v) / (hi - lo);
    let path = |line: &[Option<f64>]| -> String {
        let points =
            line.iter().enumerate().filter_map(|(i, v)| Some((i, (*v)?))).filter(|(_, v)| v.is_finite());
        points
            .enumerate()
            .map(|(n, (i, v))| format!("{}{} {}", if n == 0 { 'M' } else { 'L' }, trim(x(i)), trim(y(v))))
            .collect()
    };
    html! {
        svg.curve viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(title) {
            line.floor x1=(LEFT) x2=(WIDTH) y1=(FLOOR) y2=(FLOOR) {}
            @for (value, at) in [(hi, y(hi) + 4.0), (lo, y(lo) + 2.0)] {
                text.tick x=(LEFT - 4.0) y=(trim(at)) text-anchor="end" { (units::real(value as f32)) }
            }
            @for i in [0, count - 1] {
                text.tick x=(trim(x(i))) y=(HEIGHT - 4.0) text-anchor="middle" { (i + 1) }
            }
            @for (class, line) in lines {
                path class=(class) d=(path(line)) {}
                @if line.len() == 1 && let Some(v) = line[0] { circle class=(class) cx=(trim(x(0))) cy=(trim(y(v))) r="2" {} }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(epochs: usize) -> Report {
        let epoch = |i: usize| Epoch {
            epoch: i as u64 + 1,
            loss: 1.0 / (i + 1) as f64,
            train_top1: 50.0 + i as f64,
            validation_top1: (i > 0).then_some(40.0 + i as f64),
            learned: vec![0.5 + i as f32, 0.0],
            ..Epoch::default()
        };
        let training =
            TrainingLog { names: vec!["a".into(), "b".into()], epochs: (0..epochs).map(epoch).collect() };
        Report { training: Some(training), ..Report::default() }
    }

    #[test]
    fn a_run_of_no_epoch_has_no_section_and_one_of_one_a_point() {
        assert!(section(&Report::default()).is_none() && section(&log(0)).is_none());
        assert!(section(&log(1)).unwrap().body.into_string().contains("<circle"));
    }

    #[test]
    fn what_was_not_measured_leaves_a_gap_and_no_number_that_is_none() {
        let page = section(&log(4)).unwrap().body.into_string();
        assert!(page.contains("Steps and clips") && !page.contains("NaN") && !page.contains("inf"));
    }
}
