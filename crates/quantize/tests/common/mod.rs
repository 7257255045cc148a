//! What the tests of this crate share: stored and hand-made networks, seeded samples, the way to a plan.
#![allow(dead_code, reason = "each test binary uses its part")]

use lowbit_engine::{Network, bindings, evaluate_for_pass};
use lowbit_graph::ops::{Add, Conv, Flatten, Gemm, GlobalAveragePool, Relu, Window};
use lowbit_graph::passes::{prepare, specialize};
use lowbit_graph::{Dim, Graph, TensorType, ValueId};
use lowbit_quantize::observe::{Observations, Observer};
use lowbit_quantize::rows::{Budget, Rows};
use lowbit_quantize::run::{Run, Samples};
use lowbit_quantize::workbench::Workbench;
use lowbit_quantize::{Plan, Recipe, Sites, Target, site};
use lowbit_tensor::{Code, DType, Levels, Tensor, Uniform};
use std::path::PathBuf;

/// Recipes of widths that no built-in one has, and of every option that changes what is written.
pub(crate) const MADE_UP: [(&str, &str); 4] = [
    ("three", "[weights]\nbits = 3\n[activations]\nbits = 3\n[[step]]\nmethod = \"mse\""),
    (
        "two",
        "[weights]\nbits = 2\nper = \"tensor\"\n[activations]\nbits = 2\nsymmetric = true\n[[step]]\nmethod = \"percentile\"",
    ),
    (
        "five",
        "[weights]\nbits = 5\nsymmetric = false\n[activations]\nbits = 5\n[[step]]\nmethod = \"minmax\"\n[[step]]\nmethod = \"kl\"",
    ),
    (
        "mixed",
        "[weights]\nbits = 3\n[activations]\nbits = 6\n[[step]]\nmethod = \"bit-allocation\"\nmin_bits = 0\n[[step]]\nmethod = \"minmax\"\n[[step]]\nmethod = \"bias-correction\"\nvariance = true",
    ),
];

/// Every built-in recipe, with few iterations where it learns.
pub(crate) fn built_in() -> Vec<Recipe> {
    let quick = |text: &str| {
        let text = text.replace("method = \"brecq\"", "method = \"brecq\"\niterations = 3\nbatch = 4");
        text.replace("method = \"mixed-precision\"", "method = \"mixed-precision\"\niterations = 2")
    };
    Recipe::built_in().iter().map(|(name, text)| Recipe::parse(name, &quick(text)).unwrap()).collect()
}

/// Seeded values in about [-2, 3], as a tensor.
pub(crate) fn noise(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let uniform = (state >> 40) as f32 / (1u64 << 24) as f32;
        uniform * uniform * 5.0 - 2.0
    };
    Tensor::from_f32(shape, std::iter::repeat_with(next).take(shape.iter().product()).collect())
}

/// A prepared network with its types, and what to feed it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) graph: Graph,
    pub(crate) types: Vec<Option<TensorType>>,
}

impl Case {
    pub(crate) fn new(name: &str, graph: Graph) -> Case {
        let graph = prepare(graph, &evaluate_for_pass).unwrap();
        let (_, types) = specialize(&graph, &bindings(&graph, 1), &evaluate_for_pass).unwrap();
        Case { name: name.to_owned(), graph, types }
    }

    /// The networks kept with the repository.
    pub(crate) fn stored() -> Vec<Case> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let golden = std::fs::read_dir(root.join("tests/golden/networks")).unwrap();
        let mut paths: Vec<PathBuf> = golden.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == "onnx"));
        paths.push(root.join("crates/lowbit/assets/digits.onnx"));
        paths.sort();
        let case = |path: &PathBuf| {
            Case::new(&path.file_stem().unwrap().to_string_lossy(), lowbit_onnx::read_file(path).unwrap())
        };
        paths.iter().map(case).collect()
    }

    /// A batch of `n` samples, if the file leaves that open.
    pub(crate) fn batch(&self, n: usize, seed: u64) -> Vec<Tensor> {
        let of = |&id: &ValueId| {
            let dims = self.graph.value(id).shape.as_ref().unwrap();
            let extent = |dim: &Dim| match dim {
                Dim::Known(d) => *d,
                Dim::Symbol(_) => n,
            };
            noise(&dims.iter().map(extent).collect::<Vec<_>>(), seed)
        };
        self.graph.inputs.iter().map(of).collect()
    }

    pub(crate) fn sites(&self, target: &Target) -> Sites {
        site::find(&self.graph, &self.types, target)
    }

    pub(crate) fn observe(&self, sites: &Sites, batches: &[Vec<Tensor>]) -> Observations {
        let mut observer = Observer::new(&self.graph, sites, lowbit_quantize::observe::Needs::ALL).unwrap();
        batches.iter().for_each(|batch| drop(observer.add(batch).unwrap()));
        observer.finish()
    }

    pub(crate) fn plan(&self, sites: &Sites, seen: &Observations, recipe: &Recipe, target: &Target) -> Plan {
        let plan = recipe.start(&self.graph, sites, target).unwrap();
        let samples = self.samples();
        let (graph, types, run) =
            (&self.graph, self.types.as_slice(), &Run { samples: Some(&samples), ..Run::quiet() });
        recipe.run(plan, &Workbench { graph, types, sites, seen, recipe, target, run }).unwrap()
    }

    /// Seeded samples, as methods are lent them.
    pub(crate) fn samples(&self) -> Samples {
        let input = self.batch(32, 3).swap_remove(0);
        let (shape, values) = (input.shape(), input.to_f32());
        let mut inputs = Rows::new(&Budget::unlimited(), shape[0], values.len() / shape[0].max(1)).unwrap();
        inputs.write(0, &values).unwrap();
        Samples { inputs, shape: shape[1..].to_vec(), labels: None }
    }

    /// Sites and plan of a recipe for a target after calibration on seeded batches.
    pub(crate) fn planned(&self, recipe: &Recipe, target: &Target) -> (Sites, Plan) {
        let sites = self.sites(target);
        let seen = self.observe(&sites, &[self.batch(3, 1), self.batch(4, 2)]);
        let plan = self.plan(&sites, &seen, recipe, target);
        (sites, plan)
    }
}

/// The plan with uneven levels in place of its codes: weights go through `weights` in turn (`-1, 1` and `-1, 0, 1` with a
/// scale per channel, others with one), edges in 2, 3 and 4 bits that crowd around zero.
pub(crate) fn with_levels(case: &Case, sites: &Sites, mut plan: Plan, weights: &[&[i32]]) -> Plan {
    for (i, (site, setting)) in sites.weights.iter().zip(&mut plan.weights).enumerate() {
        let Some(Code::Uniform(code)) = &setting.code else { continue };
        let levels = weights[i % weights.len()];
        let tensor = case.graph.constant(site.value).unwrap();
        let largest = levels.iter().map(|level| level.abs()).max().unwrap() as f32;
        let grid = match site.channel_axis {
            Some(axis) if largest == 1.0 => {
                let channels = tensor.shape()[axis];
                let scale = (0..channels).map(|c| 0.25 + c as f32 / 64.0).collect();
                Uniform { axis: Some(axis), bits: vec![8; channels], scale, ..code.clone() }
            }
            _ => Uniform { axis: None, bits: vec![8], scale: vec![0.9 / largest], ..code.clone() },
        };
        let zero_point = vec![0; grid.scale.len()];
        let grid = Uniform { signed: true, zero_point, shift: None, ..grid };
        // Away from zero, where a binary code has nothing.
        let sign = |w: f32| if w < 0.0 { -1.0 } else { 1.0 };
        if levels == [-1, 1] {
            setting.values = Some(tensor.to_f32().into_iter().map(|w| 9.0 * sign(w)).collect());
        }
        setting.set(Code::Levels(Levels::nearest(grid, levels.to_vec()).unwrap()), "levels");
    }
    for (i, setting) in plan.activations.iter_mut().enumerate() {
        let Some(Code::Uniform(code)) = &setting.code else { continue };
        if code.axis.is_some() {
            continue;
        }
        let half = [1, 3, 7][i % 3];
        let zero = code.zero_point[0];
        let at = |k: i32, reach: i32| reach * k * k.abs() / (half * half);
        let below = (-half..0).map(|k| zero + at(k, zero));
        let above = (0..=half).map(|k| zero + at(k, 255 - zero));
        let mut levels: Vec<i32> = below.chain(above).collect();
        levels.dedup();
        setting.set(Code::Levels(Levels::nearest(code.clone(), levels).unwrap()), "levels");
    }
    plan.follow(sites);
    plan
}

pub(crate) fn run(graph: &Graph, batch: &[Tensor]) -> Vec<Tensor> {
    Network::new(graph).unwrap().run(batch).unwrap()
}

/// A graph with one input `x`: `[N, …]`.
pub(crate) fn graph(sample: &[usize]) -> (Graph, ValueId) {
    let mut graph = Graph::default();
    let dims = std::iter::once(Dim::Symbol("N".into())).chain(sample.iter().map(|&d| Dim::Known(d)));
    let x = graph.add_input("x", DType::F32, dims.collect());
    (graph, x)
}

/// Declares the outputs, float32 of unknown extents.
pub(crate) fn outputs(graph: &mut Graph, outputs: &[ValueId]) {
    for &id in outputs {
        graph.values[id.0].dtype = Some(DType::F32);
    }
    graph.outputs = outputs.to_vec();
}

/// A 1×1 convolution with a bias; `w` and `b` of `outputs` channels in groups.
pub(crate) fn conv(
    graph: &mut Graph,
    name: &str,
    x: ValueId,
    [inputs, outputs, group]: [usize; 3],
) -> ValueId {
    let seed = name.bytes().map(u64::from).sum();
    let w = graph.add_constant(format!("{name}.w"), noise(&[outputs, inputs / group, 1, 1], seed));
    let b = graph.add_constant(format!("{name}.b"), noise(&[outputs], seed + 1));
    graph.add_node(name, Conv { window: Window::default(), group }, &[x, w, b])
}

/// Two residual blocks between a first layer and a classifier.
pub(crate) fn two_blocks() -> Case {
    let (mut g, x) = graph(&[4, 6, 6]);
    let stem = conv(&mut g, "stem", x, [4, 6, 1]);
    let mut x = g.add_node("stem.relu", Relu, &[stem]);
    for block in ["one", "two"] {
        let a = conv(&mut g, &format!("{block}.a"), x, [6, 6, 1]);
        let a = g.add_node(format!("{block}.relu"), Relu, &[a]);
        let b = conv(&mut g, &format!("{block}.b"), a, [6, 6, 1]);
        let sum = g.add_node(format!("{block}.add"), Add, &[b, x]);
        x = g.add_node(format!("{block}.out"), Relu, &[sum]);
    }
    let pooled = g.add_node("pool", GlobalAveragePool, &[x]);
    let flat = g.add_node("flat", Flatten { axis: 1 }, &[pooled]);
    let w = g.add_constant("fc.w", noise(&[6, 5], 17));
    let y = g.add_node("fc", Gemm::default(), &[flat, w]);
    outputs(&mut g, &[y]);
    Case::new("residual", g)
}
