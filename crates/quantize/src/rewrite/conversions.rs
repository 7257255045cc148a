//! What stands on each edge once quantizers are realized (HAGO, 3.9): nothing, or one conversion.

use super::Edge;
use super::scales::Scales;
use lowbit_graph::ValueId;

/// What turns what arrives on an edge into what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Float to codes.
    Quantize,
    /// Codes to float.
    Dequantize,
    /// Codes to codes of another scale or a narrower type.
    Requantize,
    /// Codes that only change their type, or nothing at all.
    Nothing,
}

/// What stands on each edge.
pub fn conversions(scales: &Scales) -> Vec<(Edge, Conversion)> {
    let of = |q: &super::quantizer::Quantizer| match (q.in_type.is_integer(), q.out_type.is_integer()) {
        (false, true) => Conversion::Quantize,
        (true, false) => Conversion::Dequantize,
        (true, true) if q.in_scale != q.out_scale || q.out_type.bits() < q.in_type.bits() => {
            Conversion::Requantize
        }
        _ => Conversion::Nothing,
    };
    scales.edges.iter().map(|(edge, quantizer)| (*edge, of(quantizer))).collect()
}

/// The values that are stored as codes of 8 bits or fewer: what files round, and where sites lie. In order, each once.
pub fn stored(scales: &Scales) -> Vec<ValueId> {
    let narrow = scales.edges.iter().filter(|(_, q)| q.out_type.is_integer() && q.out_type.bits() <= 8);
    let mut values: Vec<ValueId> = narrow.map(|(edge, _)| edge.value).collect();
    values.sort_unstable();
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use super::super::example::{accelerator, network};
    use super::super::execute::quantizers;
    use super::super::limits::limits;
    use super::super::regions::regions;
    use super::super::thresholds::Thresholds;
    use super::*;
    use crate::site;
    use crate::target::Target;
    use lowbit_graph::{Graph, TensorType};

    fn realized(graph: &Graph, types: &[Option<TensorType>], target: &Target) -> Scales {
        let all = limits(graph, &regions(graph, types, target), target);
        let bits: Vec<u8> = all.iter().map(|l| l.bits).collect();
        let mut thresholds = Thresholds::default();
        (0..graph.values.len()).for_each(|i| thresholds.set(ValueId(i), vec![1.0]));
        quantizers(graph, &all, &bits, target, &thresholds).unwrap()
    }

    /// One conversion to codes per operand of a layer that arrives in float or in the accumulator, one back per way out.
    #[test]
    fn layers_alone_on_codes_get_one_quantize_per_operand_and_one_dequantize_per_exit() {
        let (graph, types) = network();
        let text = "summary = \"layers\"\ninteger_ops = [\"Conv\"]\npass_through = []\nfused_residual = false\nfloat_sums = true\n\
            per_channel_activations = false\nweight_shift = false\nflavour = \"container\"\n\
            [[op]]\nop = \"Conv\"\nin = [\"i8\"]\nout = \"i32\"\n";
        let target = Target::parse("layers", text).unwrap();
        let found = conversions(&realized(&graph, &types, &target));
        let count = |what| found.iter().filter(|(_, c)| *c == what).count();
        assert_eq!(
            [Conversion::Quantize, Conversion::Dequantize, Conversion::Requantize].map(count),
            [4, 2, 0]
        );
    }

    #[test]
    fn a_float_target_changes_nothing() {
        let (graph, types) = network();
        let text = "summary = \"float\"\ninteger_ops = []\npass_through = []\nfused_residual = false\n\
            per_channel_activations = false\nweight_shift = false\nflavour = \"container\"\n";
        let target = Target::parse("float", text).unwrap();
        let scales = realized(&graph, &types, &target);
        assert!(conversions(&scales).is_empty() && stored(&scales).is_empty());
        let sites = site::find(&graph, &types, &target);
        assert!(sites.weights.is_empty() && sites.activations.is_empty());
        let plan = crate::Plan::default();
        assert_eq!(crate::simulate::simulate(&graph, &sites, &plan), graph);
        let lowered =
            crate::lower::qdq::qdq(&graph, &sites, &plan, crate::lower::Flavour::Container).unwrap();
        assert_eq!((lowered.nodes, lowered.outputs), (graph.nodes.clone(), graph.outputs.clone()));
    }

    /// The two views of a target's file: what the rewriting stores in 8 bits is where sites lie.
    #[test]
    fn sites_lie_where_the_rewriting_stores_codes() {
        let (graph, types) = network();
        for target in [accelerator(), Target::named("int8-acc16").unwrap()] {
            let stored = stored(&realized(&graph, &types, &target));
            let sites = site::find(&graph, &types, &target);
            // A site's value may be wanted for its own sake: the end of an integer part.
            let mut wanted: Vec<ValueId> = sites.weights.iter().map(|w| w.value).collect();
            wanted.extend(sites.activations.iter().filter(|a| a.feeds_product).map(|a| a.value));
            wanted.sort_unstable();
            assert_eq!(stored, wanted, "{}", target.name);
        }
    }
}
