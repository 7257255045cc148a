//! `Dropout`: `ratio` became an input in opset 12.

use super::{Draft, Scope, UpgradeError};

pub(super) fn dropout(draft: &mut Draft, scope: &mut Scope<'_>) -> Result<(), UpgradeError> {
    if scope.opset >= 12 {
        return Ok(());
    }
    if let Some(ratio) = draft.attributes.float("ratio")? {
        // The ratio may be of any float type, also where the data is not float32.
        let ratio = scope.scalar(&draft.name, "ratio", ratio, None);
        draft.set_input(1, Some(ratio));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{constant, upgraded};
    use lowbit_graph::Attribute;

    #[test]
    fn the_ratio_becomes_an_input() {
        let graph = upgraded(7, "Dropout", &[("ratio", Attribute::Float(0.25))]).unwrap();
        assert_eq!(constant(&graph, 1), Some(vec![0.25]));
    }
}
