//! From bits per edge to the types in which each node computes (HAGO, 3.4): the first form of the target, in its order, that
//! is wide enough for every operand.

use super::RewriteError;
use super::limits::Limit;
use crate::target::{Descriptor, Target};
use lowbit_graph::Graph;

/// The form in which each node computes; `None` for those in float. `bits` are by edge, in the order of `limits`.
///
/// # Errors
/// When no form is wide enough; the message names the node.
pub fn types<'t>(
    graph: &Graph,
    limits: &[Limit],
    bits: &[u8],
    target: &'t Target,
) -> Result<Vec<Option<&'t Descriptor>>, RewriteError> {
    let mut forms = vec![None; graph.nodes.len()];
    let mut done = vec![false; graph.nodes.len()];
    for limit in limits {
        let n = limit.edge.node.0;
        if std::mem::replace(&mut done[n], true) {
            continue;
        }
        let node = &graph.nodes[n];
        let operands: Vec<(usize, u8)> = limits
            .iter()
            .zip(bits)
            .filter(|(l, _)| l.edge.node.0 == n)
            .map(|(l, &bits)| (l.edge.input, bits))
            .collect();
        let all = || target.ops.iter().filter(|d| d.op == node.op.name() && d.is_integer());
        let fits = |d: &&Descriptor| operands.iter().all(|&(i, bits)| d.input_bits(i) >= bits);
        forms[n] = Some(all().find(fits).ok_or_else(|| {
            RewriteError::NoForm {
                op: node.op.name(),
                node: node.name.clone(),
                target: target.name.clone(),
                bits: operands.iter().map(|(_, bits)| bits.to_string()).collect::<Vec<_>>().join(" and "),
                accepted: all()
                    .map(|d| d.inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × "))
                    .collect::<Vec<_>>()
                    .join(", "),
            }
        })?);
    }
    Ok(forms)
}

#[cfg(test)]
mod tests {
    use super::super::example::network;
    use super::super::limits::limits;
    use super::super::regions::regions;
    use super::*;
    use crate::target::ElementType;

    #[test]
    fn the_first_form_that_is_wide_enough_is_taken() {
        let (graph, shapes) = network();
        let target = Target::named("generic-int4").unwrap();
        let coded = regions(&graph, &shapes, &target);
        let all = limits(&graph, &coded, &target);
        let conv1 = |bits: &[u8]| types(&graph, &all, bits, &target).map(|forms| forms[0].unwrap().input(1));
        let mut bits: Vec<u8> = all.iter().map(|l| l.bits).collect();
        assert_eq!(conv1(&bits).unwrap(), ElementType::I8);
        bits[0] = 4;
        assert_eq!(conv1(&bits).unwrap(), ElementType::I8, "the other operand needs more");
        bits[1] = 3;
        assert_eq!(conv1(&bits).unwrap(), ElementType::I4);
        bits[1] = 9;
        let error = conv1(&bits).unwrap_err().to_string();
        assert_eq!(
            error,
            "Conv `conv1`: target `generic-int4` has no form for operands of 4 and 9 bits; it has u4 × i4, u8 × i8"
        );
    }
}
