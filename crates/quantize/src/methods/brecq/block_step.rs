//! One iteration of reconstruction by itself, for benchmarks.

use super::draw::Draw;
use super::fit::Fit;
use super::pass::Work;
use super::{Brecq, ID};
use crate::method::MethodError;
use crate::plan::Plan;
use crate::workbench::Workbench;
use lowbit_engine::EngineError;
use lowbit_kernels::Isa;

/// A block whose rounding is being learned.
pub struct BlockStep {
    fit: Fit,
    draw: Draw,
    batch: usize,
}

impl BlockStep {
    /// Block `block` of the network, with the plan's codes; `iterations` of the options say how long the schedule is.
    ///
    /// # Errors
    /// As the method itself.
    pub fn new(
        options: &Brecq,
        plan: &Plan,
        bench: &Workbench<'_>,
        block: usize,
    ) -> Result<BlockStep, MethodError> {
        let needs = |message: String| MethodError::Needs { step: ID, message };
        let samples = bench.run.samples.ok_or_else(|| needs("no samples".into()))?;
        let blocks = crate::blocks::of(bench.recipe, bench.graph).map_err(|e| needs(e.to_string()))?;
        let isa = Isa::from_env().map_err(EngineError::from)?;
        let work = Work { id: ID, options, bench, samples, blocks, isa };
        let iterations = options.iterations.unwrap_or(1000);
        let pass = options.passes(plan, iterations).into_iter().next();
        let pass = pass.ok_or_else(|| needs("nothing to learn".into()))?;
        let fit = work.begin(&pass, plan, block)?;
        Ok(BlockStep { fit, draw: Draw::new(0, 0, block, samples.len()), batch: options.batch })
    }

    /// Forward, loss, backward and update on a random batch; returns the data part of the loss.
    ///
    /// # Errors
    /// When the block cannot be run.
    pub fn step(&mut self) -> Result<f64, MethodError> {
        self.fit.step(self.draw.next(self.batch))
    }
}
