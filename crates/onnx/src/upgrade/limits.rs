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

#[cfg(test)]
mod tests {
    use crate::testing::{constant, upgraded};
    use lowbit_graph::Attribute;

    #[test]
    fn limits_become_inputs_each_on_its_own() {
        let graph = upgraded(9, "Clip", &[("max", Attribute::Float(6.0))]).unwrap();
        assert_eq!((constant(&graph, 1), constant(&graph, 2)), (None, Some(vec![6.0])));
        assert_eq!(graph.value(graph.nodes[0].input(2).unwrap()).name, "my Clip.max");
        assert!(
            upgraded(11, "Clip", &[("max", Attribute::Float(6.0))])
                .unwrap_err()
                .contains("unknown attribute")
        );
    }
}
