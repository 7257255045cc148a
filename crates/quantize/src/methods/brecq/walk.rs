//! Walking through a network block by block: what every sample is at the edges that later blocks read.
//!
//! Each block runs once, on what the blocks before it left; nothing is computed twice, whatever the depth.

use crate::method::MethodError;
use crate::rows::{Budget, Rows};
use crate::run::{Run, Samples};
use lowbit_engine::{Differentiable, GradientError};
use lowbit_graph::passes::Block;
use lowbit_graph::{Graph, ValueId};
use lowbit_kernels::layout;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Samples carried to together, as many as keep the threads busy.
const BATCH: usize = 256;

/// Rows of all samples, by edge of the float network; channels last where there are pixels.
#[derive(Clone)]
pub(in crate::methods) struct Walk {
    rows: HashMap<ValueId, Arc<Rows>>,
    budget: Arc<Budget>,
    samples: usize,
    /// Last block that reads an edge.
    last: HashMap<ValueId, usize>,
}

impl Walk {
    /// At the input of the network.
    pub(in crate::methods) fn new(
        graph: &Graph,
        blocks: &[Block],
        samples: &Samples,
        run: &Run<'_>,
    ) -> Result<Walk, MethodError> {
        let n = samples.len();
        let mut rows = Rows::new(&run.budget, n, samples.inputs.row_len())?.named("samples");
        let (mut from, mut to) = (vec![0.0; rows.row_len()], vec![0.0; rows.row_len()]);
        for sample in 0..n {
            samples.inputs.read(sample..sample + 1, &mut from)?;
            match samples.shape[..] {
                [channels, ref pixels @ ..] if !pixels.is_empty() => {
                    layout::nchw_to_nhwc(channels, pixels.iter().product(), &from, &mut to);
                    rows.write(sample, &to)?;
                }
                _ => rows.write(sample, &from)?,
            }
        }
        let mut last = HashMap::new();
        for (b, block) in blocks.iter().enumerate() {
            last.extend(block.inputs.iter().map(|&id| (id, b)));
        }
        let rows = graph.inputs.first().map(|&id| (id, Arc::new(rows))).into_iter().collect();
        Ok(Walk { rows, budget: run.budget.clone(), samples: n, last })
    }

    /// What a block reads, in the order of its inputs.
    pub(super) fn inputs(&self, block: &Block) -> Vec<Arc<Rows>> {
        block.inputs.iter().map(|id| self.rows[id].clone()).collect()
    }

    /// What was computed at an edge.
    pub(in crate::methods) fn at(&self, id: ValueId) -> Arc<Rows> {
        self.rows[&id].clone()
    }

    /// Edges known by now that blocks after `b` read.
    pub(super) fn beyond(&self, b: usize) -> Vec<ValueId> {
        let later = |id: &ValueId| self.last.get(id).is_some_and(|&last| last > b);
        let mut ids: Vec<ValueId> = self.rows.keys().copied().filter(later).collect();
        ids.sort_unstable();
        ids
    }

    /// Runs block `b` by `network`; forgets what no later block reads, except its own outputs.
    pub(in crate::methods) fn advance(
        &mut self,
        b: usize,
        block: &Block,
        network: &Differentiable,
    ) -> Result<(), MethodError> {
        let inputs = self.inputs(block);
        let outputs = run(network, &inputs, self.samples, &self.budget, &block.name)?;
        self.rows.retain(|id, _| self.last.get(id).is_some_and(|&last| last > b));
        self.rows.extend(block.outputs.iter().copied().zip(outputs.into_iter().map(Arc::new)));
        Ok(())
    }
}

/// What `network` makes of the first `samples` rows.
pub(super) fn run(
    network: &Differentiable,
    inputs: &[Arc<Rows>],
    samples: usize,
    budget: &Arc<Budget>,
    name: &str,
) -> Result<Vec<Rows>, MethodError> {
    let fresh = |(i, len): (usize, usize)| -> Result<Mutex<Rows>, MethodError> {
        Ok(Mutex::new(Rows::new(budget, samples, len)?.named(format!("output {i} of `{name}`"))))
    };
    let outputs: Vec<Mutex<Rows>> =
        network.output_lens().into_iter().enumerate().map(fresh).collect::<Result<_, _>>()?;
    for first in (0..samples).step_by(BATCH) {
        let count = BATCH.min(samples - first);
        network.run(
            count,
            |rows, buffers| {
                for (input, buffer) in inputs.iter().zip(buffers) {
                    input.read(first + rows.start..first + rows.end, buffer)?;
                }
                Ok(())
            },
            |rows, results| {
                for (output, result) in outputs.iter().zip(results) {
                    let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
                    output.write(first + rows.start, result)?;
                }
                Ok(())
            },
        )?;
    }
    Ok(outputs.into_iter().map(|rows| rows.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
}

impl From<GradientError> for MethodError {
    /// A failure of rows is one of the method; everything else is the engine's.
    fn from(error: GradientError) -> MethodError {
        match error {
            GradientError::Engine(error) => MethodError::Engine(error),
            GradientError::Outside(error) => match error.downcast() {
                Ok(rows) => MethodError::Rows(*rows),
                Err(other) => MethodError::Gradient(GradientError::Outside(other)),
            },
            other => MethodError::Gradient(other),
        }
    }
}
