//! A session allocates when it is made and at its first run, then no more.

use lowbit_runtime::Session;
use std::path::PathBuf;

#[global_allocator]
static HEAP: dhat::Alloc = dhat::Alloc;

#[test]
fn nothing_is_allocated_after_the_first_run() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden/quantized/conv-flatten-chain-u8-s8-channel.onnx");
    let graph = lowbit_onnx::read_file(&path).unwrap();
    let session = Session::new(graph, lowbit_runtime::Options { threads: Some(1), isa: None }).unwrap();

    let samples = vec![0.25; 5 * session.input_len()];
    let mut records = vec![0.0; 5 * session.outputs()[0].len()];
    session.run_into(&samples, &mut records).unwrap();
    let once = records.clone();
    let _profiler = dhat::Profiler::builder().testing().build();
    let before = dhat::HeapStats::get().total_blocks;
    for _ in 0..10 {
        session.run_into(&samples, &mut records).unwrap();
    }
    let blocks = dhat::HeapStats::get().total_blocks - before;
    assert!(blocks <= 1, "{blocks} allocations in 10 runs");
    assert_eq!(records, once);
}
