//! How much each element of a block's output matters to the network's own output (Li et al. 2021, section 3.2).
//!
//! `g = |∂L/∂z| + 1` with `L = KL(softmax(float logits) ‖ softmax(logits))`, a mean over batches, at the output `z` of the
//! quantized block with everything after it in float. The 1 is the reference implementation's.

use super::objective::feed;
use super::pass::Work;
use super::walk::{self, Walk};
use crate::method::MethodError;
use crate::rows::Rows;
use lowbit_engine::Differentiable;
use lowbit_graph::ValueId;
use lowbit_graph::passes::{Block, between, segment};
use std::sync::{Arc, Mutex, PoisonError};

impl Work<'_> {
    /// `g` for each output of block `b`, by sample. `float` has passed the block, `quantized` has not; `network` is the
    /// block as it begins.
    pub(super) fn importance(
        &self,
        (b, block): (usize, &Block),
        network: &Differentiable,
        float: &Walk,
        quantized: &Walk,
    ) -> Result<Vec<Arc<Rows>>, MethodError> {
        let (graph, budget, samples) = (self.bench.graph, &self.bench.run.budget, self.samples.len());
        let outputs = walk::run(network, &quantized.inputs(block), samples, budget, &block.name)?;
        let outputs: Vec<Arc<Rows>> = outputs.into_iter().map(Arc::new).collect();
        // What the rest of the network reads: the block's outputs first, then what passes by it.
        let passing = quantized.beyond(b).into_iter().filter(|id| !block.outputs.contains(id));
        let ids: Vec<ValueId> = block.outputs.iter().copied().chain(passing).collect();
        let logits = &graph.outputs[..1];
        if ids.contains(&logits[0]) {
            // The last block: its output is what the network says.
            return self.ones(&outputs);
        }
        let nodes = between(graph, &ids, logits);
        let read = |id: &ValueId| nodes.iter().any(|n| graph.nodes[n.0].inputs.contains(&Some(*id)));
        let ids: Vec<ValueId> = ids.into_iter().filter(read).collect();
        let rest = segment(graph, self.bench.types, &nodes, &ids, logits);
        let rest = Differentiable::with_inputs(&rest, self.options.batch, &[])?;
        let at = |walk: &Walk, own: &[Arc<Rows>]| -> Vec<Arc<Rows>> {
            let own = |id| block.outputs.iter().position(|o| *o == id).map(|i| own[i].clone());
            ids.iter().map(|&id| own(id).unwrap_or_else(|| walk.at(id))).collect()
        };
        let float_outputs: Vec<Arc<Rows>> = block.outputs.iter().map(|&id| float.at(id)).collect();
        let targets = walk::run(&rest, &at(float, &float_outputs), samples, budget, "float outputs")?;
        let found: Vec<Mutex<Rows>> = outputs
            .iter()
            .map(|rows| {
                let fresh = Rows::new(budget, samples, rows.row_len())?;
                Ok(Mutex::new(fresh.named(format!("importance of the outputs of `{}`", block.name))))
            })
            .collect::<Result<_, MethodError>>()?;
        let (inputs, all): (_, Vec<usize>) = (at(quantized, &outputs), (0..samples).collect());
        for batch in all.chunks(self.options.batch) {
            rest.gradients_of_inputs(
                batch.len(),
                |rows, buffers| feed(&inputs, &batch[rows], buffers),
                |rows, outputs, gradients| {
                    let classes = targets[0].row_len();
                    let mut target = vec![0.0; outputs[0].len()];
                    targets[0].gather(&batch[rows], &mut target)?;
                    let rows = outputs[0].chunks_exact(classes).zip(target.chunks_exact(classes));
                    for ((y, t), g) in rows.zip(gradients[0].chunks_exact_mut(classes)) {
                        // d KL / d logit = softmax(logits) − softmax(float logits).
                        let (y, t) = (softmax(y), softmax(t));
                        g.iter_mut()
                            .zip(y.iter().zip(&t))
                            .for_each(|(g, (y, t))| *g = (y - t) / batch.len() as f32);
                    }
                    Ok(0.0)
                },
                |rows, gradients| {
                    for (id, gradient) in ids.iter().zip(gradients) {
                        let Some(i) = block.outputs.iter().position(|o| o == id) else { continue };
                        let importance: Vec<f32> = gradient.iter().map(|g| g.abs() + 1.0).collect();
                        let mut found = found[i].lock().unwrap_or_else(PoisonError::into_inner);
                        found.write(batch[rows.start], &importance)?;
                    }
                    Ok(())
                },
            )?;
        }
        let found = found.into_iter().map(|rows| rows.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok(found.map(Arc::new).collect())
    }

    /// Nothing matters more than anything else.
    fn ones(&self, like: &[Arc<Rows>]) -> Result<Vec<Arc<Rows>>, MethodError> {
        like.iter()
            .map(|rows| {
                let mut ones = Rows::new(&self.bench.run.budget, rows.rows(), rows.row_len())?;
                let row = vec![1.0; rows.row_len()];
                (0..rows.rows()).try_for_each(|i| ones.write(i, &row))?;
                Ok(Arc::new(ones))
            })
            .collect()
    }
}

fn softmax(row: &[f32]) -> Vec<f32> {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = row.iter().map(|x| (x - largest).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    exponentials.into_iter().map(|e| e / sum).collect()
}
