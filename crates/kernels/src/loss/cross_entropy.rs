//! Cross-entropy of a softmax: what classifiers are trained with. Plain loops in f64: a batch has few logits.

/// `Σ_rows -Σ_c target_c·ln softmax(logits)_c` for `logits: [rows, classes]`, and `factor` times its gradient with
/// respect to the logits in `gradient`. The target is `1 - smoothing` at the label, plus `smoothing / classes` everywhere
/// (Szegedy et al. 2016), as PyTorch has it.
///
/// # Panics
/// The lengths do not fit together, or a label is not below `classes`.
pub fn cross_entropy(
    classes: usize,
    logits: &[f32],
    labels: &[usize],
    smoothing: f32,
    factor: f32,
    gradient: &mut [f32],
) -> f64 {
    assert_eq!(logits.len(), labels.len() * classes, "{} labels of {classes} classes", labels.len());
    assert!(labels.iter().all(|&label| label < classes), "labels below {classes}");
    let smoothing = f64::from(smoothing);
    let share = smoothing / classes as f64;
    let target = |row: usize, c: usize| if labels[row] == c { 1.0 - smoothing + share } else { share };
    towards(classes, logits, target, factor, gradient)
}

/// The same towards any distribution, `targets: [rows, classes]`, each row with the sum 1: a teacher's, say.
///
/// # Panics
/// The lengths do not fit together.
pub fn cross_entropy_towards(
    classes: usize,
    logits: &[f32],
    targets: &[f32],
    factor: f32,
    gradient: &mut [f32],
) -> f64 {
    assert_eq!(logits.len(), targets.len(), "logits and targets");
    let target = |row: usize, c: usize| f64::from(targets[row * classes + c]);
    towards(classes, logits, target, factor, gradient)
}

fn towards(
    classes: usize,
    logits: &[f32],
    target: impl Fn(usize, usize) -> f64,
    factor: f32,
    gradient: &mut [f32],
) -> f64 {
    assert!(
        classes > 0 && logits.len().is_multiple_of(classes),
        "{classes} classes in {} logits",
        logits.len()
    );
    assert_eq!(logits.len(), gradient.len(), "logits and gradient");
    let mut loss = 0.0;
    for (row, (logits, gradient)) in logits.chunks(classes).zip(gradient.chunks_mut(classes)).enumerate() {
        // NaN among the logits must show in the sum.
        let largest = logits.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
        let shifted = |c: usize| f64::from(logits[c]) - f64::from(largest);
        let sum: f64 = (0..classes).map(|c| shifted(c).exp()).sum();
        let whole = sum.ln();
        for (c, gradient) in gradient.iter_mut().enumerate() {
            let target = target(row, c);
            if target != 0.0 {
                loss -= target * (shifted(c) - whole);
            }
            *gradient = (f64::from(factor) * (shifted(c).exp() / sum - target)) as f32;
        }
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    #[test]
    fn a_worked_example() {
        let mut gradient = [0.0; 2];
        let loss = cross_entropy(2, &[0.0, 3f32.ln()], &[1], 0.0, 2.0, &mut gradient);
        assert!((loss - (4f64 / 3.0).ln()).abs() < 1e-7, "{loss}");
        assert!((gradient[0] - 0.5).abs() < 1e-6 && (gradient[1] + 0.5).abs() < 1e-6, "{gradient:?}");
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let (logits, labels) = (noise(12, 1), [2, 0, 3]);
        let mut gradient = [0.0; 12];
        let value = |logits: &[f32]| cross_entropy(4, logits, &labels, 0.1, 1.0, &mut [0.0; 12]);
        cross_entropy(4, &logits, &labels, 0.1, 1.0, &mut gradient);
        for (i, gradient) in gradient.iter().enumerate() {
            let at = |h: f32| {
                let mut logits = logits.clone();
                logits[i] += h;
                value(&logits)
            };
            let slope = (at(1e-3) - at(-1e-3)) / 2e-3;
            assert!((slope - f64::from(*gradient)).abs() < 1e-4, "{i}");
        }
    }

    #[test]
    fn a_smoothed_label_is_a_distribution() {
        let logits = noise(5, 2);
        let (mut a, mut b) = ([0.0; 5], [0.0; 5]);
        let mut targets = [0.1 / 5.0; 5];
        targets[3] += 0.9;
        let found = cross_entropy(5, &logits, &[3], 0.1, 1.0, &mut a);
        let expected = cross_entropy_towards(5, &logits, &targets, 1.0, &mut b);
        assert!((found - expected).abs() < 1e-6);
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn large_logits_are_safe_and_what_is_no_number_is_seen() {
        let mut gradient = [0.0; 2];
        let loss = cross_entropy(2, &[1e4, -1e4], &[0], 0.0, 1.0, &mut gradient);
        assert_eq!((loss, gradient), (0.0, [0.0; 2]));
        assert!(cross_entropy(2, &[f32::NAN, 0.0], &[1], 0.0, 1.0, &mut gradient).is_nan());
    }
}
