//! `Clip`: the limits became inputs in opset 11.

use super::{Draft, Scope, UpgradeError};

pub(super) fn clip(draft: &mut Draft, scope: &mut Scope<'_>) -> Result<(), UpgradeError> {
    if scope.opset >= 11 {
        return Ok(());
    }
    for (i, attribute) in [(1, "min"), (2, "max")] {
        if let Some(limit) = draft.attributes.float(attribute)? {
            let limit = scope.scalar(&draft.name, attribute, limit, draft.input(0));
            draft.set_input(i, Some(limit));
        }
    }
    Ok(())
}
