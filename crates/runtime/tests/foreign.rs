//! Files that another tool quantized: the answers are those of ONNX Runtime's integer kernels.

use lowbit_onnx::read_file;
use lowbit_runtime::{Options, Session};
use std::path::PathBuf;

struct Case {
    name: String,
    session: Session,
    input: Vec<f32>,
    outputs: Vec<Vec<f32>>,
}

fn cases() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/quantized");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let case = |path: &PathBuf| {
        let graph = read_file(path).unwrap();
        let stored = |kind: &str, id: lowbit_graph::ValueId| {
            let id = graph.find(&format!("test.{kind}.{}", graph.value(id).name)).unwrap();
            graph.constant(id).unwrap().to_f32()
        };
        let input = stored("input", graph.inputs[0]);
        let outputs = graph.outputs.iter().map(|&id| stored("output", id)).collect();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let session = Session::new(graph.clone(), Options::default()).unwrap();
        Case { name, session, input, outputs }
    };
    paths.iter().map(case).collect()
}

#[test]
fn answers_are_those_of_onnx_runtime() {
    let cases = cases();
    assert!(cases.len() >= 12);
    for case in &cases {
        for (found, expected) in case.session.run_all(&case.input).unwrap().iter().zip(&case.outputs) {
            let off = found.iter().zip(expected).filter(|(a, b)| a != b).count();
            let reach = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            let largest = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            println!("{}: {off} of {} differ, by up to {largest} of {reach}", case.name, expected.len());
            // A tie that the two round to different sides moves later codes by one here and there.
            assert!(largest <= 0.03 * reach, "{}: {largest} of {reach}", case.name);
            assert!(off * 10 <= expected.len(), "{}: {off} of {} differ", case.name, expected.len());
        }
    }
}

#[test]
fn layers_run_on_integers_where_their_weights_are_signed() {
    // Unsigned weights have a zero point of their own: those layers stay float.
    for case in cases().into_iter().filter(|case| !case.name.contains("u8-u8")) {
        let steps = case.session.steps();
        let layers = steps.iter().filter(|s| s.weight_bytes > 0).count();
        assert!(layers >= 4, "{}: {layers} layers on integers, {:?}", case.name, case.session.left());
    }
}
