//! What a graph declares of its batch: which extent it is, whether it is free, and whether inputs fit.

use crate::EngineError;
use lowbit_graph::{Dim, Graph, ValueId};
use lowbit_tensor::Tensor;
use std::collections::BTreeMap;

/// Extent of each symbol of the inputs.
pub(crate) type Bindings = BTreeMap<String, usize>;

/// Checks the inputs against the declaration: rows along axis 0, and the extent of each symbol.
pub(crate) fn check(graph: &Graph, inputs: &[Tensor]) -> Result<(usize, Bindings), EngineError> {
    let expected = graph.inputs.len();
    if inputs.len() != expected {
        return Err(EngineError::InputCount { expected, found: inputs.len() });
    }
    let images = inputs.first().and_then(|t| t.shape().first().copied()).unwrap_or(1);
    let fixed = rows_of(graph);
    let mut bound = Bindings::new();
    for (&id, tensor) in graph.inputs.iter().zip(inputs) {
        let value = graph.value(id);
        if let Some(dtype) = value.dtype.filter(|&d| d != tensor.dtype()) {
            return Err(EngineError::InputType(tensor.dtype(), dtype));
        }
        let dims = value.shape.as_deref().unwrap_or(&[]);
        let mut fits = |(axis, (dim, &extent)): (usize, (&Dim, &usize))| match dim {
            // More rows than the file has fixed are several batches; `prepare` looks at their number.
            Dim::Known(d) => *d == extent || axis == 0 && fixed == Some(*d) && extent == images,
            Dim::Symbol(s) => *bound.entry(s.clone()).or_insert(extent) == extent,
        };
        if dims.len() != tensor.shape().len() || !dims.iter().zip(tensor.shape()).enumerate().all(&mut fits) {
            return Err(EngineError::InputShape {
                name: value.name.clone(),
                found: tensor.shape().to_vec(),
                expected: describe(dims),
            });
        }
    }
    Ok((images, bound))
}

/// `[N, 3, 32, 32]`.
fn describe(dims: &[Dim]) -> String {
    let text = |d: &Dim| match d {
        Dim::Known(n) => n.to_string(),
        Dim::Symbol(s) => s.clone(),
    };
    format!("[{}]", dims.iter().map(text).collect::<Vec<_>>().join(", "))
}

/// The symbol of the batch: the first axis of the first input, where it is one.
pub(crate) fn batch_symbol(graph: &Graph) -> Option<&str> {
    match graph.value(*graph.inputs.first()?).shape.as_deref()?.first()? {
        Dim::Symbol(symbol) => Some(symbol),
        Dim::Known(_) => None,
    }
}

/// Rows of the first input, where the graph says their number.
pub(crate) fn rows_of(graph: &Graph) -> Option<usize> {
    match graph.value(*graph.inputs.first()?).shape.as_deref()?.first()? {
        Dim::Known(rows) => Some(*rows),
        Dim::Symbol(_) => None,
    }
}

/// Where the file itself fixes the rows of axis 0, alike for every input and output: whether a value is an input, by
/// value. Its rows are then picked from a longer batch.
pub(crate) fn fixed_rows(graph: &Graph) -> Option<Vec<bool>> {
    let rows = rows_of(graph).filter(|&rows| rows > 0)?;
    let fixed =
        |id: &ValueId| graph.value(*id).shape.as_deref().and_then(<[Dim]>::first) == Some(&Dim::Known(rows));
    let computed = |id: &ValueId| graph.constant(*id).is_none();
    let all = graph.inputs.iter().all(fixed) && graph.outputs.iter().all(|id| fixed(id) && computed(id));
    all.then(|| (0..graph.values.len()).map(|i| graph.inputs.contains(&ValueId(i))).collect())
}

/// Every symbol bound: the batch to `batch`, others (free sizes that no sample tells yet) to 1.
pub fn bindings(graph: &Graph, batch: usize) -> BTreeMap<String, usize> {
    let dims = graph.inputs.iter().flat_map(|&id| graph.value(id).shape.iter().flatten());
    let symbols = dims.filter_map(|dim| match dim {
        Dim::Symbol(symbol) => Some(symbol.clone()),
        Dim::Known(_) => None,
    });
    let batch_symbol = batch_symbol(graph);
    symbols.map(|s| (s.clone(), if Some(s.as_str()) == batch_symbol { batch } else { 1 })).collect()
}
