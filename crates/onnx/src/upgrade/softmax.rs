//! `Softmax` and its kin: before opset 13 they worked on the input flattened to two dimensions at `axis`.
//!
//! On the last axis both meanings agree. Elsewhere, the old one is spelled out: Flatten, the operator on axis -1,
//! Reshape to the shape of the input.

use super::draft::int;
use super::{Draft, Scope, UpgradeError};
use lowbit_graph::{Attribute, Attributes};

pub(super) fn softmax(draft: &mut Draft, scope: &mut Scope<'_>) -> Result<(), UpgradeError> {
    if scope.opset >= 13 {
        return Ok(());
    }
    let axis = draft.attributes.int("axis")?.unwrap_or(1);
    draft.attributes.set("axis", Attribute::Int(-1));
    let (Some(x), [y]) = (draft.input(0), draft.outputs.as_slice()) else { return Ok(()) };
    let is_last = axis == -1 || scope.rank(x).is_some_and(|rank| axis >= 0 && axis + 1 == rank as i64);
    if is_last {
        return Ok(());
    }
    let (name, y) = (draft.name.clone(), *y);
    let flat = scope.insert(&format!("{name}.flatten"), "Flatten", &[Some(x)], int("axis", axis));
    let shape = scope.insert(&format!("{name}.shape"), "Shape", &[Some(x)], Attributes::new());
    let soft = scope.graph.add_edge(scope.value_names.fresh(&format!("{name}.flat")));
    let reshape = Draft {
        name: scope.node_names.fresh(&format!("{name}.reshape")),
        domain: String::new(),
        op: "Reshape".into(),
        inputs: vec![Some(soft), Some(shape)],
        outputs: vec![y],
        attributes: Attributes::new(),
    };
    let mut inner = std::mem::replace(draft, reshape);
    inner.inputs = vec![Some(flat)];
    inner.outputs = vec![soft];
    scope.before.push(inner);
    Ok(())
}
