//! External data: read from beside the model, and from nowhere else.

use lowbit_onnx::{read_bytes, read_file};
use std::path::{Path, PathBuf};

/// The model of `tests/golden/bad` whose weight lies in `valid-external.bin`.
fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/bad").join(file)
}

fn weight(graph: &lowbit_graph::Graph) -> Vec<f32> {
    graph.constant(graph.find("w").unwrap()).unwrap().to_f32()
}

#[test]
fn elements_are_those_of_the_file_beside() {
    let counted: Vec<f32> = (0u8..12).map(f32::from).collect();
    assert_eq!(weight(&read_file(&golden("valid-external.onnx")).unwrap()), counted);
    let bytes = std::fs::read(golden("valid-external.onnx")).unwrap();
    assert_eq!(weight(&read_bytes(&bytes, Some(&golden(""))).unwrap()), counted);
    let error = read_bytes(&bytes, None).unwrap_err().to_string();
    assert_eq!(error, "initializer `w`: external data: no folder is known to look in");
}

#[cfg(unix)]
#[test]
fn links_lead_to_where_the_model_really_is_and_no_further() {
    use std::os::unix::fs::symlink;
    let (blobs, snapshot) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for file in ["valid-external.onnx", "valid-external.bin"] {
        std::fs::copy(golden(file), blobs.path().join(file)).unwrap();
        symlink(blobs.path().join(file), snapshot.path().join(file)).unwrap();
    }
    assert!(read_file(&snapshot.path().join("valid-external.onnx")).is_ok());

    // The model itself here, its data a link to elsewhere.
    std::fs::remove_file(snapshot.path().join("valid-external.onnx")).unwrap();
    std::fs::copy(golden("valid-external.onnx"), snapshot.path().join("valid-external.onnx")).unwrap();
    let error = read_file(&snapshot.path().join("valid-external.onnx")).unwrap_err().to_string();
    assert!(error.contains("leads out of the model's folder"), "{error}");
}
