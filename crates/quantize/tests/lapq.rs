//! LAPQ's checks and worked examples with the quantizers of the paper, and the step as a recipe runs it. With the unit tests
//! of `powell`, `lapq::lp` and `lapq::parabola`, every check of the method's description.

mod common;

use common::{Case, conv, graph, noise, outputs};
use lowbit_graph::ops::{Add, Flatten, Gemm, GlobalAveragePool, Relu};
use lowbit_quantize::method::MethodError;
use lowbit_quantize::methods::bias_correction::restore_mean;
use lowbit_quantize::methods::lapq::lp::{best_clip, weight_range};
use lowbit_quantize::observe::Observations;
use lowbit_quantize::powell::{Line, Options, Powell};
use lowbit_quantize::rows::{Budget, Rows};
use lowbit_quantize::run::{Run, Samples, State, Watch};
use lowbit_quantize::workbench::Workbench;
use lowbit_quantize::{Plan, Recipe, Sites, Target};
use lowbit_tensor::{Tensor, Uniform};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::Mutex;

const W: [f64; 10] = [-1.30, -0.72, -0.41, -0.18, -0.05, 0.02, 0.11, 0.27, 0.55, 0.94];
const X: [f64; 10] = [0.0, 0.0, 0.08, 0.13, 0.0, 0.31, 0.52, 0.0, 0.77, 2.40];

/// The paper's weight quantizer: `2^bits` levels from `-clip` to `clip`, zero not among them. Code and value.
fn weight(w: f64, clip: f64, bits: u32) -> (f64, f64) {
    let n = f64::from((1 << bits) - 1);
    let step = (2.0 * clip / n).max(1e-8);
    let code = ((w + clip) / step).clamp(0.0, n).round_ties_even();
    (code, code * step - clip)
}

/// The paper's quantizer of what a ReLU gives: `2^bits` levels from 0 to `clip`.
fn activation(x: f64, clip: f64, bits: u32) -> (f64, f64) {
    let n = f64::from((1 << bits) - 1);
    let step = (clip / n).max(1e-8);
    let code = (x / step).clamp(0.0, n).round_ties_even();
    (code, code * step)
}

type Quantizer = fn(f64, f64, u32) -> (f64, f64);

fn error(x: &[f64], quantizer: Quantizer, clip: f64, bits: u32, p: f64) -> f64 {
    x.iter().map(|&x| (quantizer(x, clip, bits).1 - x).abs().powf(p)).sum::<f64>() / x.len() as f64
}

fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} {expected}");
}

#[test]
fn best_clips_of_the_normal_density_grow_with_p_and_with_the_bits() {
    let density: Vec<(f64, f64)> =
        (-24_000..=24_000).map(|i| f64::from(i) / 3000.0).map(|x| (x, (-0.5 * x * x).exp())).collect();
    let mass: f64 = density.iter().map(|d| d.1).sum();
    for (bits, table) in [
        (2, [(1.493530, 0.11884605), (1.694226, 0.06938256), (1.869795, 0.04858681)]),
        (3, [(2.051068, 0.03743966), (2.338583, 0.01271122), (2.590251, 0.00524191)]),
        (4, [(2.514005, 0.01154288), (2.885691, 0.00225527), (3.210957, 0.00054074)]),
    ] {
        for (p, (clip, least)) in [2.0, 3.0, 4.0].into_iter().zip(table) {
            let error = |clip: f64| {
                let of = |&(x, n): &(f64, f64)| n * (weight(x, clip, bits).1 - x).abs().powf(p);
                density.iter().map(of).sum::<f64>() / mass
            };
            let found = best_clip(4.0, error);
            assert_close(found, clip, 2e-3);
            assert_close(error(found) / least, 1.0, 1e-4);
        }
    }
}

#[test]
fn scaled_data_have_scaled_clips_and_a_flip_of_signs_changes_nothing() {
    let best = |x: &[f64]| best_clip(1.3 * 4.0, |clip| error(x, weight, clip, 3, 3.0));
    let wide = W.map(|w| 4.0 * w);
    let clip = best_clip(1.3, |clip| error(&W, weight, clip, 3, 3.0));
    assert_close(best(&wide), 4.0 * clip, 1e-9);
    assert_close(error(&wide, weight, 4.0 * clip, 3, 3.0), 64.0 * error(&W, weight, clip, 3, 3.0), 1e-12);
    assert_close(best(&wide.map(|w| -w)), best(&wide), 2e-3);
}

#[test]
fn codes_and_errors_at_fixed_clips() {
    type Row = (&'static [f64], Quantizer, u32, f64, [i32; 10], f64, f64);
    let rows: [Row; 8] = [
        (&W, weight, 2, 1.3, [0, 1, 1, 1, 1, 2, 2, 2, 2, 3], 0.07391222, 0.02531771),
        (&W, weight, 2, 1.0, [0, 0, 1, 1, 1, 2, 2, 2, 2, 3], 0.04806778, 0.01282961),
        (&W, weight, 3, 1.0, [0, 1, 2, 3, 3, 4, 4, 4, 5, 7], 0.01510633, 0.00338101),
        (&W, weight, 4, 1.3, [0, 3, 5, 6, 7, 8, 8, 9, 11, 13], 0.00203667, 0.00012843),
        (&W, weight, 4, 1.0, [0, 2, 4, 6, 7, 8, 8, 10, 12, 15], 0.01082333, 0.00279750),
        (&X, activation, 2, 2.4, [0, 0, 0, 0, 0, 0, 1, 0, 1, 3], 0.01987000, 0.00544790),
        (&X, activation, 4, 2.4, [0, 0, 0, 1, 0, 2, 3, 0, 5, 15], 0.00099000, 0.00006310),
        (&X, activation, 4, 1.2, [0, 0, 1, 2, 0, 4, 6, 0, 10, 15], 0.14435000, 0.17281190),
    ];
    for (x, quantizer, bits, clip, codes, square, cube) in rows {
        let found: Vec<f64> = x.iter().map(|&x| quantizer(x, clip, bits).0).collect();
        assert_eq!(found, codes.map(f64::from), "{bits} bits, {clip}");
        assert_close(error(x, quantizer, clip, bits, 2.0), square, 1e-8);
        assert_close(error(x, quantizer, clip, bits, 3.0), cube, 1e-8);
    }
}

#[test]
fn the_search_is_never_worse_than_the_grid_of_the_worked_examples() {
    let rows: [(u32, f64, Option<f64>, Option<f64>); 8] = [
        (2, 2.0, Some(0.04587567), Some(0.01899640)),
        (2, 3.0, Some(0.01248428), Some(0.00479420)),
        (2, 4.0, Some(0.00349595), Some(0.00128562)),
        (3, 2.0, Some(0.00990632), Some(0.00466794)),
        (3, 3.0, Some(0.00116279), Some(0.00051673)),
        (4, 2.0, Some(0.00161136), Some(0.00098037)),
        (4, 2.4, Some(0.00049145), Some(0.00031820)),
        (4, 3.0, Some(0.00008596), Some(0.00006161)),
    ];
    for (bits, p, of_w, of_x) in rows {
        for (x, quantizer, reach, least) in
            [(&W, weight as Quantizer, 1.3, of_w), (&X, activation, 2.4, of_x)]
        {
            let Some(least) = least else { continue };
            let clip = best_clip(reach, |clip| error(x, quantizer, clip, bits, p));
            let found = error(x, quantizer, clip, bits, p);
            assert!(found <= least * 1.001, "{bits} bits, p = {p}: {found} at {clip}, the grid has {least}");
        }
    }
    // The best clip may lie beyond the greatest value.
    assert!(best_clip(2.4, |clip| error(&X, activation, clip, 3, 2.0)) > 2.7);
}

#[test]
fn joint_search_beats_clips_of_each_tensor_by_itself() {
    let inputs = [[0.2, 1.1, 0.6], [1.4, 0.1, 0.5], [0.7, 0.9, 2.0], [0.0, 0.3, 1.2]];
    let (w1, w2) = ([0.9, -0.55, 0.35], [0.5, -0.8, 0.25]);
    let dot = |a: &[f64; 3], b: &[f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let hidden = |w: &[f64; 3], x: &[f64; 3]| dot(w, x).max(0.0);
    let float = inputs.map(|x| hidden(&w1, &x) - 1.5 * hidden(&w2, &x));
    for (found, expected) in float.iter().zip([0.0, 0.2625, 0.64, 0.165]) {
        assert_close(*found, expected, 1e-9);
    }
    let quantized = |w: &[f64; 3], clip: f64| w.map(|w| weight(w, clip, 2).1);
    let loss = |clips: &[f64]| {
        let [v1, v2] = [quantized(&w1, clips[0]), quantized(&w2, clips[0])];
        let output = |x: &[f64; 3]| {
            activation(hidden(&v1, x), clips[1], 2).1 - 1.5 * activation(hidden(&v2, x), clips[1], 2).1
        };
        inputs.iter().zip(float).map(|(x, f)| (output(x) - f).powi(2)).sum::<f64>() / 4.0
    };
    let least = |grid: &[f64], f: &dyn Fn(f64) -> f64| {
        grid.iter().copied().min_by(|a, b| f(*a).total_cmp(&f(*b))).unwrap()
    };
    let weights: Vec<f64> = (0..=18).map(|i| 0.30 + 0.05 * f64::from(i)).collect();
    let edges: Vec<f64> = (0..=20).map(|i| 0.4 + 0.1 * f64::from(i)).collect();

    let all: Vec<f64> = w1.into_iter().chain(w2).collect();
    let cw = least(&weights, &|c| error(&all, weight, c, 2, 2.0));
    let at: Vec<f64> =
        [quantized(&w1, cw), quantized(&w2, cw)].iter().flat_map(|w| inputs.map(|x| hidden(w, &x))).collect();
    let ca = least(&edges, &|c| error(&at, activation, c, 2, 2.0));
    assert_close(error(&all, weight, cw, 2, 2.0), 0.01958333, 1e-8);
    assert_close(error(&at, activation, ca, 2, 2.0), 0.00612083, 1e-8);
    assert_close(loss(&[cw, ca]), 0.09211337, 1e-8);

    let joint = least(&weights, &|c| loss(&[c, ca]));
    let joint = [joint, least(&edges, &|c| loss(&[joint, c]))];
    assert_close(joint[0], 0.75, 1e-9);
    assert_close(joint[1], 1.90, 1e-9);
    assert_close(loss(&joint), 0.00755087, 1e-8);

    let line = Line { first: 0.1, absolute: 1e-3, ..Line::default() };
    let mut powell = Powell::new(vec![0.0; 2], loss(&[cw, ca]), Options { line, ..Options::default() });
    while let Ok(Some(_)) = powell.step(|x| Ok::<_, Infallible>(loss(&[cw * x[0].exp(), ca * x[1].exp()]))) {}
    assert!(powell.value() < 0.05, "{}", powell.value());
}

#[test]
fn bias_correction_of_the_worked_rows() {
    let float = [0.31, -0.12, 0.05, 0.44, -0.5, 0.2, 0.3, 0.1];
    let (codes, values): (Vec<f64>, Vec<f64>) = float.iter().map(|&w| weight(w, 0.5, 2)).unzip();
    assert_eq!(codes, [2.0, 1.0, 2.0, 3.0, 0.0, 2.0, 2.0, 2.0]);
    // Levels of the paper's quantizer, odd multiples of a sixth, on a grid of ours.
    let code = Uniform { axis: Some(0), ..Uniform::per_tensor(4, true, 1.0 / 6.0, 0) };
    let code = Uniform { bits: vec![4; 2], scale: vec![1.0 / 6.0; 2], zero_point: vec![0; 2], ..code };
    let (float, values) = (float.map(|w| w as f32), values.iter().map(|&v| v as f32).collect::<Vec<_>>());
    let mut corrected = values.clone();
    restore_mean(&code, &values, &float, &[2, 4], 0).fake_quantize(&mut corrected, &[2, 4]);
    let expected = [0.17, -0.163333, 0.17, 0.503333, -0.475, 0.191667, 0.191667, 0.191667];
    corrected.iter().zip(expected).for_each(|(&found, e)| assert_close(f64::from(found), e, 1e-6));
}

#[test]
fn quantized_values_are_no_more_than_the_codes_and_weights_lie_around_zero() {
    let mut values: Vec<f64> = (-400..400).map(|i| weight(f64::from(i) / 100.0, 1.7, 3).1).collect();
    values.dedup();
    assert_eq!(values.len(), 8);
    values.iter().zip(values.iter().rev()).for_each(|(a, b)| assert_close(a + b, 0.0, 1e-12));
    let w: Vec<f32> = W.iter().map(|&w| w as f32).collect();
    let [lo, hi] = weight_range(&w, 3, true, 2.0);
    assert_eq!(lo, -hi);
}

/// A residual network of four layers.
fn network() -> Case {
    let (mut g, x) = graph(&[4, 6, 6]);
    let a = conv(&mut g, "a", x, [4, 6, 1]);
    let a = g.add_node("a.relu", Relu, &[a]);
    let b = conv(&mut g, "b", a, [6, 6, 1]);
    let b = g.add_node("b.relu", Relu, &[b]);
    let c = conv(&mut g, "c", b, [6, 6, 1]);
    let c = g.add_node("c.add", Add, &[c, a]);
    let c = g.add_node("c.relu", Relu, &[c]);
    let pooled = g.add_node("pool", GlobalAveragePool, &[c]);
    let flat = g.add_node("flat", Flatten { axis: 1 }, &[pooled]);
    let w = g.add_constant("fc.w", noise(&[6, 5], 17));
    let y = g.add_node("fc", Gemm::default(), &[flat, w]);
    outputs(&mut g, &[y]);
    Case::new("residual", g)
}

const RECIPE: &str =
    "[weights]\nbits = 3\n[activations]\nbits = 3\nfirst_last_bits = 8\n[[step]]\nmethod = \"lapq\"";

/// A network with what calibration saw of it, and the same samples.
struct Bench {
    case: Case,
    target: Target,
    sites: Sites,
    seen: Observations,
    samples: Samples,
}

impl Bench {
    fn new(n: usize) -> Bench {
        let (case, target) = (network(), Target::named("onnxruntime").unwrap());
        let sites = case.sites(&target);
        let batch = case.batch(n, 5);
        let seen = case.observe(&sites, std::slice::from_ref(&batch));
        let scores = common::run(&case.graph, &batch)[0].to_f32();
        let best = |row: &[f32]| (0..row.len()).max_by(|&i, &j| row[i].total_cmp(&row[j])).unwrap() as u32;
        let labels = Some(scores.chunks_exact(5).map(best).collect());
        let samples = Bench::samples(&batch[0], labels);
        Bench { case, target, sites, seen, samples }
    }

    fn samples(batch: &Tensor, labels: Option<Vec<u32>>) -> Samples {
        let (n, shape) = (batch.shape()[0], batch.shape()[1..].to_vec());
        let mut inputs = Rows::new(&Budget::unlimited(), n, batch.len() / n).unwrap();
        inputs.write(0, &batch.to_f32()).unwrap();
        Samples { inputs, shape, labels }
    }

    fn refine(&self, recipe: &str, run: &Run<'_>) -> Result<Plan, MethodError> {
        let recipe = Recipe::parse("test", recipe).unwrap();
        let plan = recipe.start(&self.case.graph, &self.sites, &self.target).unwrap();
        recipe.run(plan, &self.bench(&recipe, run))
    }

    fn bench<'a>(&'a self, recipe: &'a Recipe, run: &'a Run<'a>) -> Workbench<'a> {
        let (graph, types) = (&self.case.graph, self.case.types.as_slice());
        Workbench { graph, types, sites: &self.sites, seen: &self.seen, recipe, target: &self.target, run }
    }

    fn run(&self) -> Run<'_> {
        Run { samples: Some(&self.samples), ..Run::quiet() }
    }
}

/// Remembers what it is told, and fails to save after some times.
#[derive(Default)]
struct Memory {
    notes: Mutex<Vec<String>>,
    saved: Mutex<HashMap<String, Vec<u8>>>,
    saves_left: Mutex<Option<usize>>,
}

impl Watch for Memory {
    fn stage(&self, _name: &str, _total: Option<u64>) {}
    fn advance(&self, _steps: u64) {}
    fn note(&self, text: String) {
        self.notes.lock().unwrap().push(text);
    }
}

impl State for Memory {
    fn load(&self, key: &str) -> Option<Vec<u8>> {
        self.saved.lock().unwrap().get(key).cloned()
    }

    fn save(&self, key: &str, value: &[u8]) -> io::Result<()> {
        if let Some(left) = self.saves_left.lock().unwrap().as_mut() {
            *left = left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        }
        self.saved.lock().unwrap().insert(key.to_owned(), value.to_vec());
        Ok(())
    }
}

#[test]
fn the_search_lowers_the_loss_and_touches_no_eight_bit_code() {
    let bench = Bench::new(96);
    let memory = Memory::default();
    let plan = bench.refine(RECIPE, &Run { watch: &memory, ..bench.run() }).unwrap();
    let minmax = bench.refine(&RECIPE.replace("lapq", "minmax"), &bench.run()).unwrap();
    let notes = memory.notes.lock().unwrap().join("\n");
    let figures: Vec<f64> =
        notes.rsplit("samples: ").next().unwrap().split(' ').filter_map(|w| w.parse().ok()).collect();
    assert!(figures[0] >= figures[1] && figures[1] > figures[2], "{notes}");
    for (found, full) in plan.activations.iter().zip(&minmax.activations) {
        assert_eq!(found.code == full.code, found.bits == [8], "{found:?} {full:?}");
    }
    assert!(plan.weights.iter().all(|w| w.set_by.contains(&"lapq".to_owned())));
}

#[test]
fn what_is_run_from_a_cut_on_is_what_the_whole_network_computes() {
    use lowbit_quantize::methods::lapq::{cuts::Cuts, loss::Loss, objective, variables};
    let bench = Bench::new(150);
    let run = bench.run();
    let recipe = Recipe::parse("test", &RECIPE.replace("lapq", "minmax")).unwrap();
    let workbench = bench.bench(&recipe, &run);
    let plan = bench.refine(&RECIPE.replace("lapq", "minmax"), &run).unwrap();
    let found = variables::find(&plan, &bench.sites, Default::default(), true);
    let simulated = objective::simulated(&workbench, plan.clone(), true).unwrap();
    let (cuts, placed) = Cuts::new(workbench, &bench.samples, &simulated, &found);
    assert!(placed.len() == found.len() && placed.windows(2).all(|w| w[0].1 <= w[1].1));
    assert!(placed.last().unwrap().1 > 5, "most variables have a cut of their own: {placed:?}");
    let loss = Loss::CrossEntropy(bench.samples.labels.clone().unwrap());
    let measure = objective::Measure { bench: workbench, cuts: &cuts, loss: &loss, correct_bias: true };
    let mut trial = objective::Objective::new(&measure, plan, &placed, 3..150);
    let mut point = vec![0.0; placed.len()];
    for moved in (0..placed.len()).chain([2, 7, 1]) {
        for step in [0.1, -0.2] {
            point[moved] += step;
            let whole = measure.of(trial.plan(&point), 3..150).unwrap();
            assert_eq!(trial.loss(&point).unwrap().to_bits(), whole.to_bits(), "variable {moved}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let bench = Bench::new(80);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| bench.refine(RECIPE, &bench.run()).unwrap())
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn a_killed_run_goes_on_where_it_was_to_the_same_plan() {
    let bench = Bench::new(64);
    let memory = Memory { saves_left: Mutex::new(Some(7)), ..Memory::default() };
    let run = Run { watch: &memory, state: &memory, ..bench.run() };
    let killed = bench.refine(RECIPE, &run).unwrap_err();
    assert!(killed.to_string().contains("could not be saved"), "{killed}");
    *memory.saves_left.lock().unwrap() = None;
    let resumed = bench.refine(RECIPE, &run).unwrap();
    assert!(memory.notes.lock().unwrap().iter().any(|note| note.contains("resumed after")));
    assert_eq!(resumed, bench.refine(RECIPE, &bench.run()).unwrap());
}

#[test]
fn without_labels_the_float_scores_are_the_measure() {
    let mut bench = Bench::new(64);
    let by = |bench: &Bench, loss: &str| bench.refine(&format!("{RECIPE}\nloss = \"{loss}\""), &bench.run());
    let with_labels = by(&bench, "kl").unwrap();
    bench.samples.labels = None;
    assert_eq!(by(&bench, "auto").unwrap(), with_labels);
    let error = by(&bench, "cross-entropy").unwrap_err();
    assert!(matches!(error, MethodError::NoLabels { step: "lapq" }), "{error}");
}

#[test]
fn bad_surroundings_are_refused_by_name() {
    let bench = Bench::new(40);
    let error = |recipe: &str, run: &Run<'_>| bench.refine(recipe, run).unwrap_err().to_string();
    assert!(error(RECIPE, &Run::quiet()).contains("0 calibration samples are too few"));
    let few = Bench::samples(&noise(&[31, 4, 6, 6], 1), None);
    assert!(
        error(RECIPE, &Run { samples: Some(&few), ..Run::quiet() })
            .contains("31 calibration samples are too few")
    );
    assert!(error(&format!("{RECIPE}\np = [3, 2]"), &bench.run()).contains("p is 3 to 2"));
    let full = Run { budget: Budget::new(0, || Err(io::ErrorKind::StorageFull.into())), ..bench.run() };
    let message = error(RECIPE, &full);
    assert!(message.contains("values of"), "{message}");
    let undefined =
        Bench::samples(&Tensor::from_f32([40, 4, 6, 6], vec![f32::NAN; 40 * 144]), Some(vec![0; 40]));
    let weights = "[weights]\nbits = 3\n[[step]]\nmethod = \"lapq\"";
    let message = error(weights, &Run { samples: Some(&undefined), ..Run::quiet() });
    assert!(message.contains("the loss at `the start` is no longer a number"), "{message}");
}

#[test]
fn eight_bits_alone_leave_nothing_to_search() {
    let bench = Bench::new(40);
    let eight = "[weights]\nbits = 8\n[activations]\nbits = 8\n[[step]]\nmethod = ";
    let found = bench.refine(&format!("{eight}\"lapq\""), &bench.run()).unwrap();
    let full = bench.refine(&format!("{eight}\"minmax\""), &bench.run()).unwrap();
    let codes = |plan: &Plan| {
        plan.weights.iter().chain(&plan.activations).map(|s| s.code.clone()).collect::<Vec<_>>()
    };
    assert_eq!(codes(&found), codes(&full));
}
