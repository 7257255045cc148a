//! What `inspect` says of a network: claims about one kept with the repository.

use std::path::Path;

use lowbit::render::{json, text, text::Style};
use lowbit::{Inspection, facade};

fn inspected(name: &str) -> Inspection {
    let networks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/networks");
    facade::inspect(networks.join(name)).unwrap()
}

#[test]
fn a_network_is_shown_by_layers_blocks_and_operators() {
    let text =
        text::inspection(&inspected("residual-batchnorm.onnx"), Style { width: Some(110), colour: false });
    insta::assert_snapshot!(text);
}

#[test]
fn blocks_share_out_every_node_and_all_work() {
    for name in ["residual-batchnorm.onnx", "transformer-encoder.onnx", "unet-resize-transpose.onnx"] {
        let found = inspected(name);
        let nodes = |block: &lowbit::BlockInspection| block.nodes.len();
        assert_eq!(found.blocks.iter().map(nodes).sum::<usize>(), found.layers.len(), "{name}");
        assert_eq!(found.blocks.iter().map(|b| b.macs).sum::<u64>(), found.model.macs, "{name}");
    }
}

#[test]
fn json_gives_the_inspection_back() {
    let found = inspected("unet-resize-transpose.onnx");
    let again: Inspection = serde_json::from_str(&json::inspection(&found)).unwrap();
    assert_eq!(again, found);
}
