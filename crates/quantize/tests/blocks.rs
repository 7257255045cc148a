//! The blocks of networks kept with the repository, and what a recipe may say about them.

mod common;

use common::{Case, run};
use lowbit_engine::Network;
use lowbit_graph::passes::{Block, segment};
use lowbit_graph::{Graph, ValueId};
use lowbit_quantize::{Recipe, blocks};
use lowbit_tensor::Tensor;
use std::collections::HashMap;

const DEFAULT: &str = "";
const LAYERS: &str = "[blocks]\ngranularity = \"layer\"";

fn cut(text: &str, graph: &Graph) -> Result<Vec<Block>, String> {
    blocks::of(&Recipe::parse("test", text).unwrap(), graph).map_err(|error| error.to_string())
}

fn stored(name: &str) -> Case {
    Case::stored().into_iter().find(|case| case.name == name).unwrap()
}

/// `kind: name` of each block.
fn described(blocks: &[Block]) -> Vec<String> {
    blocks.iter().map(|block| format!("{}: {}", block.kind.name(), block.name)).collect()
}

/// Runs block after block, each from the results of those before it.
fn by_blocks(case: &Case, blocks: &[Block], batch: &[Tensor]) -> Vec<Tensor> {
    let graph = &case.graph;
    let mut values: HashMap<ValueId, Tensor> =
        graph.inputs.iter().copied().zip(batch.iter().cloned()).collect();
    for block in blocks {
        let part = segment(graph, &case.types, &block.nodes, &block.inputs, &block.outputs);
        let inputs: Vec<Tensor> = block.inputs.iter().map(|id| values[id].clone()).collect();
        let outputs = Network::new(&part).unwrap().run(&inputs).unwrap();
        values.extend(block.outputs.iter().copied().zip(outputs));
    }
    graph.outputs.iter().map(|id| values[id].clone()).collect()
}

#[test]
fn blocks_run_one_after_the_other_compute_what_the_network_does() {
    for case in Case::stored() {
        let batch = case.batch(3, 5);
        let expected = run(&case.graph, &batch);
        for text in [DEFAULT, LAYERS] {
            let blocks = cut(text, &case.graph).unwrap();
            assert_eq!(by_blocks(&case, &blocks, &batch), expected, "{} {text}", case.name);
        }
    }
}

#[test]
fn stored_networks_are_cut_as_a_reader_would() {
    assert_eq!(
        described(&cut(DEFAULT, &stored("residual-batchnorm").graph).unwrap()),
        ["layer: /Conv_0", "residual: /Conv_3", "residual: /Conv_10", "layer: /Gemm_21"]
    );
    assert_eq!(
        described(&cut(DEFAULT, &stored("depthwise-relu6-hardswish").graph).unwrap()),
        ["layer: /Conv_0", "inverted residual: /Conv_2", "inverted residual: /Conv_9", "layer: /Gemm_21"]
    );
    let transformer = described(&cut(DEFAULT, &stored("transformer-encoder").graph).unwrap());
    let kinds: Vec<&str> = transformer.iter().filter_map(|text| text.split(':').next()).collect();
    assert_eq!(kinds, ["attention", "feed-forward", "attention", "feed-forward", "layer"]);
}

#[test]
fn a_recipe_puts_layers_together() {
    let case = stored("residual-batchnorm");
    let blocks = cut("[[block]]\nlayers = [\"/Conv_1?\"]", &case.graph).unwrap();
    assert_eq!(
        described(&blocks),
        ["layer: /Conv_0", "residual: /Conv_3", "chosen: /Conv_10", "layer: /Gemm_21"]
    );
    let both = "[[block]]\nlayers = [\"/Conv_3\", \"/Conv_6\", \"/Conv_1*\"]";
    let blocks = cut(&format!("{LAYERS}\n{both}"), &case.graph).unwrap();
    assert_eq!(described(&blocks), ["layer: /Conv_0", "chosen: /Conv_3", "layer: /Gemm_21"]);
    let batch = case.batch(2, 7);
    assert_eq!(by_blocks(&case, &blocks, &batch), run(&case.graph, &batch));
}

#[test]
fn a_choice_that_cannot_be_is_refused_by_name() {
    let case = stored("residual-batchnorm");
    for (text, words) in [
        ("[[block]]\nlayers = [\"/Conf_3\"]", "test: block 1: no layer of"),
        ("[[block]]\nlayers = [\"/Conf_3\"]", "nearest: `/Conv_"),
        ("[[block]]\nlayers = []", "`layers` is empty"),
        (
            "[[block]]\nlayers = [\"/Conv_0\", \"/Conv_6\"]",
            "`/Conv_3` lies between its layers `/Conv_0` and `/Conv_6`",
        ),
        (
            "[[block]]\nlayers = [\"/Conv_0\"]\n[[block]]\nlayers = [\"/Conv_*\"]",
            "block 2: `/Conv_0` is already in another block",
        ),
    ] {
        let error = cut(text, &case.graph).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
    for (text, words) in [
        ("[blocks]\ngranularity = \"lair\"", "unknown variant"),
        ("[blocks]\ngranularty = \"layer\"", "did you mean `granularity`"),
        ("[[block]]\nlayer = [\"a\"]", "did you mean `layers`"),
    ] {
        let error = Recipe::parse("test", text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}
