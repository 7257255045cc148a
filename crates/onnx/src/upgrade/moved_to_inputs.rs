//! Operators whose lists of axes, starts or sizes were attributes and became inputs: `Squeeze`, `Unsqueeze` and
//! `Reduce…`, `Slice`, `Pad`, `Split`.

use super::draft::ints_to_input;
use super::{Draft, Scope, UpgradeError};
use lowbit_graph::Attribute;

/// `axes` became input 1 in opset `since`.
pub(super) fn axes(draft: &mut Draft, scope: &mut Scope<'_>, since: u64) -> Result<(), UpgradeError> {
    if scope.opset < since { ints_to_input(draft, scope, "axes", 1) } else { Ok(()) }
}

/// `starts`, `ends` and `axes` became inputs in opset 10.
pub(super) fn slice(draft: &mut Draft, scope: &mut Scope<'_>) -> Result<(), UpgradeError> {
    if scope.opset < 10 {
        ints_to_input(draft, scope, "starts", 1)?;
        ints_to_input(draft, scope, "ends", 2)?;
        ints_to_input(draft, scope, "axes", 3)?;
    }
    Ok(())
}

/// `pads` and `value` became inputs in opset 11.
pub(super) fn pad(draft: &mut Draft, scope: &mut Scope<'_>) -> Result<(), UpgradeError> {
    if scope.opset < 11 {
        ints_to_input(draft, scope, "pads", 1)?;
        if let Some(value) = draft.attributes.float("value")? {
            let value = scope.scalar(&draft.name, "value", value, draft.input(0));
            draft.set_input(2, Some(value));
        }
    }
    Ok(())
}

/// `split` became input 1 in opset 13. Without it the number of parts is needed, which older opsets leave to the number
/// of outputs.
pub(super) fn split(draft: &mut Draft, scope: &mut Scope<'_>) -> Result<(), UpgradeError> {
    if scope.opset < 13 {
        ints_to_input(draft, scope, "split", 1)?;
    }
    let outputs = draft.outputs.len() as i64;
    if let Some(found) = draft.attributes.int("num_outputs")?.filter(|&n| n != outputs) {
        return Err(format!("`num_outputs` is {found}, the node has {outputs} outputs").into());
    }
    if draft.input(1).is_none() {
        draft.attributes.set("num_outputs", Attribute::Int(outputs));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{constant, ints, model, node, ops, read, upgraded};
    use lowbit_graph::{Attribute, Op};

    #[test]
    fn lists_become_inputs_before_the_opset_that_moved_them() {
        for (op, last_old, attribute) in
            [("Squeeze", 12, "axes"), ("Unsqueeze", 12, "axes"), ("ReduceMean", 17, "axes")]
        {
            let graph = upgraded(last_old, op, &[(attribute, ints(&[1]))]).unwrap();
            assert_eq!(constant(&graph, 1), Some(vec![1.0]), "{op}");
            let error = upgraded(last_old + 1, op, &[(attribute, ints(&[1]))]).unwrap_err();
            assert!(
                error.contains(&format!("node `my {op}` ({op}): unknown attribute(s) `axes`")),
                "{error}"
            );
        }
    }

    #[test]
    fn absent_lists_stay_absent() {
        assert_eq!(upgraded(7, "Squeeze", &[]).unwrap().nodes[0].inputs.len(), 1);
        let graph = upgraded(9, "Slice", &[("starts", ints(&[1])), ("ends", ints(&[2]))]).unwrap();
        assert_eq!(
            (constant(&graph, 1), constant(&graph, 2), constant(&graph, 3)),
            (Some(vec![1.0]), Some(vec![2.0]), None)
        );
    }

    #[test]
    fn pad_keeps_its_value() {
        let graph =
            upgraded(7, "Pad", &[("pads", ints(&[1; 8])), ("value", Attribute::Float(-1.5))]).unwrap();
        assert_eq!((constant(&graph, 1), constant(&graph, 2)), (Some(vec![1.0; 8]), Some(vec![-1.5])));
    }

    #[test]
    fn split_says_how_many_parts_only_where_nothing_else_does() {
        let split =
            |opset, attributes: &[_]| read(&model(opset, vec![node("Split", "x", "y z", attributes)], &[]));
        let parts = |graph: &lowbit_graph::Graph| match &graph.nodes[0].op {
            Op::Split(split) => split.num_outputs,
            other => panic!("{other:?}"),
        };
        let equal = split(7, &[("axis", Attribute::Int(3))]).unwrap();
        assert_eq!((ops(&equal), parts(&equal)), (vec!["Split"], Some(2)));
        let sized = split(11, &[("split", ints(&[1, 4])), ("axis", Attribute::Int(3))]).unwrap();
        assert_eq!((constant(&sized, 1), parts(&sized)), (Some(vec![1.0, 4.0]), None));
        let error = split(18, &[("num_outputs", Attribute::Int(3))]).unwrap_err().to_string();
        assert!(error.contains("`num_outputs` is 3, the node has 2 outputs"), "{error}");
    }
}
