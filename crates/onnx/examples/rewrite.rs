//! Brings an ONNX file into canonical form: `cargo run -p lowbit-onnx --example rewrite -- IN.onnx OUT.onnx ...`
//! (any number of pairs).

use lowbit_onnx::{WriteOptions, read_file, write_bytes};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    for pair in files.chunks_exact(2) {
        let graph = read_file(Path::new(&pair[0]))?;
        std::fs::write(&pair[1], write_bytes(&graph, &WriteOptions::default())?)?;
        println!("{}: {} nodes, {} values", pair[1], graph.nodes.len(), graph.values.len());
    }
    Ok(())
}
