//! SPARQ on networks: its base quantizer, which layers get windows, what recalibration promises, and what files say.

mod common;

use common::{Case, conv, graph, noise, outputs, run};
use lowbit_engine::{Network, evaluate_for_pass};
use lowbit_graph::ops::{Add, Conv, Flatten, Gemm, GlobalAveragePool, Padding, Relu, Window as Kernel};
use lowbit_graph::passes::prepare;
use lowbit_graph::{Graph, Op, ValueId};
use lowbit_onnx::{WriteOptions, read_bytes, write_bytes};
use lowbit_quantize::lower::{Flavour, qdq::qdq};
use lowbit_quantize::methods::sparq::weight_scale;
use lowbit_quantize::run::{Run, Watch};
use lowbit_quantize::simulate::simulate;
use lowbit_quantize::window_use;
use lowbit_quantize::workbench::Workbench;
use lowbit_quantize::{Plan, Recipe, Sites, Target};
use lowbit_tensor::{Code, Tensor, Uniform};
use std::sync::Mutex;

const BASE: &str = "[weights]\nbits = 8\n[activations]\nbits = 8\n[[step]]\nmethod = \"minmax\"\n";

/// A recipe of 8 bits and the step with some options.
fn recipe(options: &str) -> Recipe {
    Recipe::parse("test", &format!("{BASE}[[step]]\nmethod = \"sparq\"\n{options}")).unwrap()
}

/// Keeps the notes.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Watch for Notes {
    fn stage(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }
}

fn planned(case: &Case, recipe: &Recipe) -> (Sites, Plan, Vec<String>) {
    let target = Target::named("onnxruntime").unwrap();
    let sites = case.sites(&target);
    let samples = case.samples();
    let seen = case.observe(&sites, &[case.batch(32, 3)]);
    let notes = Notes::default();
    let lent = Run { samples: Some(&samples), watch: &notes, ..Run::quiet() };
    let (graph, types, sites_ref) = (&case.graph, case.types.as_slice(), &sites);
    let bench =
        Workbench { graph, types, sites: sites_ref, seen: &seen, recipe, target: &target, run: &lent };
    let plan = recipe.run(recipe.start(graph, &sites, &target).unwrap(), &bench).unwrap();
    (sites, plan, notes.0.into_inner().unwrap())
}

/// A 3×3 convolution with a bias, and a ReLU.
fn block(g: &mut Graph, name: &str, x: ValueId, [inputs, outputs]: [usize; 2]) -> ValueId {
    let seed = name.bytes().map(u64::from).sum();
    let w = g.add_constant(format!("{name}.w"), noise(&[outputs, inputs, 3, 3], seed));
    let b = g.add_constant(format!("{name}.b"), noise(&[outputs], seed + 1));
    let window = Kernel { padding: Padding::Explicit(vec![1; 4]), ..Kernel::default() };
    let y = g.add_node(name, Conv { window, group: 1 }, &[x, w, b]);
    g.add_node(format!("{name}.relu"), Relu, &[y])
}

fn classifier(g: &mut Graph, x: ValueId, features: usize) {
    let pooled = g.add_node("pool", GlobalAveragePool, &[x]);
    let flat = g.add_node("flat", Flatten { axis: 1 }, &[pooled]);
    let w = g.add_constant("head.w", noise(&[3, features], 5));
    let y = g.add_node("head", Gemm { trans_b: true, ..Gemm::default() }, &[flat, w]);
    outputs(g, &[y]);
}

/// Layers of every kind: with an input that may be negative, grouped, of an odd number of channels, and two that take
/// windows: one of 3×3, and a 1×1 of an odd number.
fn zoo() -> Case {
    let (mut g, x) = graph(&[3, 6, 6]);
    let a = block(&mut g, "first", x, [3, 4]);
    let b = block(&mut g, "even", a, [4, 4]);
    let sum = g.add_node("sum", Add, &[a, b]);
    let c = conv(&mut g, "grouped", sum, [4, 4, 2]);
    let d = block(&mut g, "negative", c, [4, 5]);
    let e = block(&mut g, "odd", d, [5, 5]);
    let f = conv(&mut g, "pointwise", e, [5, 4, 1]);
    let f = g.add_node("pointwise.relu", Relu, &[f]);
    classifier(&mut g, f, 4);
    Case::new("zoo", g)
}

fn uniform(code: &Option<Code>) -> &Uniform {
    match code {
        Some(Code::Uniform(code)) => code,
        _ => panic!("no uniform code"),
    }
}

#[test]
fn the_base_quantizer_is_that_of_the_worked_example() {
    for (bits, scale, codes) in [(8, 0.003_921_569, [127, -64, 25, -127]), (4, 0.066_666_67, [7, -4, 2, -7])]
    {
        let found = weight_scale(0.5, bits);
        assert_eq!(found, scale);
        let code = Uniform::per_tensor(bits, true, found, 0);
        assert_eq!(code.codes(&[0.5, -0.25, 0.1, -0.5], &[4]), codes);
    }
    // Images whose largest values are 3, 5 and 4.
    let (mut g, x) = graph(&[2, 1, 2]);
    let a = conv(&mut g, "first", x, [2, 2, 1]);
    let a = g.add_node("relu", Relu, &[a]);
    let b = conv(&mut g, "second", a, [2, 2, 1]);
    outputs(&mut g, &[b]);
    let case = Case::new("hand-made", g);
    let target = Target::named("onnxruntime").unwrap();
    let sites = case.sites(&target);
    let mut seen = case.observe(&sites, &[case.batch(3, 1)]);
    let edge = sites.of_value(case.graph.find("relu").unwrap()).unwrap();
    let images = [3.0, 0.0, 1.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0];
    seen.edges[edge] = lowbit_tensor::Statistics::of(&images, 3, (2, 1));
    let plan = case.plan(&sites, &seen, &recipe("recalibrate = false"), &target);
    let code = uniform(&plan.activations[edge].code);
    assert_eq!((code.scale[0], code.zero_point[0]), (0.015_686_275, 0));
    assert_eq!(code.codes(&[0.0, 0.013, 0.5, 1.0, 3.0, 5.1], &[6]), [0, 1, 32, 64, 191, 255]);
}

#[test]
fn windows_are_where_the_paper_has_them_and_others_say_why_not() {
    let case = zoo();
    let named = |plan: &Plan, sites: &Sites| -> Vec<String> {
        plan.windows.keys().map(|&i| sites.weights[i].name.clone()).collect()
    };
    let (sites, plan, notes) = planned(&case, &recipe(""));
    assert_eq!(named(&plan, &sites), ["even", "pointwise"]);
    let kept = |words: &str| {
        notes.iter().find(|note| note.contains(words)).unwrap_or_else(|| panic!("{words}: {notes:?}"))
    };
    assert!(kept("first layers or classifiers").contains("`first`, `head`"));
    assert!(kept("may be negative").contains("`negative`"));
    assert!(kept("grouped").contains("`grouped`"));
    assert!(kept("straddle kernel positions").contains("`odd`"));
    assert!(
        kept("no speed-up")
            .contains("2 layers read their input through 4 bits, shifts 4 3 2 1 0, round, pairs")
    );
    // Alone, each value has its window, however many channels there are.
    let (sites, plan, _) = planned(&case, &recipe("pairs = false"));
    assert_eq!(named(&plan, &sites), ["even", "odd", "pointwise"]);
    let (_, plan, _) = planned(&case, &recipe("window = \"none\""));
    assert!(plan.windows.is_empty());
}

#[test]
fn a_window_belongs_to_its_layer_and_the_addition_reads_all_bits() {
    let case = zoo();
    let (sites, plan, _) = planned(&case, &recipe(""));
    let simulated = simulate(&case.graph, &sites, &plan);
    let node = |name: &str| simulated.nodes.iter().find(|n| n.name == name).unwrap();
    let operand = node("even").input(0).unwrap();
    let window = simulated.nodes.iter().find(|n| n.outputs == [operand]).unwrap();
    assert!(matches!(window.op, Op::BitWindow(_)));
    assert_eq!(node("sum").input(0), window.input(0), "both come from one edge");
    let readers = &simulated.consumers()[&operand];
    assert_eq!(readers.len(), 1);
}

/// Of each channel of some edge of a network, mean and standard deviation over a batch.
fn spreads(graph: &Graph, edge: ValueId, batch: &[Tensor]) -> Vec<[f64; 2]> {
    let mut graph = graph.clone();
    graph.outputs = vec![edge];
    graph.values[edge.0].dtype = Some(lowbit_tensor::DType::F32);
    let y = Network::new(&graph).unwrap().run(batch).unwrap().remove(0);
    let (channels, inner) = (y.shape()[1], y.shape()[2..].iter().product::<usize>());
    let values = y.to_f64();
    let of = |c: usize| {
        let own =
            || values.iter().enumerate().filter(move |(i, _)| i / inner % channels == c).map(|(_, x)| *x);
        let n = own().count() as f64;
        let mean = own().sum::<f64>() / n;
        [mean, (own().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt()]
    };
    (0..channels).map(of).collect()
}

#[test]
fn recalibration_restores_mean_and_spread_and_changes_no_code() {
    let case = zoo();
    let batch = case.batch(32, 3);
    let plans = ["", "recalibrate = false"].map(|options| {
        let (sites, plan, _) =
            planned(&case, &recipe(&format!("window = \"7opt\"\npairs = false\n{options}")));
        (sites, plan)
    });
    let off = |(sites, plan): &(Sites, Plan), name: &str| -> f64 {
        let edge = case.graph.find(name).unwrap();
        let wanted = spreads(&case.graph, edge, &batch);
        let found = spreads(&simulate(&case.graph, sites, plan), edge, &batch);
        let off = |(w, f): (&[f64; 2], &[f64; 2])| ((w[0] - f[0]).abs() + (w[1] - f[1]).abs()) / w[1];
        wanted.iter().zip(&found).map(off).fold(0.0, f64::max)
    };
    for name in ["first", "even", "grouped", "negative", "odd", "pointwise"] {
        let [with, without] = plans.each_ref().map(|plan| off(plan, name));
        assert!(with < 1e-3, "{name}: {with}");
        assert!(with < without, "{name}: {with} {without}");
    }
    for (i, site) in plans[0].0.weights.iter().enumerate() {
        let tensor = case.graph.constant(site.value).unwrap();
        let codes = plans.each_ref().map(|(_, plan)| {
            let values = plan.weights[i].values.clone().unwrap_or_else(|| tensor.to_f32());
            uniform(&plan.weights[i].code).codes(&values, tensor.shape())
        });
        assert_eq!(codes[0], codes[1], "{}", site.name);
    }
}

#[test]
fn every_window_is_written_and_read_back_bit_for_bit() {
    let case = zoo();
    let batch = case.batch(3, 9);
    let mut answers = Vec::new();
    for name in ["5opt", "3opt", "2opt", "6opt", "7opt", "6bit-3opt", "none"] {
        for options in ["", "rounding = \"trim\"", "pairs = false", "rounding = \"trim\"\npairs = false"] {
            let (sites, plan, _) =
                planned(&case, &recipe(&format!("window = \"{name}\"\nrecalibrate = false\n{options}")));
            let simulated = run(&simulate(&case.graph, &sites, &plan), &batch).remove(0).to_f32();
            for (form, flavour) in Flavour::ALL {
                let bytes = write_bytes(
                    &qdq(&case.graph, &sites, &plan, *flavour).unwrap(),
                    &WriteOptions::default(),
                )
                .unwrap();
                let read = prepare(read_bytes(&bytes, None).unwrap(), &evaluate_for_pass).unwrap();
                assert_eq!(run(&read, &batch).remove(0).to_f32(), simulated, "{name} {options} {form}");
            }
            answers.push(simulated);
        }
    }
    let none = answers.split_off(24);
    assert!(none.windows(2).all(|two| two[0] == two[1]));
    assert!(answers.iter().all(|answer| *answer != none[0]));
}

#[test]
fn what_learns_learns_through_windows() {
    let case = zoo();
    let plans = ["", "[[step]]\nmethod = \"brecq\"\niterations = 4\nbatch = 8"].map(|learning| {
        let options = format!("window = \"7opt\"\nrecalibrate = false\n{learning}");
        let (sites, plan, _) = planned(&case, &recipe(&options));
        assert_eq!(plan.windows.len(), 2);
        run(&simulate(&case.graph, &sites, &plan), &case.batch(3, 9)).remove(0)
    });
    assert_ne!(plans[0], plans[1]);
}

#[test]
fn a_plan_with_windows_is_data() {
    let case = zoo();
    let (_, plan, _) = planned(&case, &recipe(""));
    let text = serde_json::to_string(&plan).unwrap();
    assert!(text.contains("4 bits, shifts 4 3 2 1 0, round, pairs"));
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

#[test]
fn use_is_counted_of_the_layers_with_windows() {
    let case = zoo();
    let (sites, plan, _) = planned(&case, &recipe(""));
    let uses = window_use::measure(&case.graph, &sites, &plan, &case.batch(8, 4)).unwrap();
    assert_eq!(uses.keys().collect::<Vec<_>>(), plan.windows.keys().collect::<Vec<_>>());
    for used in uses.values() {
        let all = used.wide_percent + used.shift_percent.iter().sum::<f64>();
        assert!((all - 100.0).abs() < 1e-9 && used.zero_percent > 0.0, "{used:?}");
        assert!(used.flips_of_window > 0.0 && used.flips_of_window <= 4.0 && used.flips_of_8_bits <= 8.0);
    }
}

#[test]
fn slips_are_refused() {
    let case = zoo();
    let target = Target::named("onnxruntime").unwrap();
    let sites = case.sites(&target);
    let seen = case.observe(&sites, &[case.batch(4, 3)]);
    let refusal = |options: &str, run: &Run<'_>| {
        let recipe = recipe(options);
        let (graph, types) = (&case.graph, case.types.as_slice());
        let bench =
            Workbench { graph, types, sites: &sites, seen: &seen, recipe: &recipe, target: &target, run };
        recipe.run(recipe.start(graph, &sites, &target).unwrap(), &bench).unwrap_err().to_string()
    };
    let error = refusal("window = \"4opt\"", &Run::quiet());
    assert!(
        error.contains("window is `4opt`; accepted: 5opt, 3opt, 2opt, 6opt, 7opt, 6bit-3opt, none"),
        "{error}"
    );
    let error = refusal("", &Run::quiet());
    assert!(error.contains("0 calibration samples are too few"), "{error}");
}
