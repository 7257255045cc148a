//! A plan made by hand: weights and edges on uneven levels, without training.
//!
//! `uneven_levels MODEL DATA PREPROCESS WEIGHTS OUTPUT` calibrates `MODEL` on `DATA` to 8 bits, puts the weights on `binary`,
//! `ternary` or that many levels which crowd around zero, the edges on 16 such levels, and writes `OUTPUT` for each flavour,
//! with the flavour's name before its extension. First and last layers keep their 8 bits, as in Yamamoto 2021.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lowbit_data::{Dataset, Options, Preprocess};
use lowbit_engine::{bindings, evaluate_for_pass};
use lowbit_graph::passes::{prepare, specialize};
use lowbit_onnx::{WriteOptions, read_file, write_bytes};
use lowbit_quantize::lower::{Flavour, qdq::qdq};
use lowbit_quantize::observe::{Needs, Observer};
use lowbit_quantize::run::Run;
use lowbit_quantize::workbench::Workbench;
use lowbit_quantize::{Recipe, Target, site};
use lowbit_tensor::{Code, Levels, Tensor, Uniform};

const SAMPLES: usize = 256;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, data, preprocess, weights, output] = arguments.as_slice() else {
        anyhow::bail!("usage: uneven_levels MODEL DATA PREPROCESS WEIGHTS OUTPUT")
    };
    let graph = prepare(read_file(Path::new(model))?, &evaluate_for_pass)?;
    let (_, types) = specialize(&graph, &bindings(&graph, 1), &evaluate_for_pass)?;
    let (recipe, target) = (Recipe::named("w8a8")?, Target::named("onnxruntime")?);
    let sites = site::find(&graph, &types, &target);

    let mut observer = Observer::new(&graph, &sites, Needs::ALL)?;
    let options =
        Options { preprocess: Preprocess::preset(preprocess)?, limit: Some(SAMPLES), ..Options::default() };
    for batch in Dataset::open(Path::new(data))?.batches(&options, 64)? {
        let batch = batch?;
        observer.add(&[Tensor::from_f32(batch.shape, batch.x)])?;
    }
    let (seen, run) = (observer.finish(), Run::quiet());
    let start = recipe.start(&graph, &sites, &target)?;
    let bench = Workbench {
        graph: &graph,
        types: &types,
        sites: &sites,
        seen: &seen,
        recipe: &recipe,
        target: &target,
        run: &run,
    };
    let mut plan = recipe.run(start, &bench)?;

    for (site, setting) in sites.weights.iter().zip(&mut plan.weights) {
        let inner = !site.first_or_last && site.channel_axis == Some(0);
        if let Some(tensor) = graph.constant(site.value).filter(|_| inner) {
            let (code, values) = weight(weights, &tensor.to_f32(), tensor.shape()[0])?;
            setting.values = Some(values);
            setting.set(Code::Levels(code), "uneven-levels");
        }
    }
    for (site, setting) in sites.activations.iter().zip(&mut plan.activations) {
        let positive = site.bounds[0] >= 0.0 && site.follows.is_none() && !site.feeds_first_or_last;
        if let Some(Code::Uniform(grid)) = setting.code.clone().filter(|_| positive) {
            setting.set(Code::Levels(Levels::nearest(grid, crowded(15, 255.0))?), "uneven-levels");
        }
    }
    plan.follow(&sites);

    for (name, flavour) in Flavour::ALL {
        let bytes = write_bytes(&qdq(&graph, &sites, &plan, *flavour)?, &WriteOptions::default())?;
        let path = PathBuf::from(output).with_extension(format!("{name}.onnx"));
        std::fs::write(&path, bytes).with_context(|| format!("{}", path.display()))?;
    }
    Ok(())
}

/// The code of a weight of so many output channels, and its elements on the levels.
fn weight(kind: &str, values: &[f32], channels: usize) -> Result<(Levels, Vec<f32>)> {
    let grid = |scale: Vec<f32>| Uniform {
        axis: (scale.len() > 1).then_some(0),
        bits: vec![8; scale.len()],
        signed: true,
        zero_point: vec![0; scale.len()],
        scale,
        shift: None,
    };
    let mean = |values: &[f32]| values.iter().map(|w| w.abs()).sum::<f32>() / values.len().max(1) as f32;
    let filters = || values.chunks(values.len() / channels);
    let scaled = |signs: &dyn Fn(f32) -> f32| {
        let scale: Vec<f32> = filters()
            .map(|filter| {
                let kept: Vec<f32> = filter.iter().copied().filter(|&w| signs(w) != 0.0).collect();
                mean(&kept).max(1e-6)
            })
            .collect();
        let on_levels =
            filters().zip(&scale).flat_map(|(filter, s)| filter.iter().map(move |&w| signs(w) * s));
        (on_levels.collect(), grid(scale.clone()))
    };
    let (values, code) = match kind {
        "binary" => {
            let (values, grid) = scaled(&|w| if w < 0.0 { -1.0 } else { 1.0 });
            (values, Levels::nearest(grid, vec![-1, 1])?)
        }
        "ternary" => {
            let least = 0.7 * mean(values);
            let (values, grid) = scaled(&|w| if w.abs() < least { 0.0 } else { w.signum() });
            (values, Levels::nearest(grid, vec![-1, 0, 1])?)
        }
        levels => {
            let half = levels.parse::<i32>().context("neither binary, ternary nor a number of levels")? / 2;
            ensure!((1..=127).contains(&half), "3 to 255 levels");
            let largest = values.iter().fold(0f32, |m, w| m.max(w.abs()));
            let above = crowded(half, 127.0);
            let below = above.iter().skip(1).rev().map(|level| -level);
            let levels = below.chain(above.iter().copied()).collect();
            (values.to_vec(), Levels::nearest(grid(vec![0.9 * largest / 127.0]), levels)?)
        }
    };
    Ok((code, values))
}

/// Zero and `count` levels up to `top`, closer to each other near zero.
fn crowded(count: i32, top: f32) -> Vec<i32> {
    let mut levels: Vec<i32> =
        (0..=count).map(|k| (top * (k as f32 / count as f32).powf(1.4)).round() as i32).collect();
    levels.dedup();
    levels
}
