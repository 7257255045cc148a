//! `Resize` and its predecessor `Upsample`: the operator whose meaning changed most between versions.
//!
//! Since opset 11 the coordinate rule is an attribute and the inputs are X, roi, scales, sizes. Before, it was always
//! the plain quotient (`asymmetric`), and the nearest element was found by rounding down; ONNX Runtime rounds up
//! where an axis shrinks.

use super::{Draft, Scope, UpgradeError};
use lowbit_graph::{Attribute, ValueId};
use lowbit_tensor::Tensor;

/// `Upsample`: scales as an attribute (opset 7) or input 1 (opset 9). Removed in opset 10.
pub(super) fn upsample(draft: &mut Draft, scope: &mut Scope<'_>) -> Result<(), UpgradeError> {
    if let Some(scales) = draft.attributes.floats("scales")? {
        let constant = scope.constant(&draft.name, "scales", Tensor::from_f32([scales.len()], scales));
        draft.set_input(1, Some(constant));
    }
    before_11(draft, scope)
}

/// `Resize`: opset 10, or newer with empty tensors standing for absent inputs.
pub(super) fn resize(draft: &mut Draft, scope: &mut Scope<'_>) -> Result<(), UpgradeError> {
    if scope.opset < 11 {
        return before_11(draft, scope);
    }
    let empty = |v: Option<ValueId>| v.and_then(|v| scope.graph.constant(v)).is_some_and(|t| t.is_empty());
    let absent: Vec<usize> = (1..draft.inputs.len()).filter(|&i| empty(draft.input(i))).collect();
    for i in absent {
        draft.inputs[i] = None;
    }
    Ok(())
}

fn before_11(draft: &mut Draft, scope: &Scope<'_>) -> Result<(), UpgradeError> {
    let scales = draft.input(1);
    draft.inputs.truncate(1);
    draft.set_input(2, scales);
    let nearest = rounding(scales.and_then(|s| scope.graph.constant(s)))?;
    let text = |s: &str| Attribute::Text(s.to_owned());
    if let Some(Attribute::Text(mode)) = draft.attributes.get("mode")
        && mode == "bilinear"
    {
        draft.attributes.set("mode", text("linear"));
    }
    draft.attributes.set("coordinate_transformation_mode", text("asymmetric"));
    if !matches!(draft.attributes.get("mode"), Some(Attribute::Text(mode)) if mode == "linear") {
        draft.attributes.set("nearest_mode", text(nearest));
    }
    Ok(())
}

/// How old versions round to the nearest element: down where an axis grows, up where it shrinks.
fn rounding(scales: Option<&std::sync::Arc<Tensor>>) -> Result<&'static str, UpgradeError> {
    let scales = scales.map(|s| s.to_f32()).unwrap_or_default();
    // An axis that shrinks by a whole factor meets elements exactly and does not mind.
    let shrinks = scales.iter().any(|&s| s < 1.0 && (1.0 / s).fract() != 0.0);
    let grows = scales.iter().any(|&s| s > 1.0);
    match (shrinks, grows) {
        (true, true) => {
            Err(format!("scales {scales:?} shrink one axis and enlarge another, which opset 11 cannot say")
                .into())
        }
        (true, false) => Ok("ceil"),
        _ => Ok("floor"),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{constant, model, node, ops, read, text, upgraded};
    use lowbit_graph::{Attribute, Graph};
    use lowbit_tensor::Tensor;

    fn old(scales: [f32; 4]) -> Result<Graph, String> {
        let scales = Tensor::from_f32([4], scales.to_vec());
        read(&model(10, vec![node("Resize", "x s", "y", &[])], &[("s", scales)])).map_err(|e| e.to_string())
    }

    fn said(graph: &Graph, attribute: &str) -> Option<Attribute> {
        graph.nodes[0].op.write().get(attribute).cloned()
    }

    #[test]
    fn upsample_is_a_resize_by_plain_quotients() {
        let graph =
            upgraded(7, "Upsample", &[("scales", Attribute::Floats(vec![1.0, 1.0, 2.0, 2.0]))]).unwrap();
        assert_eq!(
            (ops(&graph), constant(&graph, 1), constant(&graph, 2)),
            (vec!["Resize"], None, Some(vec![1.0, 1.0, 2.0, 2.0]))
        );
        assert_eq!(said(&graph, "coordinate_transformation_mode"), Some(text("asymmetric")));
        assert_eq!(said(&graph, "nearest_mode"), Some(text("floor")));
    }

    #[test]
    fn opset_10_rounds_down_when_it_enlarges_and_up_when_it_shrinks() {
        assert_eq!(said(&old([1.0, 1.0, 2.0, 1.5]).unwrap(), "nearest_mode"), Some(text("floor")));
        assert_eq!(said(&old([1.0, 1.0, 0.6, 0.5]).unwrap(), "nearest_mode"), Some(text("ceil")));
        assert_eq!(said(&old([1.0, 1.0, 2.0, 0.5]).unwrap(), "nearest_mode"), Some(text("floor")));
        assert!(old([1.0, 1.0, 2.0, 0.6]).unwrap_err().contains("shrink one axis and enlarge another"));
    }

    #[test]
    fn empty_tensors_stand_for_absent_inputs() {
        let (none, sizes) = (Tensor::from_f32([0], vec![]), Tensor::from_i64s(&[2, 3, 8, 8]));
        let resize = vec![node("Resize", "x r r s", "y", &[])];
        let graph = read(&model(11, resize, &[("r", none), ("s", sizes)])).unwrap();
        let inputs: Vec<bool> = graph.nodes[0].inputs.iter().map(Option::is_some).collect();
        assert_eq!(inputs, [true, false, false, true]);
    }
}
