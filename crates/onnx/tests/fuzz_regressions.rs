//! Files that fuzzing found: each once broke the claim that any bytes are an error, or a graph that is written and
//! read back as itself.

use lowbit_onnx::{WriteOptions, read_bytes, write_bytes};
use std::path::Path;

#[test]
fn found_files_keep_the_claim() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz_regressions");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(graph) = read_bytes(&std::fs::read(&path).unwrap(), None) else { continue };
        let Ok(once) = write_bytes(&graph, &WriteOptions::default()) else { continue };
        let again = read_bytes(&once, None).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(write_bytes(&again, &WriteOptions::default()).unwrap(), once, "{}", path.display());
    }
}
