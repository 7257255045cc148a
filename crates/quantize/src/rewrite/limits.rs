//! How many bits each edge may have (HAGO, 3.3): the space that a search walks through.

use super::{Edge, edges};
use crate::target::Target;
use lowbit_graph::Graph;

/// Fewest bits that an edge is offered.
pub const LEAST_BITS: u8 = 4;

/// An edge into a node that computes on codes, and the most bits that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The edge.
    pub edge: Edge,
    /// The widest that its reader takes and its producer gives.
    pub bits: u8,
}

/// The edges into nodes that compute on codes, in network order, with their limits. Constants and inputs of the network give
/// whatever is asked for, and so does what is computed in float.
pub fn limits(graph: &Graph, coded: &[bool], target: &Target) -> Vec<Limit> {
    let producers = graph.producers();
    let widest = |bits: &mut dyn Iterator<Item = u8>| bits.max().unwrap_or(0);
    let limit = |edge: Edge| {
        let reader = graph.nodes[edge.node.0].op.name();
        let integer = |op| target.descriptors(op).filter(|d| d.is_integer());
        let taken = widest(&mut integer(reader).map(|d| d.input_bits(edge.input)));
        let producer = producers.get(&edge.value).filter(|p| coded[p.0]);
        let given = producer.map(|p| widest(&mut integer(graph.nodes[p.0].op.name()).map(|d| d.out.bits())));
        Limit { edge, bits: given.map_or(taken, |given| given.min(taken)) }
    };
    edges(graph).into_iter().filter(|edge| coded[edge.node.0]).map(limit).collect()
}

impl Limit {
    /// What a search may choose from, widest first.
    pub fn choices(&self) -> Vec<u8> {
        (LEAST_BITS.min(self.bits)..=self.bits).rev().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{accelerator, network};
    use super::super::regions::regions;
    use super::*;

    fn found(target: &Target) -> Vec<(String, u8)> {
        let (graph, types) = network();
        let coded = regions(&graph, &types, target);
        let name = |l: Limit| {
            let from = &graph.value(l.edge.value).name;
            format!("{from}->{}", graph.nodes[l.edge.node.0].name)
        };
        limits(&graph, &coded, target).into_iter().map(|l| (name(l), l.bits)).collect()
    }

    #[test]
    fn limits_are_those_of_the_worked_example() {
        let expected = [
            ("data->conv1", 8),
            ("w.conv1->conv1", 8),
            ("conv1->add_b1", 32),
            ("b1->add_b1", 32),
            ("add_b1->relu", 32),
            ("relu->conv2", 8),
            ("w.conv2->conv2", 8),
            ("conv2->add_b2", 32),
            ("b2->add_b2", 32),
            ("add_b2->add_res", 32),
            ("relu->add_res", 32),
            ("add_res->relu2", 32),
        ];
        let wide = found(&accelerator());
        assert_eq!(wide, expected.map(|(name, bits)| (name.to_owned(), bits)));
        let narrow = found(&Target::named("int8-acc16").unwrap());
        let narrowed = expected.map(|(name, bits)| (name.to_owned(), if bits == 32 { 16 } else { bits }));
        assert_eq!(narrow, narrowed);
    }

    #[test]
    fn choices_go_down_to_four() {
        let edge = Edge { node: lowbit_graph::NodeId(0), input: 0, value: lowbit_graph::ValueId(0) };
        let sizes = [8, 16, 32].map(|bits| Limit { edge, bits }.choices().len());
        assert_eq!(sizes, [5, 13, 29]);
        assert_eq!(Limit { edge, bits: 8 }.choices(), [8, 7, 6, 5, 4]);
    }
}
