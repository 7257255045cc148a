//! The last round: the few choices that did best when they were built briefly go through the rest of the recipe, as the
//! result will, and the one that answers best is taken.
//!
//! Blocks that learn longer make up for more of what those before them lose, so the ranking of brief builds is not that of
//! what the recipe makes of them: on ResNet-20 at 3 bits, 15 % ahead became 8 % behind, and 30 % behind became even.

use super::built::{Built, Judged};
use crate::method::{Method, MethodError};
use crate::plan::Plan;
use crate::recipe::finish;
use crate::run::{Run, Watch};
use crate::simulate::simulate;
use crate::workbench::Workbench;

/// All layers alike, which is the first of `all`, and the `count` best of the others, best first.
fn chosen(all: &[Judged], count: usize) -> Vec<&Judged> {
    let Some((even, others)) = all.split_first() else { return Vec::new() };
    let mut others: Vec<&Judged> = others.iter().collect();
    others.sort_by(|a, b| a.mean().total_cmp(&b.mean()));
    std::iter::once(even).chain(others.into_iter().take(count)).collect()
}

impl Built<'_> {
    /// Each finalist as the `rest` of the recipe makes it from `plan`: all layers alike first.
    ///
    /// What steps learn they save as ever, so that the recipe itself learns none of it again for the one that is taken.
    pub(super) fn finalists(
        &self,
        all: &[Judged],
        count: usize,
        plan: &Plan,
        rest: &[Box<dyn Method>],
    ) -> Result<Vec<Judged>, MethodError> {
        let list = chosen(all, count);
        let of = list.len();
        let run = |(i, judged): (usize, &Judged)| {
            let watch =
                Round { watch: self.task.bench.run.watch, name: format!("finalist {} of {of}", i + 1) };
            let run = Run { watch: &watch, ..self.task.bench.run.clone() };
            let bench = Workbench { run: &run, ..*self.task.bench };
            let plan = self.task.with_widths(plan.clone(), &judged.candidate.chosen);
            let plan = finish(rest, plan, &bench)?;
            let each = self.each(&simulate(bench.graph, bench.sites, &plan))?;
            Ok(Judged { candidate: judged.candidate.clone(), each })
        };
        list.into_iter().enumerate().map(run).collect()
    }
}

/// The finalist of least mean divergence.
pub(super) fn best(finalists: &[Judged]) -> Option<&Judged> {
    finalists.iter().min_by(|a, b| a.mean().total_cmp(&b.mean()))
}

/// Tells how far a step is, and which finalist it is about; what it notes is about a trial, not about the result.
struct Round<'a> {
    watch: &'a dyn Watch,
    name: String,
}

impl Watch for Round<'_> {
    fn stage(&self, name: &str, total: Option<u64>) {
        self.watch.stage(&format!("{}: {name}", self.name), total);
    }

    fn advance(&self, steps: u64) {
        self.watch.advance(steps);
    }

    fn note(&self, _text: String) {}
}

#[cfg(test)]
mod tests {
    use super::super::task::Candidate;
    use super::*;

    fn judged(choice: usize, each: &[f64]) -> Judged {
        Judged { candidate: Candidate { name: String::new(), chosen: vec![choice] }, each: each.to_vec() }
    }

    #[test]
    fn all_layers_alike_are_a_finalist_whatever_they_were_worth() {
        let all =
            [judged(1, &[9.0, 9.0]), judged(0, &[3.0, 1.0]), judged(2, &[0.5, 0.5]), judged(3, &[4.0, 4.0])];
        let list: Vec<usize> = chosen(&all, 2).iter().map(|judged| judged.candidate.chosen[0]).collect();
        assert_eq!(list, [1, 2, 0]);
        assert_eq!(chosen(&all, 9).len(), 4);
        assert!(chosen(&[], 2).is_empty());
        assert_eq!(best(&all).unwrap().candidate.chosen, [2]);
        let lost = [judged(0, &[-f64::NAN]), judged(1, &[2.0])];
        assert_eq!(best(&lost).unwrap().candidate.chosen, [1]);
    }
}
