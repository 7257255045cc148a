//! Multipoint on networks: what it measures, what it promises, and that files compute what was simulated.

mod common;

use common::{Case, conv, graph, noise, outputs, run};
use lowbit_engine::evaluate_for_pass;
use lowbit_graph::ops::{Conv, ConvTranspose, Gemm, MatMul, Padding, Window};
use lowbit_graph::passes::prepare;
use lowbit_graph::{Graph, Op, ValueId};
use lowbit_onnx::{WriteOptions, read_bytes, write_bytes};
use lowbit_quantize::lower::{Flavour, qdq::qdq};
use lowbit_quantize::method::MethodError;
use lowbit_quantize::methods::multipoint::inputs::{Cut, Inputs, collect};
use lowbit_quantize::methods::multipoint::search::{Fit, extend, residual};
use lowbit_quantize::rows::{Budget, Rows};
use lowbit_quantize::run::{Run, Samples};
use lowbit_quantize::simulate::{decoded_weight, simulate};
use lowbit_quantize::workbench::{Workbench, channel};
use lowbit_quantize::{Plan, Recipe, Sites, Target};
use lowbit_tensor::{Code, Points, Tensor};

/// Calibration rows and channels of the worked example.
const ROWS: [[f32; 6]; 4] = [
    [1.0, 0.5, -0.3, 0.8, 0.0, 0.2],
    [0.2, 1.5, 0.4, 0.1, 0.9, 0.0],
    [0.0, 0.3, 1.2, 0.5, 0.4, 0.7],
    [0.6, 0.0, 0.0, 1.1, 0.3, 0.9],
];
const A: [f64; 6] = [0.90, -0.35, 0.10, 0.62, -0.77, 0.28];
const B: [f64; 6] = [0.05, 0.02, -0.04, 0.06, 0.01, -0.03];
const C: [f64; 6] = [0.5, 0.5, -0.5, 0.5, 0.0, -0.5];

fn lent(input: &Tensor) -> Samples {
    let (shape, values) = (input.shape(), input.to_f32());
    let mut inputs = Rows::new(&Budget::unlimited(), shape[0], values.len() / shape[0]).unwrap();
    inputs.write(0, &values).unwrap();
    Samples { inputs, shape: shape[1..].to_vec(), labels: None }
}

/// A network of one product of `x` and `weight`, and what its weight reads on `input`.
fn seen(input: &Tensor, op: impl Into<Op>, weight: Tensor) -> (Case, Cut, Inputs) {
    let (mut g, x) = graph(&input.shape()[1..]);
    let w = g.add_constant("w", weight);
    let y = g.add_node("product", op, &[x, w]);
    outputs(&mut g, &[y]);
    let case = Case::new("product", g);
    let sites = case.sites(&Target::named("onnxruntime").unwrap());
    let cut = Cut::new(&case.graph, &case.types, &sites.weights[0]).unwrap();
    let samples = lent(input);
    let inputs =
        collect(&case.graph, std::slice::from_ref(&cut), &samples, samples.len(), 1, 7).unwrap().remove(0);
    (case, cut, inputs)
}

/// Greedy points with codes in `-L..=L`.
fn greedy(w: &[f64], bits: u32, n: usize) -> Vec<Fit> {
    let top = (1 << (bits - 1)) - 1;
    let mut points = Vec::new();
    extend(w, &mut points, [-top, top], n);
    points
}

#[test]
fn output_errors_of_the_worked_example() {
    let input = Tensor::from_f32([4, 6], ROWS.concat());
    let (_, _, inputs) = seen(&input, MatMul, noise(&[6, 3], 1));
    let cases: [(u32, [f64; 6], &[f64]); 6] = [
        (2, A, &[7.342e-2, 1.717e-2, 1.597e-3, 5.377e-5]),
        (2, B, &[1.289e-3, 2.612e-5, 0.0]),
        (2, C, &[0.0]),
        (3, A, &[8.803e-3, 1.117e-4, 4.628e-6]),
        (3, B, &[2.931e-5, 7.932e-7, 2.356e-9]),
        (3, C, &[0.0]),
    ];
    for (bits, w, expected) in cases {
        let points = greedy(&w, bits, expected.len());
        for (n, expected) in expected.iter().enumerate() {
            let found = inputs.mean_square(0, &residual(&w, &points[..=n]));
            assert!((found - expected).abs() <= 6e-4 * expected + 1e-12, "{bits} bits, {n}: {found}");
        }
    }
}

#[test]
fn the_error_on_one_input_need_not_fall() {
    let x = ROWS[0].map(f64::from);
    let points = greedy(&A, 3, 3);
    let dots: Vec<f64> =
        points.iter().map(|p| p.codes.iter().zip(x).map(|(&q, x)| f64::from(q) * x).sum()).collect();
    let partial = points.iter().zip(&dots).scan(0.0, |sum, (p, dot)| {
        *sum += p.step * dot;
        Some(*sum)
    });
    for (found, expected) in dots.iter().zip([4.3, -0.1, 2.4]) {
        assert!((found - expected).abs() < 1e-6);
    }
    for (found, expected) in partial.zip([1.23266667, 1.22940278, 1.24654563]) {
        assert!((found - expected).abs() < 1e-7, "{found}");
    }
    let float: f64 = A.iter().zip(x).map(|(w, x)| w * x).sum();
    assert!((float - 1.247).abs() < 1e-7);
}

/// Mean square of each output channel, which are axis `axis`.
fn mean_squares(y: &Tensor, axis: usize) -> Vec<f64> {
    let (shape, values) = (y.shape(), y.to_f32());
    let inner: usize = shape[axis + 1..].iter().product();
    let mut sums = vec![0.0; shape[axis]];
    values.iter().enumerate().for_each(|(i, y)| sums[i / inner % shape[axis]] += f64::from(*y).powi(2));
    sums.iter().map(|s| s * shape[axis] as f64 / values.len() as f64).collect()
}

/// The mean square output that a weight of noise makes, by the moments of its input and by running it.
fn agrees(what: &str, input: &[usize], op: impl Into<Op>, weight: &[usize], axis: usize) {
    let (input, weight) = (noise(input, 3), noise(weight, 4));
    let (case, cut, inputs) = seen(&input, op, weight.clone());
    let y = run(&case.graph, &[input]).remove(0);
    let channels = weight.shape()[axis];
    let output_axis = if y.shape().len() == input_rank(&case) && axis == 0 { 1 } else { y.shape().len() - 1 };
    for (c, expected) in mean_squares(&y, output_axis).into_iter().enumerate() {
        let w: Vec<f64> = channel(&weight.to_f32(), weight.shape(), axis, c).map(f64::from).collect();
        let found = inputs.mean_square(c * cut.groups / channels, &w);
        assert!((found / expected - 1.0).abs() < 1e-5, "{what}, channel {c}: {found} {expected}");
        let (sum, n) =
            (channel(&y.to_f32(), y.shape(), output_axis, c).map(f64::from).sum::<f64>(), y.len() / channels);
        let mean = sum / n as f64;
        let found = inputs.variance(c * cut.groups / channels, &w);
        assert!((found - (expected - mean * mean)).abs() < 1e-5 * expected, "{what}, channel {c}: {found}");
    }
}

fn input_rank(case: &Case) -> usize {
    case.types[case.graph.inputs[0].0].as_ref().unwrap().shape.len()
}

#[test]
fn second_moments_tell_what_the_layer_would_put_out() {
    let window = |strides: &[usize], dilations: &[usize], pads: &[usize]| Window {
        strides: strides.to_vec(),
        dilations: dilations.to_vec(),
        padding: Padding::Explicit(pads.to_vec()),
    };
    let plain = || Window::default();
    agrees("1×1", &[4, 5, 7, 7], Conv { window: plain(), group: 1 }, &[3, 5, 1, 1], 0);
    let padded = window(&[2, 1], &[1, 2], &[1, 2, 0, 1]);
    agrees("padded, strided, dilated", &[3, 4, 9, 8], Conv { window: padded, group: 1 }, &[6, 4, 3, 3], 0);
    agrees("groups", &[3, 6, 6, 6], Conv { window: plain(), group: 3 }, &[6, 2, 3, 3], 0);
    agrees(
        "depthwise",
        &[3, 6, 6, 6],
        Conv { window: window(&[], &[], &[1; 4]), group: 6 },
        &[6, 1, 3, 3],
        0,
    );
    agrees("one axis", &[3, 4, 20], Conv { window: plain(), group: 1 }, &[5, 4, 3], 0);
    agrees("rows", &[5, 6], Gemm { trans_b: true, ..Gemm::default() }, &[3, 6], 0);
    agrees("columns", &[5, 6], Gemm::default(), &[6, 3], 1);
    agrees("tokens", &[3, 7, 6], MatMul, &[6, 4], 1);
    // Fewer patches than values in one: kept as they are.
    agrees("few patches", &[4, 90], MatMul, &[90, 3], 1);
}

#[test]
fn large_pictures_are_read_at_a_spread_of_positions() {
    let input = noise(&[6, 2, 40, 40], 5);
    let weight = noise(&[3, 2, 3, 3], 6);
    let op = Conv { window: Window::default(), group: 1 };
    let (case, _, inputs) = seen(&input, op, weight.clone());
    let y = run(&case.graph, &[input]).remove(0);
    for (c, expected) in mean_squares(&y, 1).into_iter().enumerate() {
        let w: Vec<f64> = weight.to_f32()[c * 18..][..18].iter().map(|&w| w.into()).collect();
        let found = inputs.mean_square(0, &w);
        assert!((found / expected - 1.0).abs() < 0.25, "{found} {expected}");
    }
}

/// Two wide convolutions, one of them in groups, and a product: large enough that every width pays.
fn wide() -> Case {
    let (mut g, x) = graph(&[8, 6, 6]);
    let y = conv(&mut g, "first", x, [8, 64, 1]);
    let w = g.add_constant("middle.w", noise(&[64, 64, 3, 3], 11));
    let y = g.add_node("middle", Conv { window: Window::default(), group: 1 }, &[y, w]);
    let w = g.add_constant("groups.w", noise(&[64, 8, 3, 3], 12));
    let b = g.add_constant("groups.b", noise(&[64], 13));
    let y = g.add_node("groups", Conv { window: Window::default(), group: 8 }, &[y, w, b]);
    let y = conv(&mut g, "last", y, [64, 8, 1]);
    outputs(&mut g, &[y]);
    Case::new("wide", g)
}

const STEPS: &str = "[[step]]\nmethod = \"mse\"\n[[step]]\nmethod = \"multipoint\"\n";

/// A recipe of 3-bit weights with these tables and options of the step.
fn recipe(tables: &str, options: &str) -> Recipe {
    Recipe::parse("test", &format!("{tables}{STEPS}{options}")).unwrap()
}

fn planned(case: &Case, recipe: &Recipe) -> (Sites, Plan) {
    case.planned(recipe, &Target::named("onnxruntime").unwrap())
}

fn points(plan: &Plan) -> Vec<&Points> {
    plan.weights
        .iter()
        .filter_map(|s| match &s.code {
            Some(Code::Points(points)) => Some(points),
            _ => None,
        })
        .collect()
}

const W3: &str = "[weights]\nbits = 3\n";
const W3_TENSOR: &str = "[weights]\nbits = 3\nper = \"tensor\"\n";
const W3A8: &str = "[weights]\nbits = 3\nfirst_last_bits = 8\n[activations]\nbits = 8\n";

#[test]
fn what_is_written_is_what_was_simulated() {
    let mixed = "[weights]\nbits = 3\n[[step]]\nmethod = \"bit-allocation\"\nmin_bits = 0\nmax_bits = 4\n";
    let two = "[weights]\nbits = 2\n[activations]\nbits = 8\n";
    let recipes = [
        ("float sums", recipe(W3, "max_points = 3\naverage_bits = 5")),
        ("integer sums", recipe(W3A8, "average_bits = 4")),
        ("few", recipe(W3A8, "average_bits = 3.1\nfirst = \"kept\"")),
        ("one scale", recipe(W3_TENSOR, "refit = true")),
        ("best for the weights", recipe(W3A8, "first = \"weights\"\nerror = \"variance\"")),
        ("one of those", recipe(W3_TENSOR, "first = \"weights\"")),
        ("two bits", recipe(two, "max_relative_error = 0.001")),
        ("mixed", recipe(mixed, "first = \"kept\"")),
    ];
    let stored =
        Case::stored().into_iter().filter(|c| ["digits", "mobile"].iter().any(|n| c.name.contains(n)));
    for case in stored.chain([wide()]) {
        let batch = case.batch(3, 9);
        for (what, recipe) in &recipes {
            let (sites, plan) = planned(&case, recipe);
            assert!(!points(&plan).is_empty(), "{}, {what}", case.name);
            let simulated = run(&simulate(&case.graph, &sites, &plan), &batch);
            for (form, flavour) in Flavour::ALL {
                let lowered = qdq(&case.graph, &sites, &plan, *flavour).unwrap();
                let bytes = write_bytes(&lowered, &WriteOptions::default()).unwrap();
                let read = prepare(read_bytes(&bytes, None).unwrap(), &evaluate_for_pass).unwrap();
                assert_eq!(run(&read, &batch), simulated, "{}, {what}, {form}", case.name);
            }
        }
    }
}

/// Names of the operators of a lowered network.
fn operators(case: &Case, sites: &Sites, plan: &Plan, flavour: Flavour) -> Vec<String> {
    let lowered = qdq(&case.graph, sites, plan, flavour).unwrap();
    lowered.nodes.iter().map(|n| n.op.name().to_owned()).collect()
}

#[test]
fn terms_are_written_where_they_are_smaller_than_their_sum() {
    let case = wide();
    let (sites, plan) = planned(&case, &recipe(W3A8, "average_bits = 4\nmax_points = 2"));
    let gathers = |flavour: Flavour| {
        let names = operators(&case, &sites, &plan, flavour);
        names.iter().filter(|n| *n == "Gather").count()
    };
    assert_eq!(points(&plan).len(), 2);
    // One of the layers is too small; int8 containers hold sums as they are.
    assert_eq!([Flavour::Textbook, Flavour::Qonnx].map(gathers), [2, 2]);
    assert!(gathers(Flavour::Packed) >= 1);
    assert_eq!(gathers(Flavour::Container), 0);
}

/// Every term as filters of its own, whose outputs are scaled and added: what the sum of weights must equal.
#[test]
fn a_sum_of_weights_is_a_sum_of_filters() {
    let case = wide();
    let (sites, plan) = planned(&case, &recipe(W3, "max_relative_error = 0.001"));
    for (name, group) in [("middle", 1), ("groups", 8)] {
        let i = sites.weights.iter().position(|s| s.name == name).unwrap();
        let Some(Code::Points(code)) = &plan.weights[i].code else {
            panic!("{name} has one point per channel")
        };
        let shape = case.graph.constant(sites.weights[i].value).unwrap().shape().to_vec();
        let input = noise(&[2, shape[1] * group, 5, 5], 1);
        let output = |weight: Tensor| {
            let (mut g, x) = graph(&input.shape()[1..]);
            let w = g.add_constant("w", weight);
            let y = g.add_node("y", Conv { window: Window::default(), group }, &[x, w]);
            outputs(&mut g, &[y]);
            run(&g, std::slice::from_ref(&input)).remove(0)
        };
        let whole = output(Tensor::from_f32(
            shape.as_slice(),
            decoded_weight(&case.graph, &sites, &plan, i).unwrap(),
        ));
        let float = case.graph.constant(sites.weights[i].value).unwrap().to_f32();
        let values = plan.weights[i].values.clone().unwrap_or(float);
        let mut sum = vec![0.0; whole.len()];
        let per = whole.len() / 2 / shape[0];
        for n in 0..=code.extra.iter().map(Vec::len).max().unwrap() {
            let len = shape[1..].iter().product::<usize>();
            let codes: Vec<f32> = match n {
                0 => code.first.codes(&values, &shape).into_iter().map(|q| q as f32).collect(),
                _ => (code.extra.iter())
                    .flat_map(|extra| match extra.get(n - 1) {
                        Some(point) => point.codes.iter().map(|&q| f32::from(q)).collect(),
                        None => vec![0.0; len],
                    })
                    .collect(),
            };
            let scale = |c: usize| match n {
                0 => code.first.scale[c],
                _ => code.extra[c].get(n - 1).map_or(0.0, |p| p.scale),
            };
            let term = output(Tensor::from_f32(shape.as_slice(), codes)).to_f32();
            let scaled = term.iter().enumerate().map(|(j, y)| y * scale(j / per % shape[0]));
            sum.iter_mut().zip(scaled).for_each(|(s, y)| *s += y);
        }
        let largest = sum.iter().fold(0f32, |m, y| m.max(y.abs()));
        for (s, y) in sum.iter().zip(whole.to_f32()) {
            assert!((s - y).abs() <= 1e-5 * largest, "{name}: {s} {y}");
        }
    }
}

/// Output errors of all layers of a plan, as shares of the layers' outputs, on what the layers read.
fn lost(case: &Case, sites: &Sites, plan: &Plan) -> f64 {
    let cuts: Vec<Cut> =
        sites.weights.iter().map(|s| Cut::new(&case.graph, &case.types, s).unwrap()).collect();
    let samples = case.samples();
    let inputs = collect(&case.graph, &cuts, &samples, samples.len(), 1, 0).unwrap();
    let of = |(i, inputs): (usize, &Inputs)| -> f64 {
        let float = case.graph.constant(sites.weights[i].value).unwrap();
        let decoded = decoded_weight(&case.graph, sites, plan, i).unwrap_or_else(|| float.to_f32());
        let float = float.to_f32();
        let (channels, len) = (float.len() / cuts[i].len, cuts[i].len);
        let squares = |values: &[f64]| -> f64 {
            (0..channels)
                .map(|c| inputs.mean_square(c * cuts[i].groups / channels, &values[c * len..][..len]))
                .sum()
        };
        let w: Vec<f64> = float.iter().map(|&w| w.into()).collect();
        let error: Vec<f64> = w.iter().zip(&decoded).map(|(w, q)| w - f64::from(*q)).collect();
        squares(&error) / squares(&w)
    };
    inputs.iter().enumerate().map(of).sum()
}

#[test]
fn a_budget_is_kept_and_more_of_it_leaves_less_error() {
    let case = wide();
    let mut before = f64::INFINITY;
    for budget in [3.0, 3.1, 3.5, 4.0, 5.0] {
        for tables in [W3, W3_TENSOR, W3A8] {
            let (sites, plan) = planned(&case, &recipe(tables, &format!("average_bits = {budget:?}")));
            let (mut weights, mut bits) = (0, 0.0);
            for (site, setting) in sites.weights.iter().zip(&plan.weights).filter(|(_, s)| s.bits == [3]) {
                let shape = case.graph.constant(site.value).unwrap().shape();
                let n: usize = shape.iter().product();
                weights += n;
                bits += match setting.code.as_ref().unwrap() {
                    Code::Points(code) => (code.stored_bits(shape) - 32 * code.first.scale.len()) as f64,
                    _ => 3.0 * n as f64,
                };
            }
            let average = bits / weights as f64;
            assert!(average <= budget && average > budget - 0.1, "{budget}: {average}");
            if tables == W3 {
                let error = lost(&case, &sites, &plan);
                assert!(error < before, "{budget}: {error} {before}");
                before = error;
            }
        }
    }
}

#[test]
fn thresholds_are_reached_and_a_lower_one_takes_no_point_away() {
    let case = wide();
    let mut before = 0;
    for threshold in [1.0, 0.01, 0.001, 1e-6] {
        let (_, plan) = planned(&case, &recipe(W3, &format!("max_relative_error = {threshold:?}")));
        let extras: usize = points(&plan).iter().map(|p| p.extras()).sum();
        assert!(extras >= before, "{threshold}");
        before = extras;
    }
    assert!(before > 100);
    let (_, plan) = planned(&case, &recipe(W3, "max_error = 1e9"));
    assert!(points(&plan).is_empty());
}

#[test]
fn kept_first_points_are_those_of_the_step_before() {
    let case = wide();
    let plain = Recipe::parse("test", &format!("{W3A8}[[step]]\nmethod = \"mse\"")).unwrap();
    let (_, plain) = planned(&case, &plain);
    let (sites, plan) = planned(&case, &recipe(W3A8, "first = \"kept\""));
    assert!(!points(&plan).is_empty());
    for (setting, plain) in plan.weights.iter().zip(&plain.weights) {
        match (setting.code.as_ref().unwrap(), plain.code.as_ref().unwrap()) {
            (Code::Points(points), Code::Uniform(code)) => assert_eq!(&points.first, code),
            (code, plain) => assert_eq!(code, plain),
        }
    }
    assert!(lost(&case, &sites, &plan) < lost(&case, &sites, &plain));
}

#[test]
fn one_scale_for_the_tensor_stays_one() {
    let case = wide();
    let (_, plan) = planned(&case, &recipe(W3_TENSOR, ""));
    assert!(points(&plan).iter().all(|p| p.first.axis.is_none() && p.first.scale.len() == 1));
}

#[test]
fn a_plan_is_the_same_for_any_number_of_threads_and_after_a_file() {
    let case = wide();
    let recipe = recipe(W3A8, "average_bits = 3.7\nrefit = true");
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| planned(&case, &recipe).1)
    };
    let plan = with(1);
    assert_eq!(plan, with(3));
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

#[test]
fn layers_whose_output_is_no_product_of_patches_keep_the_code_they_have() {
    let (mut g, x) = graph(&[4, 3, 3]);
    let w = g.add_constant("w", noise(&[4, 3, 2, 2], 1));
    let op =
        ConvTranspose { window: Window::default(), group: 1, output_padding: vec![], output_shape: vec![] };
    let y = g.add_node("up", op, &[x, w]);
    let y = conv(&mut g, "after", y, [3, 4, 1]);
    outputs(&mut g, &[y]);
    let (_, plan) = planned(&Case::new("up", g), &recipe(W3, "average_bits = 8"));
    assert_eq!(plan.weights[0].set_by, ["mse"]);
    assert_eq!(plan.weights[1].set_by, ["mse", "multipoint"]);
}

#[test]
fn channels_of_zeros_and_exact_ones_keep_one_point() {
    let (mut g, x) = graph(&[3, 2, 2]);
    let w = vec![0.0, 0.0, 0.0, 0.75, -0.5, 0.25, 0.31, -0.77, 0.9];
    let w = g.add_constant("w", Tensor::from_f32([3, 3, 1, 1], w));
    let y = g.add_node("a", Conv { window: Window::default(), group: 1 }, &[x, w]);
    outputs(&mut g, &[y]);
    let case = Case::new("zeros", g);
    let (sites, plan) = planned(&case, &recipe(W3, "max_error = 0.0"));
    let lens: Vec<usize> = points(&plan)[0].extra.iter().map(Vec::len).collect();
    assert_eq!((lens[0], lens[1]), (0, 0));
    assert!(lens[2] > 0);
    assert_eq!(
        decoded_weight(&case.graph, &sites, &plan, 0).unwrap()[..6],
        [0.0, 0.0, 0.0, 0.75, -0.5, 0.25]
    );
}

fn refused(graph: Graph, recipe: &str, samples: Option<&Samples>) -> MethodError {
    let case = Case::new("refused", graph);
    let recipe = Recipe::parse("test", recipe).unwrap();
    let target = Target::named("onnxruntime").unwrap();
    let sites = case.sites(&target);
    let seen = case.observe(&sites, &[case.batch(3, 1)]);
    let run = Run { samples, ..Run::quiet() };
    let bench = Workbench {
        graph: &case.graph,
        types: &case.types,
        sites: &sites,
        seen: &seen,
        recipe: &recipe,
        target: &target,
        run: &run,
    };
    recipe.run(recipe.start(&case.graph, &sites, &target).unwrap(), &bench).unwrap_err()
}

#[test]
fn what_cannot_be_done_is_said() {
    let network = || {
        let (mut g, x): (Graph, ValueId) = graph(&[4, 3, 3]);
        let a = conv(&mut g, "a", x, [4, 4, 1]);
        outputs(&mut g, &[a]);
        g
    };
    let samples = lent(&noise(&[3, 4, 3, 3], 1));
    let with = |text: &str| refused(network(), text, Some(&samples)).to_string();
    let step = "[[step]]\nmethod = \"multipoint\"\n";
    let none = refused(network(), &format!("{W3}{step}"), None);
    assert!(matches!(none, MethodError::TooFewSamples { found: 0, needed: 1, .. }), "{none}");
    for (text, words) in [
        (format!("{W3}{step}max_points = 9"), "accepted: 1 to 8"),
        (format!("{W3}{step}max_error = 1.0\naverage_bits = 3.5"), "give one of"),
        (format!("{W3}{step}max_error = -1.0"), "numbers from 0"),
        (format!("{W3}{step}first = \"kept\""), "must come first"),
        (format!("{W3}symmetric = false\n{STEPS}first = \"kept\""), "no symmetric code"),
        (format!("{W3}{STEPS}max_error = 0.0\n{step}first = \"kept\""), "a sum of points already"),
        (
            format!("{W3}{STEPS}max_error = 0.0\n[[step]]\nmethod = \"bias-correction\"\nvariance = true"),
            "a sum of points, whose spread",
        ),
    ] {
        let said = with(&text);
        assert!(said.contains(words), "{text}: {said}");
    }
}
