//! The program as a person types it, in a folder, and what it is given there.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::path::Path;
use std::process::{Command, Output};

use lowbit_graph::ops::Gather;
use lowbit_graph::{Dim, Graph, Op};
use lowbit_tensor::{DType, Tensor};

pub(crate) fn run(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lowbit"));
    command.current_dir(folder).args(line.split_whitespace()).output().unwrap()
}

/// What it prints.
#[track_caller]
pub(crate) fn done(folder: &Path, line: &str) -> String {
    let output = run(folder, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Why it does not.
#[track_caller]
pub(crate) fn refused(folder: &Path, line: &str) -> String {
    let output = run(folder, line);
    assert_eq!(output.status.code(), Some(1), "{line}");
    String::from_utf8(output.stderr).unwrap()
}

/// Values in ±1, always the same.
pub(crate) fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A `.npy` file.
pub(crate) fn npy(path: &Path, tensor: &Tensor) {
    std::fs::write(path, lowbit::render::npz::array(tensor)).unwrap();
}

/// A network that gives the rows `picked` of a table `[rows, columns]`.
pub(crate) fn gather(table: Tensor, picked: &[i64]) -> Vec<u8> {
    let columns = table.shape()[1];
    let mut graph = Graph::default();
    let table = graph.add_constant("table", table);
    let indices = graph.add_constant("indices", Tensor::from_i64s(picked));
    let output = graph.add_node("rows", Op::Gather(Gather { axis: 0 }), &[table, indices]);
    graph.values[output.0].dtype = Some(DType::F32);
    graph.values[output.0].shape = Some([picked.len(), columns].map(Dim::Known).to_vec());
    graph.outputs = vec![output];
    written(&graph)
}

/// A network as a file.
pub(crate) fn written(graph: &Graph) -> Vec<u8> {
    lowbit_onnx::write_bytes(graph, &lowbit_onnx::WriteOptions::default()).unwrap()
}
