//! Dimension by dimension, from the default downward (HAGO, 3.8.3).
//!
//! Choices of a dimension are tried in order while they are no worse than the best so far; equal ones go on, as ties are broken
//! toward fewer bits. Then the dimension takes what the best strategy has there. Early decisions are not looked at again.

use crate::search::tuner::{Problem, Tuner, measure_one};

/// The method's own tuner.
#[derive(Clone, Copy, Debug)]
pub struct Greedy;

impl Tuner for Greedy {
    fn run<P: Problem>(&self, problem: &mut P) -> Result<(), P::Error> {
        let sizes = problem.sizes();
        let mut decided = vec![0; sizes.len()];
        let mut best = None;
        for dimension in 0..sizes.len() {
            for choice in 0..sizes[dimension] {
                let mut strategy = decided.clone();
                strategy[dimension] = choice;
                let rank = measure_one(problem, &strategy)?.rank;
                let worse = best
                    .as_ref()
                    .is_some_and(|(least, _): &(crate::search::Rank, Vec<usize>)| rank.0 > least.0);
                if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                    best = Some((rank, strategy));
                }
                if worse {
                    break;
                }
            }
            if let Some((_, strategy)) = &best {
                decided[dimension] = strategy[dimension];
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tuner::testing::Asked;
    use super::*;

    /// Two edges of 8, 7 and 6 bits: the worked trace, with the measurement at the second edge's limit repeated.
    #[test]
    fn the_trace_is_that_of_the_worked_example() {
        let bits = |s: &[usize]| [8 - s[0], 8 - s[1]];
        let mut asked = Asked::new(&[3, 3], |s| {
            let accuracy = match bits(s) {
                [8, 8] | [7, 8] => 0.70,
                [6, 8] => 0.68,
                [7, 7] | [7, 6] => 0.71,
                other => panic!("{other:?} is not asked for"),
            };
            (-accuracy, bits(s).iter().sum::<usize>() as f64)
        });
        Greedy.run(&mut asked).unwrap();
        let trace: Vec<[usize; 2]> = asked.log.iter().map(|s| bits(s)).collect();
        assert_eq!(trace, [[8, 8], [7, 8], [6, 8], [7, 8], [7, 7], [7, 6]]);
        assert_eq!(bits(&asked.best()), [7, 6]);
    }

    /// The accumulator that wraps at full width: the search finds the bit of headroom.
    #[test]
    fn the_overflow_of_a_narrow_accumulator_is_found() {
        use crate::rewrite::execute::{quantizers, run, tests::headroom};
        use crate::rewrite::{limits::limits, regions::regions};
        let (graph, types, thresholds, x) = headroom();
        let target = crate::Target::named("int8-acc16").unwrap();
        let all = limits(&graph, &regions(&graph, &types, &target), &target);
        let choices: Vec<Vec<u8>> = all.iter().map(|limit| limit.choices()).collect();
        let bits = |s: &[usize]| -> Vec<u8> { choices.iter().zip(s).map(|(c, &i)| c[i]).collect() };
        let sizes: Vec<usize> = choices.iter().map(Vec::len).collect();
        let error = |s: &[usize]| {
            let found = quantizers(&graph, &all, &bits(s), &target, &thresholds).unwrap();
            let y = run(&graph, &found, std::slice::from_ref(&x)).unwrap()[0].to_f32();
            y.iter().map(|y| f64::from((y - 1.595).abs())).fold(0.0, f64::max)
        };
        let mut asked = Asked::new(&sizes, |s| (error(s), bits(s).iter().map(|&b| f64::from(b)).sum()));
        Greedy.run(&mut asked).unwrap();
        assert!(error(&asked.log[0]) > 2.9, "all limits wrap");
        assert!(error(&asked.best()) < 1e-2, "{:?}", bits(&asked.best()));
    }
}
