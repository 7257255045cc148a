//! The share of the quantizers in a training step: `quantizer_share MODEL RECIPE [THREADS] [STEPS] [BATCH]`, a line of JSON.
//!
//! Steps on noise of the whole trainer (without reading or augmenting anything), with each quantizer inside a clock. MODEL has
//! its batch normalization (`lowbit zoo resnet20`), RECIPE is built in.

use lowbit_engine::{Rounding, bindings, evaluate_for_pass};
use lowbit_graph::passes::{prepare, specialize};
use lowbit_kernels::Isa;
use lowbit_quantize::rows::{Budget, Rows};
use lowbit_quantize::{Target, site};
use lowbit_train::model::Quantizers;
use lowbit_train::quantizers::{Coded, Draw, EdgeCode, EdgeQuantizer, WeightQuantizer};
use lowbit_train::{Data, Model, TrainRecipe, Trainer, attach};
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// When a quantizer began and ended, on any thread: those of weights, those of edges.
static SPENT: [Mutex<Vec<[Instant; 2]>>; 2] = [const { Mutex::new(Vec::new()) }; 2];

fn timed<T>(what: usize, run: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = run();
    SPENT[what].lock().unwrap_or_else(PoisonError::into_inner).push([begun, Instant::now()]);
    result
}

/// What was timed since this was last asked for.
fn spent(what: usize) -> Vec<[Instant; 2]> {
    std::mem::take(&mut *SPENT[what].lock().unwrap_or_else(PoisonError::into_inner))
}

/// Milliseconds of all threads together.
fn of_threads(spans: &[[Instant; 2]]) -> f64 {
    // A sum of nothing is -0.
    0.0 + spans.iter().map(|[begun, ended]| ended.duration_since(*begun).as_secs_f64() * 1e3).sum::<f64>()
}

/// Milliseconds in which any thread was inside.
fn of_any(mut spans: Vec<[Instant; 2]>) -> f64 {
    spans.sort();
    let mut apart: Vec<[Instant; 2]> = Vec::new();
    for [begun, ended] in spans {
        match apart.last_mut() {
            Some(last) if begun <= last[1] => last[1] = last[1].max(ended),
            _ => apart.push([begun, ended]),
        }
    }
    of_threads(&apart)
}

struct OfWeight(Box<dyn WeightQuantizer>);

impl WeightQuantizer for OfWeight {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn start(&self, shadow: &[f32]) -> Vec<f32> {
        self.0.start(shadow)
    }
    fn forward(&self, parameters: &[f32], shadow: &[f32], draw: Option<Draw>, out: &mut [f32]) {
        timed(0, || self.0.forward(parameters, shadow, draw, out));
    }
    fn backward(&self, parameters: &[f32], shadow: &[f32], grad: &mut [f32], by_parameter: &mut [f32]) {
        timed(0, || self.0.backward(parameters, shadow, grad, by_parameter));
    }
    fn constrain(&self, parameters: &mut [f32]) {
        self.0.constrain(parameters);
    }
    fn code(&self, parameters: &[f32], shadow: &[f32]) -> Coded {
        self.0.code(parameters, shadow)
    }
}

struct OfEdge(Arc<dyn EdgeQuantizer>, Arc<dyn Rounding>);

impl EdgeQuantizer for OfEdge {
    fn len(&self) -> usize {
        EdgeQuantizer::len(&*self.0)
    }
    fn start(&self, seen: &[f32]) -> Vec<f32> {
        self.0.start(seen)
    }
    fn constrain(&self, parameters: &mut [f32]) {
        self.0.constrain(parameters);
    }
    fn code(&self, parameters: &[f32]) -> EdgeCode {
        self.0.code(parameters)
    }
    fn rounding(self: Arc<Self>) -> Arc<dyn Rounding> {
        self
    }
}

impl Rounding for OfEdge {
    fn len(&self) -> usize {
        self.1.len()
    }
    fn set(&self, values: &[f32]) {
        self.1.set(values);
    }
    fn forward(&self, isa: Isa, x: &[f32], y: &mut [f32]) {
        timed(1, || self.1.forward(isa, x, y));
    }
    fn backward(&self, isa: Isa, x: &[f32], grad: &mut [f32], parameters: &mut [f32]) {
        timed(1, || self.1.backward(isa, x, grad, parameters));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, recipe, rest @ ..] = &arguments[..] else {
        return Err("quantizer_share MODEL RECIPE [THREADS] [STEPS] [BATCH]".into());
    };
    let number = |i: usize, default: usize| rest.get(i).map_or(Ok(default), |a| a.parse());
    let (threads, steps, batch) = (number(0, 1)?, number(1, 10)?, number(2, 128)?);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let run = || measure(&PathBuf::from(model), recipe, steps, batch).map_err(|error| error.to_string());
    let [step, weights, edges] = pool.install(run)?;
    // All threads are busy with edges and what is around them; layers of weights are shared out, and who is done waits.
    let edges = edges / threads as f64;
    let share = 100.0 * (weights + edges) / step;
    println!(
        "{{\"recipe\": \"{recipe}\", \"threads\": {threads}, \"step_ms\": {step:.1}, \"weights_ms\": {weights:.2}, \"edges_ms\": {edges:.2}, \"share_percent\": {share:.1}}}"
    );
    Ok(())
}

/// Least milliseconds of a step; within it those in which weights are quantized, and those of all threads with edges.
fn measure(
    model: &std::path::Path,
    recipe: &str,
    steps: usize,
    batch: usize,
) -> Result<[f64; 3], Box<dyn Error>> {
    let graph = lowbit_onnx::read_file(model)?;
    let recipe = TrainRecipe::named(recipe)?;
    let folded = prepare(graph.clone(), &evaluate_for_pass)?;
    let (_, types) = specialize(&folded, &bindings(&folded, 1), &evaluate_for_pass)?;
    let target = Target::named("products")?;
    let sites = site::find(&folded, &types, &target);
    let plan = recipe.bits.start(&folded, &sites, &target)?;
    let Quantizers { weights, edges } = attach::attach(&recipe, &folded, &types, &sites, &plan);
    let clocked = Quantizers {
        weights: weights.into_iter().map(|(name, q)| (name, Box::new(OfWeight(q)) as Box<_>)).collect(),
        edges: edges
            .into_iter()
            .map(|(name, q)| (name, Arc::new(OfEdge(q.clone(), q.rounding())) as Arc<dyn EdgeQuantizer>))
            .collect(),
    };
    let model = Model::new(graph, clocked, target.float_sums)?;
    let shape = types[folded.inputs[0].0].as_ref().ok_or("an input without shape")?.shape[1..].to_vec();
    let shape = [&shape[1..], &shape[..1]].concat();
    let data = noise(batch, shape)?;
    let mut train = recipe.train.clone();
    (train.batch, train.steps, train.augment) = (batch, Some(steps as u64 + 2), Default::default());
    let mut trainer = Trainer::new(model, &data, &train, 0, None)?;
    trainer.fit_edges()?;
    let mut least = [f64::INFINITY, 0.0, 0.0];
    for _ in 0..steps {
        drop([0, 1].map(spent));
        let begun = Instant::now();
        trainer.advance()?;
        let step = begun.elapsed().as_secs_f64() * 1e3;
        if step < least[0] {
            least = [step, of_any(spent(0)), of_threads(&spent(1))];
        }
    }
    Ok(least)
}

/// One batch of images without any meaning.
fn noise(samples: usize, shape: Vec<usize>) -> Result<Data, Box<dyn Error>> {
    let row: usize = shape.iter().product();
    let mut rows = Rows::new(&Budget::unlimited(), samples, row)?;
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    for i in 0..samples {
        rows.write(i, &(0..row).map(|_| next()).collect::<Vec<f32>>())?;
    }
    Ok(Data { samples: rows, shape, labels: (0..samples as u32).map(|i| i % 10).collect() })
}
