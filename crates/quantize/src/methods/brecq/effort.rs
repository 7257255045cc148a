//! How many iterations are worth it, told from a loss curve that is measured rather than assumed.
//!
//! Before the work begins, the first block that has rounding to learn is fitted on three quarters of the samples, with
//! 125, 250, 500, … iterations, each from the start (the schedule of the regulariser knows its end). The error that
//! counts is that of the decided weights on the remaining quarter. Doubling goes on while it gains more than the effort asks for.

use super::draw::Draw;
use super::pass::{Pass, Work};
use crate::method::MethodError;
use crate::plan::Plan;
use crate::run::Effort;

/// First number tried.
const FIRST: usize = 125;

/// Least gain that is worth twice the time, and most iterations.
fn limits(effort: Effort) -> (f64, usize) {
    match effort {
        Effort::Fast => (0.2, 500),
        Effort::Balanced => (0.05, 4000),
        Effort::Best => (0.01, 20_000),
    }
}

impl Work<'_> {
    /// Iterations per block for the effort of this run; says why.
    pub(super) fn choose_iterations(&self, plan: &Plan) -> Result<usize, MethodError> {
        let run = self.bench.run;
        let (gain, most) = limits(run.effort);
        let key = format!("{}/iterations/{}", self.id, run.effort.name());
        if let Some(known) =
            run.state.load(&key).and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok())
        {
            return Ok(known);
        }
        let Some(pass) = self.options.passes(plan, FIRST).into_iter().next() else { return Ok(FIRST) };
        let learns = |block| !self.weights(&pass, plan, block).is_empty();
        let Some(b) = self.blocks.iter().position(learns) else { return Ok(FIRST) };
        run.watch.stage("choose iterations", None);
        let (mut curve, mut last): (Vec<(usize, f64)>, Option<f64>) = (Vec::new(), None);
        let mut iterations = FIRST;
        let chosen = loop {
            let error = self.pilot(&Pass { iterations, ..pass }, plan, b)?;
            curve.push((iterations, error));
            let gained = last.map(|last| 1.0 - error / last);
            if gained.is_some_and(|gained| gained < gain) {
                // The doubling just tried was not worth its time.
                break iterations / 2;
            }
            if iterations * 2 > most {
                break iterations;
            }
            (last, iterations) = (Some(error), iterations * 2);
        };
        let told: Vec<String> = curve.iter().map(|(t, error)| format!("{t}: {error:.4}")).collect();
        run.watch.note(format!(
            "{}: {chosen} iterations per block (effort {}: doubling goes on while it lowers the error by {:.0} %, up to \
             {most}); error of `{}` on held-out samples by iterations: {}",
            self.id,
            run.effort.name(),
            100.0 * gain,
            self.blocks[b].name,
            told.join(", "),
        ));
        let failed =
            |source| MethodError::State { step: self.id, place: "choice of iterations".into(), source };
        run.state.save(&key, chosen.to_string().as_bytes()).map_err(failed)?;
        Ok(chosen)
    }

    /// Error of block `b` on held-out samples after so many iterations on the others.
    fn pilot(&self, pass: &Pass, plan: &Plan, b: usize) -> Result<f64, MethodError> {
        let block = &self.blocks[b];
        let mut fit = self.begin(pass, plan, b)?;
        let samples = self.samples.len();
        let trained = samples - samples / 4;
        fit.learn((self.id, &block.name), &mut Draw::new(self.bench.run.seed, 3, b, trained), || {
            self.bench.run.watch.advance(1);
        })?;
        fit.loss(trained..samples)
    }
}
