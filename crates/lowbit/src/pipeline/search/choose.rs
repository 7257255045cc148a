//! Which trial keeps to the goal best; where none does, how near one comes.

use anyhow::{Result, bail};
use lowbit_quantize::search::evaluator::UNUSABLE;

use super::points::Priced;
use crate::facade::Goal;
use crate::render::units;

/// Trials that keep to the goal, the best first.
///
/// Accuracy on some hundred samples is noise of half a point and more, and the least of many noisy numbers is too good to be
/// true. So a strategy must keep a limit on accuracy on the samples that decided, on those held out, and by the line that
/// fits what all trials lost to their losses, which knows far less noise.
pub(super) fn order(goal: Goal, priced: &Priced<'_>) -> Result<Vec<usize>> {
    let all = 0..priced.trials.len();
    let loss = |i: usize| priced.trials[i].loss.max(priced.trials[i].check_loss);
    let by = |mut found: Vec<usize>, key: &dyn Fn(usize) -> [f64; 2]| {
        found.sort_by(|&a, &b| {
            let (a, b) = (key(a), key(b));
            a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1]))
        });
        found
    };
    let finite = |i: &usize| loss(*i) < UNUSABLE;
    match goal {
        Goal::Drop(most) => {
            let line = slope(priced);
            let lost = |i: usize| {
                let trial = &priced.trials[i];
                trial.drop.max(trial.check_drop).max(line * (trial.loss + trial.check_loss) / 2.0)
            };
            let found: Vec<usize> = all.clone().filter(finite).filter(|&i| lost(i) <= most).collect();
            if found.is_empty() {
                let least = all.filter(finite).map(lost).min_by(f64::total_cmp).unwrap_or(f64::NAN);
                bail!("no strategy loses at most {most} points: the nearest found loses {least:.2}");
            }
            Ok(by(found, &|i| [priced.bytes[i], loss(i)]))
        }
        Goal::Size(most) => {
            // A file is a little larger or smaller than predicted; what is near may still do.
            let found: Vec<usize> =
                all.clone().filter(finite).filter(|&i| priced.bytes[i] <= most as f64 * 1.02).collect();
            if found.is_empty() {
                let least = all.map(|i| priced.bytes[i]).min_by(f64::total_cmp).unwrap_or(f64::NAN);
                bail!(
                    "no strategy fits {}: the nearest found takes about {}",
                    units::bytes(most),
                    units::bytes(least as u64)
                );
            }
            Ok(by(found, &|i| [loss(i), priced.bytes[i]]))
        }
        Goal::Latency(most) => {
            let ms = |i: usize| priced.ms[i].unwrap_or(f64::INFINITY);
            let found: Vec<usize> = all.clone().filter(finite).filter(|&i| ms(i) <= most).collect();
            if found.is_empty() {
                let least = all.map(ms).min_by(f64::total_cmp).unwrap_or(f64::NAN);
                bail!("no strategy takes at most {most} ms: the nearest found takes {least:.4} ms");
            }
            Ok(by(found, &|i| [loss(i), priced.bytes[i]]))
        }
    }
}

/// Points lost per unit of loss: the line through zero that fits all trials that still answer well.
fn slope(priced: &Priced<'_>) -> f64 {
    let near = priced.trials.iter().filter(|t| t.loss < UNUSABLE && t.drop < 10.0);
    let (mut xy, mut xx) = (0.0, 0.0);
    for trial in near {
        for (loss, drop) in [(trial.loss, trial.drop), (trial.check_loss, trial.check_drop)] {
            xy += loss * drop;
            xx += loss * loss;
        }
    }
    if xx > 0.0 { (xy / xx).max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_quantize::search::Trial;

    fn trial(loss: f64, drop: f64, check_drop: f64) -> Trial {
        Trial { strategy: vec![], bits: 0, loss, drop, check_loss: loss, check_drop }
    }

    fn priced(trials: &[Trial]) -> Priced<'_> {
        let bytes = (0..trials.len()).map(|i| 100.0 - 10.0 * i as f64).collect();
        Priced { trials, bytes, ms: (0..trials.len()).map(|i| Some(5.0 - i as f64)).collect() }
    }

    #[test]
    fn a_goal_is_kept_on_both_halves_and_by_the_line() {
        // About one point per 0.1: the third is lucky on both halves, the second on one.
        let trials =
            [trial(0.01, 0.1, 0.1), trial(0.06, 0.2, 0.9), trial(0.10, 0.3, 0.3), trial(0.5, 5.0, 5.0)];
        assert_eq!(order(Goal::Drop(0.5), &priced(&trials)).unwrap(), [0]);
        assert_eq!(order(Goal::Drop(1.2), &priced(&trials)).unwrap(), [2, 1, 0]);
        let error = order(Goal::Drop(0.05), &priced(&trials)).unwrap_err().to_string();
        assert!(error.contains("nearest found loses 0.10"), "{error}");
    }

    #[test]
    fn limits_of_size_and_time_give_the_least_loss_or_say_the_nearest() {
        let trials = [trial(0.01, 0.0, 0.0), trial(0.02, 0.0, 0.0), trial(0.03, 0.0, 0.0)];
        assert_eq!(order(Goal::Size(90), &priced(&trials)).unwrap(), [1, 2]);
        assert_eq!(order(Goal::Latency(4.0), &priced(&trials)).unwrap(), [1, 2]);
        assert!(order(Goal::Size(50), &priced(&trials)).unwrap_err().to_string().contains("80 B"));
        assert!(order(Goal::Latency(1.0), &priced(&trials)).unwrap_err().to_string().contains("3.0000 ms"));
    }
}
