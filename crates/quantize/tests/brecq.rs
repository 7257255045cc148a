//! Block reconstruction: the examples of its description, and what learning must and must not do.

mod common;

use common::{Case, two_blocks};
use lowbit_quantize::method::MethodError;
use lowbit_quantize::observe::Observations;
use lowbit_quantize::rows::{Budget, Rows};
use lowbit_quantize::run::{Effort, Run, Samples, State, Watch};
use lowbit_quantize::simulate::simulate;
use lowbit_quantize::workbench::Workbench;
use lowbit_quantize::{Plan, Recipe, Sites, Target};
use lowbit_tensor::{Code, Tensor};
use std::collections::HashMap;
use std::io;
use std::sync::Mutex;

struct Bench {
    case: Case,
    target: Target,
    sites: Sites,
    seen: Observations,
    samples: Samples,
}

impl Bench {
    fn new(n: usize) -> Bench {
        let (case, target) = (two_blocks(), Target::named("paper").unwrap());
        let sites = case.sites(&target);
        let batch = case.batch(n, 5);
        let seen = case.observe(&sites, std::slice::from_ref(&batch));
        let samples = samples(&batch[0], &Budget::unlimited());
        Bench { case, target, sites, seen, samples }
    }

    fn refine(&self, steps: &str, run: &Run<'_>) -> Result<Plan, MethodError> {
        let recipe = recipe(steps);
        let plan = recipe.start(&self.case.graph, &self.sites, &self.target).unwrap();
        let (graph, types) = (&self.case.graph, self.case.types.as_slice());
        let (sites, seen, recipe, target) = (&self.sites, &self.seen, &recipe, &self.target);
        recipe.run(plan, &Workbench { graph, types, sites, seen, recipe, target, run })
    }

    fn run(&self) -> Run<'_> {
        Run { samples: Some(&self.samples), ..Run::quiet() }
    }

    /// Mean squared difference of the outputs from the float network's.
    fn error(&self, plan: &Plan) -> f64 {
        let batch = self.case.batch(64, 99);
        let float = common::run(&self.case.graph, &batch)[0].to_f32();
        let found = common::run(&simulate(&self.case.graph, &self.sites, plan), &batch)[0].to_f32();
        float.iter().zip(&found).map(|(a, b)| f64::from((a - b) * (a - b))).sum::<f64>() / float.len() as f64
    }
}

fn samples(batch: &Tensor, budget: &std::sync::Arc<Budget>) -> Samples {
    let (n, shape) = (batch.shape()[0], batch.shape()[1..].to_vec());
    let mut inputs = Rows::new(budget, n, batch.len() / n).unwrap();
    inputs.write(0, &batch.to_f32()).unwrap();
    Samples { inputs, shape, labels: None }
}

fn recipe(steps: &str) -> Recipe {
    let bits = "[weights]\nbits = 2\nfirst_last_bits = 8\n[activations]\nbits = 4\nfirst_last_bits = 8\n";
    Recipe::parse("test", &format!("{bits}[[step]]\nmethod = \"mse\"\n{steps}")).unwrap()
}

const JOINT: &str = "[[step]]\nmethod = \"brecq\"\niterations = 60";
const SEPARATE: &str = "[[step]]\nmethod = \"brecq\"\niterations = 60\nphases = \"separate\"";

#[test]
fn learning_brings_outputs_nearer_to_the_float_network() {
    let bench = Bench::new(64);
    let start = bench.error(&bench.refine("", &bench.run()).unwrap());
    let layers = "[[step]]\nmethod = \"adaround\"\niterations = 60";
    let fisher = "[[step]]\nmethod = \"brecq\"\niterations = 60\nloss = \"fisher-diagonal\"";
    for steps in [
        JOINT,
        SEPARATE,
        layers,
        fisher,
        "[[step]]\nmethod = \"brecq\"\niterations = 60\nloss = \"fisher-full\"",
    ] {
        let learned = bench.error(&bench.refine(steps, &bench.run()).unwrap());
        assert!(learned < 0.95 * start, "{steps}: {start} -> {learned}");
    }
}

#[test]
fn codes_move_by_one_at_most_and_scales_of_weights_not_at_all() {
    let bench = Bench::new(64);
    let [start, learned] = ["", SEPARATE].map(|steps| bench.refine(steps, &bench.run()).unwrap());
    let mut moved = 0;
    for ((site, a), b) in bench.sites.weights.iter().zip(&start.weights).zip(&learned.weights) {
        assert_eq!(a.code, b.code, "{}", site.name);
        let (Some(Code::Uniform(code)), Some(values)) = (&b.code, &b.values) else { continue };
        let tensor = bench.case.graph.constant(site.value).unwrap();
        let was = tensor.to_f32();
        let [was, is] = [&was, values].map(|values| code.codes(values, tensor.shape()));
        assert!(was.iter().zip(&is).all(|(a, b)| (a - b).abs() <= 1), "{}", site.name);
        moved += was.iter().zip(&is).filter(|(a, b)| a != b).count();
        let mut decoded = values.clone();
        code.fake_quantize(&mut decoded, tensor.shape());
        assert_eq!(&decoded, values, "decided weights are on the grid");
    }
    assert!(moved > 0);
    assert!(
        start.weights[0].values.is_none() && learned.weights[0].values.is_none(),
        "the first layer stays"
    );
}

#[test]
fn threads_memory_and_repetition_leave_no_trace() {
    let bench = Bench::new(64);
    let expected = bench.refine(JOINT, &bench.run()).unwrap();
    let spilled = samples(&bench.case.batch(64, 5)[0], &Budget::new(0, tempfile::tempfile));
    let tight = Run { samples: Some(&spilled), budget: Budget::new(0, tempfile::tempfile), ..Run::quiet() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let other = pool.install(|| bench.refine(JOINT, &tight).unwrap());
    assert!(expected == other);
    let seeded = bench.refine(JOINT, &Run { seed: 1, ..bench.run() }).unwrap();
    assert!(expected != seeded);
}

/// Keeps what is saved, and refuses after so many saves.
struct Kept {
    saved: Mutex<HashMap<String, Vec<u8>>>,
    most: usize,
}

impl State for Kept {
    fn load(&self, key: &str) -> Option<Vec<u8>> {
        self.saved.lock().unwrap().get(key).cloned()
    }

    fn save(&self, key: &str, value: &[u8]) -> io::Result<()> {
        let mut saved = self.saved.lock().unwrap();
        if saved.len() >= self.most {
            return Err(io::ErrorKind::StorageFull.into());
        }
        saved.insert(key.to_owned(), value.to_owned());
        Ok(())
    }
}

#[test]
fn a_run_that_was_stopped_anywhere_ends_the_same() {
    let bench = Bench::new(48);
    for steps in [JOINT, SEPARATE] {
        let expected = bench.refine(steps, &bench.run()).unwrap();
        for most in 0.. {
            let mut state = Kept { saved: Mutex::default(), most };
            let error = match bench.refine(steps, &Run { state: &state, ..bench.run() }) {
                Ok(_) => break,
                Err(error) => error,
            };
            assert!(matches!(error, MethodError::State { step: "brecq", .. }), "{error}");
            state.most = usize::MAX;
            let resumed = bench.refine(steps, &Run { state: &state, ..bench.run() }).unwrap();
            assert!(resumed == expected, "{steps} stopped after {most} saves");
        }
    }
}

#[test]
fn a_second_step_does_not_take_the_results_of_the_first() {
    let bench = Bench::new(48);
    let twice = format!("{JOINT}\n{}", JOINT.replace("60", "61"));
    let state = Kept { saved: Mutex::default(), most: usize::MAX };
    let kept = bench.refine(&twice, &Run { state: &state, ..bench.run() }).unwrap();
    assert!(kept == bench.refine(&twice, &bench.run()).unwrap());
}

/// Remembers notes.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Watch for Notes {
    fn stage(&self, _name: &str, _total: Option<u64>) {}
    fn advance(&self, _steps: u64) {}
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }
}

#[test]
fn effort_chooses_iterations_from_a_curve_that_the_notes_show() {
    let bench = Bench::new(64);
    let notes = Notes::default();
    let run = Run { watch: &notes, effort: Effort::Fast, ..bench.run() };
    bench.refine("[[step]]\nmethod = \"brecq\"", &run).unwrap();
    let notes = notes.0.into_inner().unwrap();
    assert!(
        notes[0].contains("iterations per block (effort fast") && notes[0].contains("125: "),
        "{notes:?}"
    );
    assert!(notes[1].contains("block error"), "{notes:?}");
}

#[test]
fn what_cannot_be_learned_from_is_refused_by_name() {
    let bench = Bench::new(8);
    let error = bench.refine(JOINT, &bench.run()).unwrap_err().to_string();
    assert!(error.contains("8 calibration samples are too few, it needs at least 32"), "{error}");
    let error = bench.refine(JOINT, &Run::quiet()).unwrap_err().to_string();
    assert!(error.contains("brecq"), "{error}");

    let bench = Bench::new(40);
    let hot = JOINT.replace("iterations = 60", "iterations = 60\nlearning_rate = 1e38\npower = 40.0");
    let error = bench.refine(&hot, &bench.run()).unwrap_err();
    assert!(
        matches!(&error, MethodError::NotANumber { step: "brecq", place, .. } if place == "one"),
        "{error}"
    );
}

#[test]
fn a_full_disk_is_an_error_and_not_a_crash() {
    let bench = Bench::new(40);
    let full = Budget::new(0, || Err(io::ErrorKind::StorageFull.into()));
    let error = bench.refine(JOINT, &Run { budget: full, ..bench.run() }).unwrap_err();
    assert!(matches!(error, MethodError::Rows(_)), "{error}");
}
