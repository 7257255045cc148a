//! Real networks, where the machine has them: `LOWBIT_SHARED`, or `shared` beside the workspace.

use lowbit_onnx::{ReadOptions, WriteOptions, read_bytes, read_file_with, write_bytes};
use std::path::{Path, PathBuf};

fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("LOWBIT_SHARED").map_or(beside, PathBuf::from);
    folder.join("models").is_dir().then(|| folder.join("models"))
}

#[test]
fn exported_networks_are_read_and_rewritten() {
    let Some(models) = shared() else {
        println!("skipped: shared data absent");
        return;
    };
    for (file, nodes) in [("resnet20-cifar10.onnx", 56), ("mobilenetv2-cifar10.onnx", 77)] {
        let graph = read_file_with(&models.join(file), ReadOptions { finite: true }).unwrap();
        assert_eq!((graph.nodes.len(), graph.inputs.len(), graph.outputs.len()), (nodes, 1, 1), "{file}");
        let bytes = write_bytes(&graph, &WriteOptions::default()).unwrap();
        let again = write_bytes(&read_bytes(&bytes, None).unwrap(), &WriteOptions::default()).unwrap();
        assert_eq!(bytes, again, "{file}");
    }
}
