//! Times one iteration of block reconstruction on a basic block of ResNet-20, batch 32, on the current thread:
//! `block_step CHANNELS SIZE [STEPS]` prints seconds per step.

use lowbit_engine::{bindings, evaluate_for_pass};
use lowbit_graph::ops::{Add, Relu};
use lowbit_graph::passes::{prepare, specialize};
use lowbit_graph::{Attribute, Attributes, Dim, Graph, Op, ValueId};
use lowbit_quantize::methods::brecq::{BlockStep, Brecq};
use lowbit_quantize::observe::Observer;
use lowbit_quantize::rows::{Budget, Rows};
use lowbit_quantize::run::{Run, Samples};
use lowbit_quantize::workbench::Workbench;
use lowbit_quantize::{Recipe, Target, site};
use lowbit_tensor::{DType, Tensor};
use std::time::Instant;

const SAMPLES: usize = 64;

fn noise(shape: &[usize], scale: f32, seed: u32) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * scale
    };
    Tensor::from_f32(shape, std::iter::repeat_with(next).take(shape.iter().product()).collect())
}

/// A first layer, then the block: what is timed is the block alone.
fn network(channels: usize, size: usize) -> Graph {
    let mut graph = Graph::default();
    let dims = [Dim::Symbol("N".into()), Dim::Known(channels), Dim::Known(size), Dim::Known(size)];
    let x = graph.add_input("x", DType::F32, dims.to_vec());
    let conv = |graph: &mut Graph, name: &str, x: ValueId, seed: u32| {
        let pads = Attributes::new().with("pads", Attribute::Ints(vec![1; 4]));
        let op = Op::read("", "Conv", pads).and_then(Result::ok).expect("a convolution");
        let scale = 1.0 / (3.0 * (channels as f32).sqrt());
        let w = graph.add_constant(format!("{name}.w"), noise(&[channels, channels, 3, 3], scale, seed));
        let b = graph.add_constant(format!("{name}.b"), noise(&[channels], 0.1, seed + 1));
        graph.add_node(name, op, &[x, w, b])
    };
    let stem = conv(&mut graph, "stem", x, 1);
    let stem = graph.add_node("stem.relu", Relu, &[stem]);
    let a = conv(&mut graph, "a", stem, 3);
    let a = graph.add_node("a.relu", Relu, &[a]);
    let b = conv(&mut graph, "b", a, 5);
    let sum = graph.add_node("add", Add, &[b, stem]);
    let y = graph.add_node("out", Relu, &[sum]);
    graph.values[y.0].dtype = Some(DType::F32);
    graph.outputs = vec![y];
    graph
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<usize> = std::env::args().skip(1).map(|a| a.parse()).collect::<Result<_, _>>()?;
    let [channels, size, steps] = match arguments[..] {
        [channels, size] => [channels, size, 200],
        [channels, size, steps] => [channels, size, steps],
        _ => return Err("usage: block_step CHANNELS SIZE [STEPS]".into()),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let seconds = pool.install(|| -> Result<f64, String> {
        let (mut block, mut best) = (block(channels, size, steps)?, f64::INFINITY);
        for _ in 0..5 {
            let start = Instant::now();
            for _ in 0..steps / 5 {
                block.step().map_err(|e| e.to_string())?;
            }
            best = best.min(start.elapsed().as_secs_f64() / (steps / 5) as f64);
        }
        Ok(best)
    })?;
    println!("{seconds}");
    Ok(())
}

/// A residual block of two 3×3 convolutions whose rounding is learned, with a schedule of `steps` iterations.
pub(crate) fn block(channels: usize, size: usize, steps: usize) -> Result<BlockStep, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let graph = prepare(network(channels, size), &evaluate_for_pass).map_err(|e| text(&e))?;
    let (_, types) = specialize(&graph, &bindings(&graph, 1), &evaluate_for_pass).map_err(|e| text(&e))?;
    let target = Target::named("paper").map_err(|e| text(&e))?;
    let sites = site::find(&graph, &types, &target);
    let recipe = "[weights]\nbits = 4\n[[step]]\nmethod = \"mse\"";
    let recipe = Recipe::parse("bench", recipe).map_err(|e| text(&e))?;
    let input = noise(&[SAMPLES, channels, size, size], 1.0, 7);
    let mut observer = Observer::new(&graph, &sites, recipe.needs()).map_err(|e| text(&e))?;
    observer.add(std::slice::from_ref(&input)).map_err(|e| text(&e))?;
    let seen = observer.finish();
    let mut inputs = Rows::new(&Budget::unlimited(), SAMPLES, input.len() / SAMPLES).map_err(|e| text(&e))?;
    inputs.write(0, &input.to_f32()).map_err(|e| text(&e))?;
    let samples = Samples { inputs, shape: vec![channels, size, size], labels: None };
    let run = Run { samples: Some(&samples), ..Run::quiet() };
    let bench = Workbench {
        graph: &graph,
        types: &types,
        sites: &sites,
        seen: &seen,
        recipe: &recipe,
        target: &target,
        run: &run,
    };
    let plan = recipe.start(&graph, &sites, &target).map_err(|e| text(&e))?;
    let plan = recipe.run(plan, &bench).map_err(|e| text(&e))?;
    let options = Brecq { iterations: Some(steps), ..Brecq::default() };
    BlockStep::new(&options, &plan, &bench, 1).map_err(|e| text(&e))
}
