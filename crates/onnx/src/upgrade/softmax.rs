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

#[cfg(test)]
mod tests {
    use crate::testing::{model, node, ops, read, upgraded};
    use lowbit_graph::{Attribute, Op};

    #[test]
    fn the_last_axis_means_the_same_in_every_opset() {
        for axis in [3, -1] {
            let graph = upgraded(11, "Softmax", &[("axis", Attribute::Int(axis))]).unwrap();
            let [Op::Softmax(softmax)] = graph.nodes.iter().map(|n| &n.op).collect::<Vec<_>>()[..] else {
                panic!()
            };
            assert_eq!(softmax.axis, -1);
        }
        let after_gemm =
            vec![node("Flatten", "x", "f", &[]), node("Relu", "f", "r", &[]), node("Softmax", "r", "y", &[])];
        assert_eq!(ops(&read(&model(11, after_gemm, &[])).unwrap()), ["Flatten", "Relu", "Softmax"]);
    }

    #[test]
    fn another_axis_is_flattened_and_restored() {
        let graph = upgraded(12, "Softmax", &[]).unwrap();
        assert_eq!(ops(&graph), ["Flatten", "Shape", "Softmax", "Reshape"]);
        let names: Vec<&str> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["my Softmax.flatten", "my Softmax.shape", "my Softmax", "my Softmax.reshape"]);
        assert_eq!(graph.value(graph.nodes[3].outputs[0]).name, "y");
        assert_eq!(ops(&upgraded(13, "Softmax", &[("axis", Attribute::Int(1))]).unwrap()), ["Softmax"]);
    }
}
