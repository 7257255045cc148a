//! What files carry although it says nothing about inference: left out, if it really says nothing.
//!
//! Any other attribute that an operator does not know is refused by the operator.

use super::{Draft, Scope, UpgradeError};
use lowbit_graph::Attribute;

/// Attributes without meaning at inference: operator (`*` for any), attribute, the only value without meaning
/// (`None`: all values). Those of canonical form are known to the operators themselves.
const INERT: &[(&str, &str, Option<i64>)] = &[
    // Before opset 6; some exporters never stopped writing it.
    ("*", "consumed_inputs", None),
    // Before opset 9; 0 means other statistics for every position.
    ("BatchNormalization", "spatial", Some(1)),
];

/// Outputs beyond the first that exist for training, or that nothing here computes: operator, names of the outputs.
const IDLE_OUTPUTS: &[(&str, &[&str])] = &[
    ("BatchNormalization", &["running_mean", "running_var", "saved_mean", "saved_var"]),
    ("MaxPool", &["Indices"]),
];

/// Removes attributes that say nothing.
pub(super) fn drop_inert(draft: &mut Draft) {
    if !draft.domain.is_empty() {
        return;
    }
    for (op, name, neutral) in INERT {
        let harmless = match (draft.attributes.get(name), neutral) {
            (Some(Attribute::Int(value)), Some(neutral)) => value == neutral,
            (found, None) => found.is_some(),
            _ => false,
        };
        if harmless && (*op == "*" || *op == draft.op) {
            draft.attributes.take(name);
        }
    }
}

/// Removes outputs that nothing reads and nothing here computes; refuses those that are read.
pub(super) fn drop_outputs(draft: &mut Draft, scope: &Scope<'_>) -> Result<(), UpgradeError> {
    let Some((_, names)) = IDLE_OUTPUTS.iter().find(|(op, _)| draft.domain.is_empty() && *op == draft.op)
    else {
        return Ok(());
    };
    for (i, output) in draft.outputs.iter().enumerate().skip(1) {
        if scope.read.contains(output) {
            let name = names.get(i - 1).copied().unwrap_or("beyond those of the operator");
            return Err(format!("output {i} (`{name}`) is read, which is not supported").into());
        }
    }
    draft.outputs.truncate(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{ints, model, node, ops, read, upgraded};
    use lowbit_graph::Attribute;

    #[test]
    fn only_what_says_nothing_is_left_out() {
        assert!(upgraded(7, "Relu", &[("consumed_inputs", ints(&[0]))]).is_ok());
        assert!(upgraded(7, "Relu", &[("alpha", Attribute::Float(0.1))]).is_err());
        let norm = |spatial| upgraded(7, "BatchNormalization", &[("spatial", Attribute::Int(spatial))]);
        assert!(norm(1).is_ok() && norm(0).unwrap_err().contains("`spatial`"));
    }

    #[test]
    fn outputs_that_nothing_computes_may_be_there_but_not_be_read() {
        let kernel = [("kernel_shape", ints(&[2, 2]))];
        let unread = model(12, vec![node("MaxPool", "x", "y indices", &kernel)], &[]);
        assert_eq!(read(&unread).unwrap().nodes[0].outputs.len(), 1);
        let pool = node("MaxPool", "x", "values indices", &kernel);
        let error =
            read(&model(12, vec![pool, node("Identity", "indices", "y", &[])], &[])).unwrap_err().to_string();
        assert_eq!(
            error,
            "node `my MaxPool` (MaxPool): output 1 (`Indices`) is read, which is not supported"
        );
        let dropout = read(&model(13, vec![node("Dropout", "x", "y mask", &[])], &[])).unwrap();
        assert_eq!((ops(&dropout), dropout.nodes[0].outputs.len()), (vec!["Dropout"], 2));
    }
}
