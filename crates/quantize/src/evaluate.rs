//! Comparing networks on samples: correct guesses, agreement with the first, signal to noise.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::report::{Class, Confusion, Score};

/// Running comparison of several networks' outputs; the first is the yardstick.
#[derive(Clone, Debug)]
pub struct Comparison {
    tallies: Vec<Tally>,
    samples: usize,
    labelled: usize,
    classes: usize,
    /// Names of classes, as far as they have some.
    names: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Tally {
    top5: usize,
    agree: usize,
    signal: f64,
    noise: f64,
    /// Guesses by label and guess, right ones too.
    guesses: HashMap<(usize, usize), usize>,
}

impl Comparison {
    /// A comparison of `models` networks.
    pub fn new(models: usize) -> Comparison {
        Comparison {
            tallies: vec![Tally::default(); models],
            samples: 0,
            labelled: 0,
            classes: 0,
            names: Vec::new(),
        }
    }

    /// Names classes, in order of labels; without this they are numbers.
    #[must_use]
    pub fn named(self, classes: &[String]) -> Comparison {
        Comparison { names: classes.to_vec(), ..self }
    }

    /// Adds a batch: for each network its outputs `[n, classes]`, flat, and the labels if there are any.
    pub fn add(&mut self, outputs: &[&[f32]], classes: usize, labels: Option<&[u32]>) {
        let Some(first) = outputs.first().filter(|_| classes > 0) else { return };
        self.classes = classes;
        let n = first.len() / classes;
        self.samples += n;
        self.labelled += labels.map_or(0, <[u32]>::len);
        for (tally, output) in self.tallies.iter_mut().zip(outputs) {
            for (i, (row, reference)) in
                output.chunks_exact(classes).zip(first.chunks_exact(classes)).enumerate()
            {
                let guess = best(row);
                tally.agree += usize::from(guess == best(reference));
                for (&y, &r) in row.iter().zip(reference) {
                    tally.signal += f64::from(r) * f64::from(r);
                    tally.noise += (f64::from(y) - f64::from(r)).powi(2);
                }
                if let Some(label) = labels.and_then(|l| l.get(i)).map(|&l| l as usize) {
                    *tally.guesses.entry((label, guess)).or_default() += 1;
                    tally.top5 += usize::from(rank(row, label).is_some_and(|rank| rank < 5));
                }
            }
        }
    }

    /// The figures, one per network; names, bits and sizes are for the caller to fill in.
    pub fn scores(&self) -> Vec<Score> {
        let percent = |count: usize, of: usize| (of > 0).then(|| 100.0 * count as f64 / of as f64);
        let score = |(i, tally): (usize, &Tally)| Score {
            samples: self.samples,
            top1: percent(tally.right(), self.labelled),
            top5: percent(tally.top5, self.labelled).filter(|_| self.classes > 5),
            agreement: percent(tally.agree, self.samples).filter(|_| i > 0),
            sqnr_db: sqnr_db(tally.signal, tally.noise).filter(|_| i > 0),
            classes: if i > 0 { self.classes(tally) } else { Vec::new() },
            ..Score::default()
        };
        self.tallies.iter().enumerate().map(score).collect()
    }

    /// How each class fares with a network beside the first.
    fn classes(&self, tally: &Tally) -> Vec<Class> {
        let Some(first) = self.tallies.first().filter(|_| self.labelled > 0) else { return Vec::new() };
        let name = |class: usize| self.names.get(class).cloned().unwrap_or_else(|| class.to_string());
        let mut classes: Vec<Class> =
            (0..self.classes).map(|class| Class { name: name(class), ..Class::default() }).collect();
        let mut more_often = vec![(0, 0); self.classes];
        for (&(label, guess), &count) in &tally.guesses {
            let Some(class) = classes.get_mut(label) else { continue };
            class.samples += count;
            if guess == label {
                class.after = count;
                continue;
            }
            let more = count.saturating_sub(first.guessed(label, guess));
            // Of equals the first class.
            if (more, Reverse(guess)) > (more_often[label].0, Reverse(more_often[label].1)) {
                more_often[label] = (more, guess);
            }
        }
        for (label, (class, (more, guess))) in classes.iter_mut().zip(more_often).enumerate() {
            class.before = first.guessed(label, label);
            class.taken_for = (more > 0).then(|| Confusion { class: name(guess), more });
        }
        classes
    }
}

impl Tally {
    fn guessed(&self, label: usize, guess: usize) -> usize {
        self.guesses.get(&(label, guess)).copied().unwrap_or(0)
    }

    /// Correct first guesses.
    fn right(&self) -> usize {
        self.guesses.iter().filter(|((label, guess), _)| label == guess).map(|(_, count)| count).sum()
    }
}

/// Signal-to-quantization-noise ratio in dB; `None` where there is no noise or no signal.
pub fn sqnr_db(signal: f64, noise: f64) -> Option<f64> {
    (noise > 0.0 && signal > 0.0).then(|| 10.0 * (signal / noise).log10())
}

/// Place of `label` among the values, largest first, of equals the first: a network whose outputs all collapse into one
/// value has not guessed the label. `None` for NaN.
fn rank(row: &[f32], label: usize) -> Option<usize> {
    let &own = row.get(label).filter(|y| !y.is_nan())?;
    let before = |(i, &y): (usize, &f32)| y > own || (y == own && i < label);
    Some(row.iter().enumerate().filter(|&place| before(place)).count())
}

/// Index of the largest value; the first of equals, NaN never.
pub fn best(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, &y) in row.iter().enumerate() {
        if y > row[best] || row[best].is_nan() {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_agreement_and_noise_are_counted() {
        let mut comparison = Comparison::new(2);
        let (a, b) = ([1.0, 0.0, 0.0, 2.0], [1.0, 0.0, 2.0, 0.0]);
        comparison.add(&[&a, &b], 2, Some(&[0, 1]));
        let scores = comparison.scores();
        assert_eq!((scores[0].top1, scores[1].top1), (Some(100.0), Some(50.0)));
        assert_eq!((scores[0].agreement, scores[1].agreement), (None, Some(50.0)));
        let expected = 10.0 * (5.0f64 / 8.0).log10();
        assert!((scores[1].sqnr_db.unwrap() - expected).abs() < 1e-9);
        assert_eq!(scores[0].top5, None);
    }

    #[test]
    fn classes_tell_what_they_lost_and_to_which() {
        let mut comparison = Comparison::new(2).named(&["cat".into(), "dog".into()]);
        // Three cats and a dog: the first network is right everywhere, the second takes two cats for dogs.
        let float = [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]].concat();
        let small = [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]].concat();
        comparison.add(&[&float, &small], 2, Some(&[0, 0, 0, 1]));
        let scores = comparison.scores();
        assert!(scores[0].classes.is_empty());
        let class = |name: &str, samples, before, after, taken_for| Class {
            name: name.into(),
            samples,
            before,
            after,
            taken_for,
        };
        let expected = [
            class("cat", 3, 3, 1, Some(Confusion { class: "dog".into(), more: 2 })),
            class("dog", 1, 1, 1, None),
        ];
        assert_eq!(scores[1].classes, expected);
    }

    #[test]
    fn equal_and_undefined_outputs_are_no_guess_of_the_label() {
        let mut comparison = Comparison::new(2);
        comparison.add(&[&[0.0; 8], &[f32::NAN; 8]], 8, Some(&[6]));
        let top5: Vec<_> = comparison.scores().iter().map(|s| s.top5).collect();
        assert_eq!(top5, [Some(0.0); 2]);
        assert_eq!((rank(&[1.0, 3.0, 3.0], 1), rank(&[1.0, 3.0, 3.0], 2)), (Some(0), Some(1)));
    }

    #[test]
    fn without_labels_there_is_no_accuracy() {
        let mut comparison = Comparison::new(1);
        comparison.add(&[&[0.0, 1.0]], 2, None);
        assert_eq!(comparison.scores()[0].top1, None);
    }
}
