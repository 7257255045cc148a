//! Networks that take indices: their tables are sites of `quantize`, and every command feeds them whole numbers.

mod program;

use lowbit_graph::ops::{Concat, Gather, Gemm, ReduceMean, Relu, Slice};
use lowbit_graph::{Dim, Graph, Op, ValueId};
use lowbit_tensor::{DType, Data, Tensor};
use program::{done, npy, refused, values, written};

const ITEMS: usize = 300;
const USERS: usize = 100;
const COLUMNS: usize = 16;
const SAMPLES: usize = 200;

/// Four items and a user per sample: the mean of the items' rows beside the user's, and two layers.
fn recommender(users: usize) -> Graph {
    let mut graph = Graph::default();
    let ids = graph.add_input("ids", DType::I64, vec![Dim::Symbol("N".into()), Dim::Known(5)]);
    let table = |graph: &mut Graph, name: &str, rows: usize, seed| {
        let values = values(rows * COLUMNS, seed);
        graph.add_constant(name, Tensor::from_f32([rows, COLUMNS], values))
    };
    let (items, people) = (table(&mut graph, "items", ITEMS, 1), table(&mut graph, "users", users, 2));
    let whole =
        |graph: &mut Graph, name: &str, values: &[i64]| graph.add_constant(name, Tensor::from_i64s(values));
    let [from, to, axis] =
        [("from", 0), ("to", 4), ("axis", 1)].map(|(name, x)| whole(&mut graph, name, &[x]));
    let user_at = graph.add_constant("user_at", Tensor::new(vec![], Data::I64(vec![4])).unwrap());

    let history = graph.add_node("history", Op::Slice(Slice), &[ids, from, to, axis]);
    let bag = graph.add_node("bag", Op::Gather(Gather { axis: 0 }), &[items, history]);
    let mean = graph.add_node(
        "mean",
        Op::ReduceMean(ReduceMean { keepdims: false, noop_with_empty_axes: false }),
        &[bag, axis],
    );
    let user = graph.add_node("user", Op::Gather(Gather { axis: 1 }), &[ids, user_at]);
    let person = graph.add_node("person", Op::Gather(Gather { axis: -2 }), &[people, user]);
    let both = graph.add_node("both", Op::Concat(Concat { axis: 1 }), &[mean, person]);
    let layer = |graph: &mut Graph, name: &str, x: ValueId, [from, to]: [usize; 2], seed| {
        let weight = values(from * to, seed);
        let weight = graph.add_constant(format!("{name}.weight"), Tensor::from_f32([from, to], weight));
        let bias = graph.add_constant(format!("{name}.bias"), Tensor::from_f32([to], values(to, seed + 1)));
        graph.add_node(name, Op::Gemm(Gemm::default()), &[x, weight, bias])
    };
    let hidden = layer(&mut graph, "hidden", both, [2 * COLUMNS, 24], 3);
    let hidden = graph.add_node("relu", Op::Relu(Relu), &[hidden]);
    let scores = layer(&mut graph, "scores", hidden, [24, 5], 5);
    graph.values[scores.0].dtype = Some(DType::F32);
    graph.values[scores.0].shape = Some(vec![Dim::Symbol("N".into()), Dim::Known(5)]);
    graph.outputs = vec![scores];
    graph
}

fn indices(users: usize) -> Vec<i64> {
    let values = values(SAMPLES * 5, 9);
    let index = |(i, x): (usize, &f32)| {
        let rows = if i % 5 == 4 { users } else { ITEMS };
        ((x + 1.0) / 2.0 * rows as f32) as i64 % rows as i64
    };
    values.iter().enumerate().map(index).collect()
}

/// An array of samples.
fn samples(shape: Vec<usize>, data: Data) -> Tensor {
    Tensor::new(shape, data).unwrap()
}

/// A folder with the network and samples of indices.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("float.onnx"), written(&recommender(USERS))).unwrap();
    npy(&folder.path().join("ids.npy"), &samples(vec![SAMPLES, 5], Data::I64(indices(USERS))));
    folder
}

#[test]
fn tables_are_quantized_with_the_layers_and_reported() {
    let folder = folder();
    let at = folder.path();
    for (recipe, bits, row) in [("w8a8", 8, 20), ("w4a8", 4, 12)] {
        let line =
            format!("quantize float.onnx --data ids.npy --recipe {recipe} -o {recipe}.onnx --report r.json");
        let told = done(at, &line);
        assert!(told.contains("Embedding tables") && told.contains("items"), "{told}");
        let report: serde_json::Value =
            serde_json::from_slice(&std::fs::read(at.join("r.json")).unwrap()).unwrap();
        let tables = report["tables"].as_array().unwrap();
        let names: Vec<&str> = tables.iter().map(|t| t["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["items", "users"]);
        assert_eq!(
            (tables[0]["bits"].as_u64(), tables[0]["bytes"].as_u64()),
            (Some(bits), Some(row * ITEMS as u64))
        );
        assert_eq!(tables[0]["float_bytes"].as_u64(), Some(64 * ITEMS as u64));
        let loss = tables[0]["loss"].as_f64().unwrap();
        assert!(loss > 0.0 && loss < 1.0 / (1 << bits) as f64, "{recipe}: {loss}");
        assert!(!report["kept_float"].to_string().contains("\"bag\""), "{}", report["kept_float"]);
        // The tables' error counts: scores are against the float network.
        let sqnr = report["scores"][1]["sqnr_db"].as_f64().unwrap();
        assert!(sqnr > 15.0 && sqnr < 60.0, "{recipe}: {sqnr}");

        let written = lowbit_onnx::read_file(&at.join(format!("{recipe}.onnx"))).unwrap();
        let input = written.value(written.inputs[0]);
        assert_eq!((input.name.as_str(), input.dtype), ("ids", Some(DType::I64)));
        // Codes are written, rows of floats are not.
        assert!(written.find("items").is_none() && written.find("items.decoded").is_none());
        assert!(written.find("items.codes").is_some());
    }
}

#[test]
fn what_is_written_answers_what_was_simulated_in_every_engine() {
    let folder = folder();
    let at = folder.path();
    done(at, "quantize float.onnx --data ids.npy --recipe w4a8 -o small.onnx");
    let scores: serde_json::Value = serde_json::from_str(&done(
        at,
        "evaluate float.onnx small.onnx --data ids.npy --engine simulated,integer --json",
    ))
    .unwrap();
    let agreement = |i: usize| scores[i]["agreement"].as_f64().unwrap();
    assert!(agreement(2) > 85.0, "{scores}");
    assert!((agreement(2) - agreement(3)).abs() <= 2.0, "{scores}");
}

#[test]
fn a_recipe_says_what_becomes_of_tables() {
    let folder = folder();
    let at = folder.path();
    let recipe = |tables: &str| {
        let text = format!(
            "weights.bits = 8\nactivations.bits = 8\nstep = [{{ method = \"minmax\" }}]\n[tables]\n{tables}"
        );
        std::fs::write(at.join("r.toml"), text).unwrap();
    };
    let line = "quantize float.onnx --data ids.npy --recipe r.toml -o o.onnx";
    recipe("method = \"none\"");
    assert!(!done(at, line).contains("Embedding tables"));
    let float = std::fs::metadata(at.join("o.onnx")).unwrap().len();
    recipe("bits = 2\nmethod = \"asym\"");
    assert!(done(at, line).contains("asym"));
    assert!(std::fs::metadata(at.join("o.onnx")).unwrap().len() < float / 2);
    recipe("method = \"kmeans\"");
    let told = refused(at, line);
    assert!(told.contains("tables.method: `kmeans`") && told.contains("greedy"), "{told}");
}

#[test]
fn the_recipe_of_a_search_leaves_tables_alone_as_the_search_did() {
    let folder = folder();
    let at = folder.path();
    done(
        at,
        "search float.onnx --data ids.npy --tuner default --bits 8,4 --no-timing --max-size 1MB -o found.onnx",
    );
    assert!(
        !done(at, "quantize float.onnx --data ids.npy --recipe found.toml -o again.onnx")
            .contains("Embedding")
    );
    let read = |name: &str| std::fs::read(at.join(name)).unwrap();
    assert!(read("found.onnx") == read("again.onnx"), "the recipe makes another network");
}

#[test]
fn what_is_no_index_is_refused() {
    let folder = folder();
    let at = folder.path();
    npy(&at.join("half.npy"), &samples(vec![1, 5], Data::F32(vec![1.0, 2.0, 0.5, 3.0, 1.0])));
    let told = refused(at, "evaluate float.onnx --data half.npy");
    assert!(told.contains("sample 0: 0.5 at 2 of input `ids`"), "{told}");
    npy(&at.join("far.npy"), &samples(vec![1, 5], Data::I64(vec![1, 2, 3, 4, 100])));
    let told = refused(at, "quantize float.onnx --data far.npy -o o.onnx");
    assert!(told.contains("index 100"), "{told}");
    assert!(!at.join("o.onnx").exists());
    let told = refused(at, "train float.onnx --data ids.npy --recipe float -o o.onnx");
    assert!(told.contains("integers"), "{told}");
}

#[test]
fn inspection_names_tables_and_the_input_of_the_file() {
    let folder = folder();
    let told = done(folder.path(), "inspect float.onnx");
    assert!(told.contains("ids: int64[N,5]"), "{told}");
    assert!(told.lines().any(|line| line.contains("bag") && line.contains("table")), "{told}");
    assert!(!told.contains("Cast"), "{told}");
}

#[test]
fn a_table_alone_is_quantized_for_one_index_per_sample() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut graph = Graph::default();
    let ids = graph.add_input("ids", DType::I32, vec![Dim::Symbol("N".into())]);
    // Rows of an odd number of values: 4 bits do not fill bytes.
    let table = graph.add_constant("table", Tensor::from_f32([ITEMS, 7], values(ITEMS * 7, 1)));
    let rows = graph.add_node("rows", Op::Gather(Gather { axis: 0 }), &[table, ids]);
    graph.values[rows.0].dtype = Some(DType::F32);
    graph.values[rows.0].shape = Some(vec![Dim::Symbol("N".into()), Dim::Known(7)]);
    graph.outputs = vec![rows];
    std::fs::write(at.join("float.onnx"), written(&graph)).unwrap();
    let narrow = indices(USERS).iter().map(|&i| i as i32).collect();
    npy(&at.join("ids.npy"), &samples(vec![SAMPLES * 5, 1], Data::I32(narrow)));
    let told = done(at, "quantize float.onnx --data ids.npy --recipe w4a8 -o small.onnx");
    assert!(told.contains("table `table` has 8 bits: 7 columns"), "{told}");
    let scores: serde_json::Value =
        serde_json::from_str(&done(at, "evaluate float.onnx small.onnx --data ids.npy --json")).unwrap();
    assert!(scores[1]["sqnr_db"].as_f64().unwrap() > 45.0, "{scores}");
    let written = lowbit_onnx::read_file(&at.join("small.onnx")).unwrap();
    assert_eq!(written.value(written.inputs[0]).dtype, Some(DType::I32));
}
