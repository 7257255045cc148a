//! Reading what was written gives the graph that was written.

use lowbit_graph::ops::{Add, Cast, Conv, DequantizeLinear, Identity, Relu, Window};
use lowbit_graph::{Dim, Graph, Node, Op, Value, ValueId};
use lowbit_onnx::{WriteOptions, read_bytes, write_bytes};
use lowbit_tensor::{DType, Data, Tensor};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A graph by names: what is left when the order of the arena does not count.
type Named = (
    BTreeMap<String, Value>,
    Vec<(String, Op, Vec<Option<String>>, Vec<String>)>,
    [Vec<String>; 2],
    BTreeMap<String, String>,
);

fn by_name(graph: &Graph) -> Named {
    let name = |id: &ValueId| graph.value(*id).name.clone();
    let node = |n: &Node| {
        let inputs = n.inputs.iter().map(|i| i.as_ref().map(name)).collect();
        (n.name.clone(), n.op.clone(), inputs, n.outputs.iter().map(name).collect())
    };
    (
        graph.values.iter().map(|v| (v.name.clone(), v.clone())).collect(),
        graph.nodes.iter().map(node).collect(),
        [&graph.inputs, &graph.outputs].map(|ids| ids.iter().map(name).collect()),
        graph.metadata.clone(),
    )
}

/// Any element type, any small shape.
fn constant() -> impl Strategy<Value = Tensor> {
    use DType::*;
    let dtypes = [F32, F64, F16, BF16, I2, U2, I4, U4, I8, U8, I16, U16, I32, U32, I64, U64, Bool];
    (prop::collection::vec(0usize..4, 0..4), prop::sample::select(dtypes.to_vec()), prop::num::i64::ANY)
        .prop_map(|(shape, dtype, seed)| {
            let count = shape.iter().product::<usize>() as i64;
            let codes = (0..count).map(|i| seed.wrapping_mul(i + 1) >> 7).collect();
            Tensor::new(shape, Data::I64(codes)).unwrap().cast(dtype)
        })
}

/// A node as a choice of operator and of inputs among the values so far.
fn grow(graph: &mut Graph, choice: usize, pick: [usize; 3], constant: Tensor) {
    let name = format!("node {}", graph.nodes.len());
    let at = |i: usize| ValueId(pick[i] % graph.values.len());
    let [a, b, c] = [at(0), at(1), at(2)];
    match choice {
        0 => graph.add_node(name, Relu, &[a]),
        1 => graph.add_node(name, Add, &[a, b]),
        2 => graph.add_node(
            name,
            Conv { window: Window { strides: vec![2], ..Window::default() }, group: 3 },
            &[a, b, c],
        ),
        3 => graph.add_node(name, Cast { to: constant.dtype() }, &[a]),
        4 => {
            graph.add_node(name, DequantizeLinear { axis: -1, block_size: 4, output_dtype: None }, &[a, b, c])
        }
        _ => {
            let weight = graph.add_constant(format!("constant {}", graph.values.len()), constant);
            graph.add_node(name, Identity, &[weight])
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn reading_undoes_writing(
        steps in prop::collection::vec((0usize..8, prop::array::uniform3(0usize..100), constant()), 1..12),
        known in 0usize..9,
        note in ".{0,12}",
    ) {
        let mut graph = Graph { name: "random".into(), ..Graph::default() };
        graph.add_input("x", DType::F32, vec![Dim::Symbol("N".into()), Dim::Known(known)]);
        for (choice, pick, constant) in steps {
            grow(&mut graph, choice, pick, constant);
        }
        let last = graph.nodes.last().unwrap().outputs[0];
        graph.values[last.0].dtype = Some(DType::F32);
        graph.outputs.push(last);
        graph.metadata.insert("note".into(), note);

        let read = read_bytes(&write_bytes(&graph, &WriteOptions::default()).unwrap(), None).unwrap();
        prop_assert_eq!(by_name(&read), by_name(&graph));
    }
}
