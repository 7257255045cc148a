//! Which nodes compute on codes (HAGO, 3.2).
//!
//! Operators with integer forms only start integers; those with both kinds follow what they read; those with float forms only
//! end them. All inputs of a node share its fate.

use crate::target::Target;
use lowbit_graph::{Graph, Node, Op, TensorType};

/// Whether each node computes on codes, in the order of the nodes. `types` are those of one sample.
pub fn regions(graph: &Graph, types: &[Option<TensorType>], target: &Target) -> Vec<bool> {
    let producers = graph.producers();
    let mut coded = vec![false; graph.nodes.len()];
    for (n, node) in graph.nodes.iter().enumerate() {
        let forms = || target.descriptors(node.op.name());
        let reads_codes =
            node.inputs.iter().flatten().any(|value| producers.get(value).is_some_and(|p| coded[p.0]));
        let follows = forms().any(|d| d.is_float());
        coded[n] =
            forms().any(|d| d.is_integer()) && !kept_float(graph, types, node) && (reads_codes || !follows);
    }
    coded
}

/// Nodes that stay in float although their operator has an integer form: additions of anything but maps, or of one number, or
/// of a constant to a map of one pixel; convolutions in groups that are neither one nor one per channel.
fn kept_float(graph: &Graph, types: &[Option<TensorType>], node: &Node) -> bool {
    let shape = |i: usize| {
        let value = node.input(i)?;
        types[value.0].as_ref().map(|t| t.shape.clone())
    };
    match &node.op {
        Op::Add(_) => {
            let constant = (0..2).any(|i| node.input(i).is_some_and(|v| graph.constant(v).is_some()));
            let one_pixel = |s: &Vec<usize>| s[2..].iter().all(|&d| d == 1);
            let scalar =
                (0..2).any(|i| shape(i).is_some_and(|s| s.iter().product::<usize>() == 1 && s.len() < 4));
            let data = (0..2).filter(|&i| node.input(i).is_some_and(|v| graph.constant(v).is_none()));
            let maps: Vec<Vec<usize>> = data.filter_map(shape).collect();
            scalar || maps.iter().any(|s| s.len() != 4) || constant && maps.iter().all(one_pixel)
        }
        Op::Conv(conv) => {
            let channels = shape(0).and_then(|s| s.get(1).copied());
            conv.group != 1 && channels != Some(conv.group)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{accelerator, network};
    use super::*;
    use crate::target::Target;

    #[test]
    fn a_convolution_starts_codes_and_what_has_float_forms_only_ends_them() {
        let (graph, types) = network();
        let coded = regions(&graph, &types, &accelerator());
        let names: Vec<&str> =
            graph.nodes.iter().zip(coded).filter(|(_, c)| *c).map(|(n, _)| n.name.as_str()).collect();
        assert_eq!(names, ["conv1", "add_b1", "relu", "conv2", "add_b2", "add_res", "relu2"]);
    }

    #[test]
    fn a_target_without_integer_forms_has_no_codes() {
        let (graph, types) = network();
        let text = "summary = \"float\"\ninteger_ops = []\npass_through = []\nfused_residual = false\n\
            per_channel_activations = false\nweight_shift = false\nflavour = \"container\"\n\
            [[op]]\nop = \"Conv\"\nin = [\"f32\"]\nout = \"f32\"\n";
        let target = Target::parse("float", text).unwrap();
        assert!(!regions(&graph, &types, &target).contains(&true));
    }

    #[test]
    fn what_has_both_kinds_follows_what_it_reads() {
        let (mut graph, types) = network();
        // A Pad behind the input stays in float; the same behind a convolution joins its codes.
        let concat = |graph: &Graph, before: usize| {
            let target = accelerator();
            let mut graph = graph.clone();
            graph.nodes[before].op = lowbit_graph::ops::Concat { axis: 1 }.into();
            regions(&graph, &types, &target)[before]
        };
        assert!(concat(&graph, 2));
        let x = graph.inputs[0];
        graph.nodes[2].inputs = vec![Some(x)];
        assert!(!concat(&graph, 2));
    }
}
