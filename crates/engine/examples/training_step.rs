//! Times training steps on noise: `training_step MODEL [BATCH] [THREADS] [STEPS]`, a line of JSON for each step.
//!
//! Forward, cross-entropy, back, and SGD with Nesterov momentum on all that layers and normalizations learn. Seconds of
//! each part: the loss falls between forward and back, and the optimizer ends with the new values in their places. With
//! `-` for STEPS, a step waits for a line on standard input, for scripts that time something else in turn.

use lowbit_engine::{Gradients, Outside, Parameter, Training};
use lowbit_graph::{Graph, Op, ValueId};
use lowbit_kernels::loss::cross_entropy;
use lowbit_kernels::{Isa, Sgd};
use std::error::Error;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("training_step MODEL [BATCH] [THREADS] [STEPS]")?;
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |a| a.parse());
    let (batch, threads) = (number(128)?, number(1)?);
    let steps = arguments.next().unwrap_or_else(|| "10".to_owned());
    let graph = lowbit_onnx::read_file(&PathBuf::from(&model))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let run = || -> Result<(), Outside> {
        let mut job = Job::new(&graph, batch)?;
        if steps == "-" {
            std::io::stdin().lines().try_for_each(|_| job.step())
        } else {
            (0..steps.parse()?).try_for_each(|_| job.step())
        }
    };
    pool.install(run).map_err(|error| error.to_string().into())
}

struct Job {
    training: Training,
    velocities: Vec<Vec<f32>>,
    batch: usize,
    input: Vec<f32>,
}

impl Job {
    fn new(graph: &Graph, batch: usize) -> Result<Job, Outside> {
        let training = Training::new(graph, batch, &learned(graph), Vec::new())?;
        eprintln!("a step takes {} MiB", training.bytes() >> 20);
        let velocities = (0..learned(graph).len()).map(|i| vec![0.0; training.parameter(i).len()]).collect();
        let input = noise(batch * training.input_lens()[0]);
        Ok(Job { training, velocities, batch, input })
    }

    fn step(&mut self) -> Result<(), Outside> {
        let (width, classes) = (self.training.input_lens()[0], self.training.output_lens()[0]);
        let between = Mutex::new(None);
        let start = Instant::now();
        let feed = |rows: Range<usize>, inputs: &mut [&mut [f32]]| {
            inputs[0].copy_from_slice(&self.input[rows.start * width..rows.end * width]);
            Ok(())
        };
        let loss = |rows: Range<usize>, outputs: &[&[f32]], gradients: &mut [&mut [f32]]| {
            between.lock().map_err(|_| "a thread failed")?.get_or_insert_with(Instant::now);
            let labels: Vec<usize> = rows.map(|row| row % classes).collect();
            let factor = 1.0 / self.batch as f32;
            Ok(f64::from(factor) * cross_entropy(classes, outputs[0], &labels, 0.0, factor, gradients[0]))
        };
        let Gradients { loss, parameters } = self.training.step(self.batch, feed, loss)?;
        let back = Instant::now();
        let sgd = Sgd { learning_rate: 0.01, momentum: 0.9, weight_decay: 5e-4, nesterov: true };
        for (i, (gradient, velocity)) in parameters.iter().zip(&mut self.velocities).enumerate() {
            let mut values = self.training.parameter(i).to_vec();
            sgd.step(Isa::from_env()?, &mut values, gradient, velocity);
            self.training.set(i, &values)?;
        }
        let between = between.into_inner()?.ok_or("no loss")?;
        let line = serde_json::json!({
            "forward": (between - start).as_secs_f64(),
            "backward": (back - between).as_secs_f64(),
            "optimizer": back.elapsed().as_secs_f64(),
            "loss": loss,
        });
        println!("{line}");
        Ok(())
    }
}

/// Weights and biases of layers, scales and shifts of normalizations.
fn learned(graph: &Graph) -> Vec<Parameter> {
    let layers =
        |op: &Op| matches!(op, Op::Conv(_) | Op::Gemm(_) | Op::MatMul(_) | Op::BatchNormalization(_));
    let nodes = graph.nodes.iter().filter(|node| layers(&node.op));
    let inputs = nodes.flat_map(|node| node.inputs.iter().skip(1).take(2).flatten().copied());
    let mut ids: Vec<ValueId> = inputs.filter(|id| graph.constant(*id).is_some()).collect();
    ids.sort();
    ids.dedup();
    ids.into_iter().map(Parameter::Constant).collect()
}

/// Numbers in [-1, 1).
fn noise(len: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}
