//! The stored models of `tests/golden` (see `scripts/op_goldens.py`): what must be read, and what must be refused.

use lowbit_graph::Graph;
use lowbit_graph::passes::specialize;
use lowbit_onnx::{WriteOptions, read_bytes, read_file, write_bytes};
use std::path::{Path, PathBuf};

fn golden(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(folder)
}

fn models(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no models in {}", folder.display());
    files
}

/// Writing what was read, and reading that, must change nothing more.
fn assert_fixed_point(path: &Path, graph: &Graph) {
    let write = |g: &Graph| write_bytes(g, &WriteOptions::default());
    let once = write(graph).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let again = read_bytes(&once, None).unwrap_or_else(|e| panic!("{} rewritten: {e}", path.display()));
    assert_eq!(write(&again).unwrap(), once, "{}", path.display());
}

#[test]
fn every_operator_case_and_network_is_read_and_rewritten() {
    let mut refused = Vec::new();
    for path in models(&golden("ops")).into_iter().chain(models(&golden("networks"))) {
        match read_file(&path) {
            Ok(graph) => assert_fixed_point(&path, &graph),
            Err(error) => refused.push(error.to_string()),
        }
    }
    assert!(refused.is_empty(), "{} refused:\n{}", refused.len(), refused.join("\n"));
}

#[test]
fn the_test_values_of_a_case_are_constants_of_the_graph() {
    let graph = read_file(&golden("ops/add-same.onnx")).unwrap();
    for name in ["test.input.in0", "test.input.in1", "test.output.out0"] {
        assert!(graph.find(name).is_some_and(|id| graph.constant(id).is_some()), "{name}");
    }
    assert!(graph.metadata.contains_key("test.oracle"));
}

/// Words of the error for each damaged file; `None` where the damage is not the reader's to see.
const WORDS: &[(&str, Option<&str>)] = &[
    ("cyclic", Some("not acyclic")),
    ("deeply-nested", Some("recursion limit")),
    ("duplicate-initializer", Some("`w` is produced twice")),
    ("duplicate-outputs", Some("`r` is produced twice")),
    ("empty", Some("no graph")),
    ("external-absolute", Some("must be a path inside the model's folder")),
    ("external-escapes", Some("must be a path inside the model's folder")),
    ("external-length", Some("take 48 bytes, found 40")),
    ("external-missing", Some("`nowhere.bin`")),
    ("external-short", Some("has 48 bytes, too few for 48 from byte 16")),
    ("float-data-count", Some("12 entries of `float_data`, found 11")),
    ("huge-dims", Some("found 16")),
    ("huge-dims-overflow", Some("negative or too large")),
    ("int4-length", Some("take 5 bytes, found 4")),
    ("ir-too-new", Some("IR version 999 is not supported")),
    ("length-beyond-file", Some("not an ONNX model")),
    ("missing-input", Some("node `fc` (MatMul): reads `nowhere`")),
    ("missing-output", Some("nothing produces the output `nowhere`")),
    ("negative-dims", Some("negative or too large")),
    ("no-data", Some("found 0")),
    ("no-graph", Some("no graph")),
    ("no-opset", Some("no version of the default operator set")),
    ("opset-too-new", Some("opset 999 is not supported (accepted: 7 to 25)")),
    ("opset-too-old", Some("opset 1 is not supported")),
    ("random-bytes", Some("not an ONNX model")),
    ("raw-data-length", Some("take 48 bytes, found 47")),
    ("sparse-constant", Some("attribute `sparse_value` is a sparse tensor")),
    ("string-constant", Some("constants of strings")),
    ("string-tensor", Some("element type string")),
    ("text", Some("not an ONNX model")),
    ("truncated", Some("not an ONNX model")),
    ("unknown-attribute", Some("node `soft` (Softmax): unknown attribute(s) `axes`")),
    ("unknown-domain", Some("com.example.custom")),
    ("unknown-dtype", Some("element type number 99")),
    (
        "unknown-ops",
        Some(
            "3 nodes need an operator that is not supported: `act` (Frobnicate, ai.onnx 17), `boxes` (NonMax",
        ),
    ),
    ("valid", None),
    ("valid-external", None),
    ("wrong-attribute-type", Some("attribute `axis` must be an integer")),
    // Shape inference sees these, once symbolic extents are numbers.
    ("wrong-dtype", None),
    ("wrong-shape", None),
];

#[test]
fn damaged_files_are_refused_with_the_place() {
    let mut wrong = Vec::new();
    for path in models(&golden("bad")) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let words =
            WORDS.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("{name} is not in the list")).1;
        match (read_file(&path), words) {
            (Ok(graph), None) => assert_fixed_point(&path, &graph),
            (Err(error), Some(words)) => {
                let message = error.to_string();
                if !message.contains(words) || !message.contains(name) {
                    wrong.push(format!("{name}: {message}"));
                }
            }
            (Ok(_), Some(_)) => wrong.push(format!("{name} was read")),
            (Err(error), None) => wrong.push(format!("{name} was refused: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn operands_that_do_not_fit_are_left_to_shape_inference() {
    let batch = [("N".to_owned(), 2)].into();
    for name in ["wrong-dtype", "wrong-shape"] {
        let graph = read_file(&golden("bad").join(name).with_extension("onnx")).unwrap();
        let error = specialize(&graph, &batch, &|op, _| Err(op.name().into())).unwrap_err().to_string();
        assert!(error.contains("`fc`"), "{error}");
    }
}

#[test]
fn a_bit_flipped_or_a_tail_cut_is_an_error_or_a_graph_but_never_a_panic() {
    let bytes = std::fs::read(golden("bad/valid.onnx")).unwrap();
    for cut in 0..bytes.len() {
        let _ = read_bytes(&bytes[..cut], None);
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[cut] ^= 1 << bit;
            if let Ok(graph) = read_bytes(&flipped, None) {
                let _ = write_bytes(&graph, &WriteOptions::default());
            }
        }
    }
}
