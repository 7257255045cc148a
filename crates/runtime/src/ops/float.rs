//! Nodes without an integer form, on the float engine.

use crate::memory::{Layout, Memory};
use crate::program::{BufferId, Content, Step};
use crate::{Lowered, RuntimeError};
use lowbit_engine::Network;
use lowbit_graph::passes::{between, segment};
use lowbit_graph::{Dim, ValueId};
use lowbit_tensor::Tensor;

/// A run of float nodes; which, is known by what it reads and writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Float;

/// Float nodes compiled.
pub(crate) struct Segment {
    network: Network,
    /// Buffers with the extents of one sample.
    reads: Vec<(BufferId, Vec<usize>)>,
    writes: Vec<(BufferId, usize)>,
}

impl Segment {
    pub(crate) fn new(lowered: &Lowered, step: &Step) -> Result<Segment, RuntimeError> {
        let value = |b: &BufferId| lowered.values[b];
        let (inputs, outputs): (Vec<ValueId>, Vec<ValueId>) =
            (step.reads.iter().map(value).collect(), step.writes.iter().map(value).collect());
        let nodes = between(&lowered.graph, &inputs, &outputs);
        let mut part = segment(&lowered.graph, &lowered.types, &nodes, &inputs, &outputs);
        // The batch stays free where the file fixes one sample.
        for &id in &inputs {
            if let Some(Dim::Known(1)) = part.values[id.0].shape.as_ref().and_then(|s| s.first()) {
                part.values[id.0].shape.as_mut().expect("just seen")[0] = Dim::Symbol("batch".into());
            }
        }
        let shape = |id: ValueId| lowered.types[id.0].as_ref().map_or(Vec::new(), |ty| ty.shape.clone());
        let reads = step.reads.iter().zip(&inputs).map(|(&b, &id)| (b, shape(id))).collect();
        let len = |b: &BufferId| match lowered.buffers[b.0].content {
            Content::Float { len } => len,
            Content::Codes { .. } => 0,
        };
        let writes = step.writes.iter().map(|b| (*b, len(b))).collect();
        Ok(Segment { network: Network::new(&part)?, reads, writes })
    }

    pub(crate) fn run(
        &self,
        layout: &Layout,
        memory: &mut Memory,
        samples: usize,
    ) -> Result<(), RuntimeError> {
        let place = |b: &BufferId| layout.place[b.0].expect("float edges have places");
        let tensor = |(b, shape): &(BufferId, Vec<usize>)| {
            let mut shape = shape.clone();
            shape[0] = samples;
            let len: usize = shape.iter().product();
            Tensor::from_f32(shape, memory.places[place(b)][..len].to_vec())
        };
        let inputs: Vec<Tensor> = self.reads.iter().map(tensor).collect();
        let outputs = self.network.run(&inputs)?;
        for ((b, len), output) in self.writes.iter().zip(outputs) {
            memory.places[place(b)][..len * samples].copy_from_slice(&output.to_f32());
        }
        Ok(())
    }
}
