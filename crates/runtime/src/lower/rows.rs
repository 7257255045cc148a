//! What a session cannot hold: values that are no float32, or have no row of their own for each sample.
//!
//! Float buffers are so many numbers per sample. A file may compute other things on the way (a transposed batch, one number for
//! all samples, integers): inside one float part they stay the engine's, at its ends they are refused.

use super::Lowered;
use crate::RuntimeError;
use crate::program::Content;
use lowbit_engine::{bindings, evaluate_for_pass};
use lowbit_graph::passes::specialize;
use lowbit_graph::{Dim, Graph, TensorType, ValueId};
use lowbit_tensor::DType;
use std::collections::BTreeSet;

/// The types of all values for two samples, where a file leaves the batch open and has such types.
pub(super) fn of_two_samples(graph: &Graph) -> Option<Vec<Option<TensorType>>> {
    let dims = graph.value(*graph.inputs.first()?).shape.as_ref()?;
    let open = matches!(dims.first(), Some(Dim::Symbol(_)));
    let types = || specialize(graph, &bindings(graph, 2), &evaluate_for_pass).ok();
    open.then(types)?.map(|(_, types)| types)
}

/// Whether outputs are computed, and are float32.
pub(super) fn outputs(graph: &Graph, types: &[Option<TensorType>]) -> Result<(), RuntimeError> {
    for &id in &graph.outputs {
        let refuse = |found: String| {
            let name = graph.value(id).name.clone();
            Err(RuntimeError::Rows { place: "output", name, found })
        };
        match &types[id.0] {
            _ if graph.constant(id).is_some() => return refuse("does not depend on the input".into()),
            Some(ty) if ty.dtype != DType::F32 => return refuse(format!("element type {}", ty.dtype)),
            Some(_) => {}
            None => return refuse("no node computes it".into()),
        }
    }
    Ok(())
}

/// Whether each float edge that a step reads or writes has a row for each sample; `two` are the types of two samples.
pub(super) fn edges(lowered: &Lowered, two: Option<&[Option<TensorType>]>) -> Result<(), RuntimeError> {
    let outputs = lowered.outputs.iter().map(|(_, buffer, _)| *buffer);
    let used: BTreeSet<_> =
        lowered.steps.iter().flat_map(|s| s.reads.iter().chain(&s.writes)).copied().collect();
    for buffer in used.into_iter().chain(outputs.clone()) {
        let Content::Float { .. } = lowered.buffers[buffer.0].content else { continue };
        let Some(&id) = lowered.values.get(&buffer) else { continue };
        let Some(found) = misfit(id, &lowered.types, two) else { continue };
        let place = if outputs.clone().any(|output| output == buffer) { "output" } else { "edge" };
        return Err(RuntimeError::Rows { place, name: lowered.buffers[buffer.0].name.clone(), found });
    }
    Ok(())
}

/// What about the shape of a value is not one row per sample.
fn misfit(id: ValueId, one: &[Option<TensorType>], two: Option<&[Option<TensorType>]>) -> Option<String> {
    let shape = &one[id.0].as_ref()?.shape;
    if shape.first() != Some(&1) {
        return Some(format!("shape {shape:?} for one sample"));
    }
    let of_two = &two?.get(id.0)?.as_ref()?.shape;
    let rows = of_two.first() == Some(&2) && of_two[1..] == shape[1..];
    (!rows).then(|| format!("shape {shape:?} for one sample, {of_two:?} for two"))
}
