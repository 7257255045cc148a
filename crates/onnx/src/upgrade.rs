//! Older forms of nodes, and equivalents from other domains, into the one canonical form of opset 21.
//!
//! One file per family of operators; each function knows the opset in which its form changed. What an operator's
//! attributes may hold is checked by the operator itself afterwards.

mod constant;
mod draft;
mod dropout;
mod extras;
mod limits;
mod moved_to_inputs;
mod resize;
mod softmax;

pub(crate) use constant::value as constant_value;
pub(crate) use draft::{Draft, Maker, Scope, UpgradeError};

use crate::opset::{MICROSOFT, QONNX};
use lowbit_graph::Op;

/// Whether a node of this (canonical) domain and operator can be read.
pub(crate) fn is_supported(domain: &str, op: &str) -> bool {
    let (domain, op) = renamed(domain, op);
    Op::ALL.contains(&(domain, op))
}

/// Domain and name in canonical form: `Upsample` became `Resize`, QONNX renamed `Quant`, and ONNX Runtime's own
/// operators from before the standard had them (or had their element types) mean what the standard's do now.
fn renamed<'a>(domain: &'a str, op: &'a str) -> (&'a str, &'a str) {
    match (domain, op) {
        ("", "Upsample") => ("", "Resize"),
        (QONNX, "Quant") => (QONNX, "IntQuant"),
        (MICROSOFT, "Gelu" | "QuantizeLinear" | "DequantizeLinear") => ("", op),
        other => other,
    }
}

/// Brings `draft` into canonical form; nodes that must come before it go to [`Scope::before`].
pub(crate) fn upgrade(draft: &mut Draft, scope: &mut Scope<'_>) -> Result<(), UpgradeError> {
    extras::drop_inert(draft);
    extras::drop_outputs(draft, scope)?;
    let (domain, op) = (draft.domain.clone(), draft.op.clone());
    match (domain.as_str(), op.as_str()) {
        ("", "Clip") => limits::clip(draft, scope)?,
        ("", "Dropout") => dropout::dropout(draft, scope)?,
        ("", "Softmax" | "LogSoftmax" | "Hardmax") => softmax::softmax(draft, scope)?,
        ("", "Upsample") => resize::upsample(draft, scope)?,
        ("", "Resize") => resize::resize(draft, scope)?,
        ("", "Squeeze" | "Unsqueeze" | "ReduceSum") => moved_to_inputs::axes(draft, scope, 13)?,
        ("", op) if op.starts_with("Reduce") => moved_to_inputs::axes(draft, scope, 18)?,
        ("", "Slice") => moved_to_inputs::slice(draft, scope)?,
        ("", "Pad") => moved_to_inputs::pad(draft, scope)?,
        ("", "Split") => moved_to_inputs::split(draft, scope)?,
        _ => {}
    }
    let (domain, op) = renamed(&draft.domain, &draft.op);
    (draft.domain, draft.op) = (domain.to_owned(), op.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{model, node, ops, read};
    use lowbit_graph::Attribute;
    use lowbit_tensor::Tensor;

    #[test]
    fn equivalents_from_other_domains_get_their_standard_names() {
        let quant = [("signed", Attribute::Int(1)), ("narrow", Attribute::Int(0))];
        let table = [
            ("com.microsoft", "Gelu", "x", &[][..], "", "Gelu"),
            ("com.microsoft", "QuantizeLinear", "x s", &[][..], "", "QuantizeLinear"),
            ("onnx.brevitas", "Quant", "x s s s", &quant[..], "qonnx.custom_op.general", "IntQuant"),
            (
                "qonnx.custom_op.general",
                "IntQuant",
                "x s s s",
                &quant[..],
                "qonnx.custom_op.general",
                "IntQuant",
            ),
            ("ai.onnx", "Relu", "x", &[][..], "", "Relu"),
        ];
        for (domain, op, inputs, attributes, to_domain, to) in table {
            let mut foreign = node(op, inputs, "y", attributes);
            foreign.domain = Some(domain.into());
            let graph = read(&model(20, vec![foreign], &[("s", Tensor::scalar(4.0))])).unwrap();
            assert_eq!((ops(&graph), graph.nodes[0].op.domain()), (vec![to], to_domain), "{domain} {op}");
        }
    }
}
