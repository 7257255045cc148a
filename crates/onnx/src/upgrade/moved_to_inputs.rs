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
