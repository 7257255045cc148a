//! Any bytes are a graph or an error; a graph, once written, is read back and written as the same bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lowbit_onnx::{WriteError, WriteOptions, read_bytes, write_bytes};

fuzz_target!(|bytes: &[u8]| {
    let Ok(graph) = read_bytes(bytes, None) else { return };
    let options = WriteOptions::default();
    let once = match write_bytes(&graph, &options) {
        Ok(bytes) => bytes,
        // A file may leave open the type of an output.
        Err(WriteError::Untyped(_)) => return,
        Err(error) => panic!("what was read cannot be written: {error}"),
    };
    let again = read_bytes(&once, None).expect("what was written is read");
    assert_eq!(write_bytes(&again, &options).expect("and written again"), once);
});
