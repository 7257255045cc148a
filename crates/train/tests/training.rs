//! Training small networks: it learns, resumes to the same bits, and ends at codes that compute what was trained.

use lowbit_engine::{Network, bindings, evaluate_for_pass};
use lowbit_graph::ops::{
    Add, BatchNormalization, Conv, Flatten, Gemm, GlobalAveragePool, Padding, Relu, Window,
};
use lowbit_graph::passes::{prepare, specialize};
use lowbit_graph::{Dim, Graph, ValueId};
use lowbit_quantize::plan::Setting;
use lowbit_quantize::rows::{Budget, Rows};
use lowbit_quantize::simulate::simulate;
use lowbit_quantize::{Plan, Sites, Target, site};
use lowbit_tensor::{DType, Tensor};
use lowbit_train::quantizers::Draw;
use lowbit_train::{Data, Model, TrainError, TrainRecipe, Trainer, attach, batch_norm, deploy};

const CHANNELS: usize = 8;
const CLASSES: usize = 4;

fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// stem → [a → b] + skip → head, normalized or not.
fn network(normalized: bool) -> Graph {
    let mut g = Graph { name: "small".into(), ..Graph::default() };
    let dims = [Dim::Symbol("N".into()), Dim::Known(3), Dim::Known(6), Dim::Known(6)];
    let x = g.add_input("x", DType::F32, dims.into());
    let layer = |g: &mut Graph, name: &str, x: ValueId, inputs: usize| {
        let w: Vec<f32> = noise(CHANNELS * inputs * 9, name.len() as u64 * 7 + u64::from(name.as_bytes()[0]));
        let w = g.add_constant(
            format!("{name}.w"),
            Tensor::from_f32([CHANNELS, inputs, 3, 3], w.iter().map(|w| w * 0.3).collect()),
        );
        let b = g.add_constant(format!("{name}.b"), Tensor::from_f32([CHANNELS], noise(CHANNELS, 3)));
        let window = Window { padding: Padding::Explicit(vec![1; 4]), ..Window::default() };
        let y = g.add_node(name, Conv { window, group: 1 }, &[x, w, b]);
        if !normalized {
            return y;
        }
        let constants =
            [("scale", 1.0), ("shift", 0.1), ("mean", 0.0), ("variance", 1.0)].map(|(what, v)| {
                g.add_constant(format!("{name}.{what}"), Tensor::from_f32([CHANNELS], vec![v; CHANNELS]))
            });
        let inputs = [&[y], &constants[..]].concat();
        g.add_node(format!("{name}.norm"), BatchNormalization { epsilon: 1e-5 }, &inputs)
    };
    let stem = layer(&mut g, "stem", x, 3);
    let stem = g.add_node("stem.relu", Relu, &[stem]);
    let a = layer(&mut g, "a", stem, CHANNELS);
    let a = g.add_node("a.relu", Relu, &[a]);
    let b = layer(&mut g, "b", a, CHANNELS);
    let sum = g.add_node("sum", Add, &[b, stem]);
    let sum = g.add_node("sum.relu", Relu, &[sum]);
    let pooled = g.add_node("pool", GlobalAveragePool, &[sum]);
    let flat = g.add_node("flat", Flatten { axis: 1 }, &[pooled]);
    let w = g.add_constant("head.w", Tensor::from_f32([CLASSES, CHANNELS], noise(CLASSES * CHANNELS, 11)));
    let c = g.add_constant("head.b", Tensor::from_f32([CLASSES], vec![0.0; CLASSES]));
    let y = g.add_node("head", Gemm { trans_b: true, ..Gemm::default() }, &[flat, w, c]);
    g.outputs = vec![y];
    g
}

/// Images whose class is a pattern beneath noise; channels last.
fn data(samples: usize) -> Data {
    let row = 6 * 6 * 3;
    let patterns: Vec<Vec<f32>> = (0..CLASSES).map(|c| noise(row, 100 + c as u64)).collect();
    let mut rows = Rows::new(&Budget::unlimited(), samples, row).unwrap();
    let labels: Vec<u32> = (0..samples).map(|i| (i % CLASSES) as u32).collect();
    for (i, &label) in labels.iter().enumerate() {
        let own = noise(row, 1000 + i as u64);
        let image: Vec<f32> = own.iter().zip(&patterns[label as usize]).map(|(n, p)| n + p).collect();
        rows.write(i, &image).unwrap();
    }
    Data { samples: rows, shape: vec![6, 6, 3], labels }
}

fn recipe(text: &str) -> TrainRecipe {
    TrainRecipe::parse("test", &format!("{text}\n[train]\nepochs = 6\nbatch = 16\nlearning_rate = 0.05"))
        .unwrap()
}

const LSQ: &str = "[weights]\nbits = 2\nfirst_last_bits = 8\n[activations]\nbits = 2\nfirst_last_bits = 8\n[quantizer]\nweights = \"lsq\"\nactivations = \"lsq\"";
const BWN: &str = "[weights]\nbits = 2\n[quantizer]\nweights = \"bwn\"";

fn lcq() -> String {
    LSQ.replace("lsq", "lcq").replace("bits = 2", "bits = 3")
}

fn recipes() -> Vec<TrainRecipe> {
    let twn = BWN.replace("bwn", "twn");
    let mut all: Vec<TrainRecipe> = [LSQ, &lcq(), BWN, &twn, ""].map(recipe).into();
    let mut staged = recipe(BWN);
    staged.train.stages = vec![0.5, 1.0];
    all.push(staged);
    all
}

/// A trainer of the network, as the pipeline makes one.
fn trainer<'a>(graph: &Graph, data: &'a Data, recipe: &TrainRecipe) -> Trainer<'a> {
    let folded = prepare(graph.clone(), &evaluate_for_pass).unwrap();
    let (_, types) = specialize(&folded, &bindings(&folded, 1), &evaluate_for_pass).unwrap();
    let target = Target::named("products").unwrap();
    let sites = site::find(&folded, &types, &target);
    let plan = recipe.bits.start(&folded, &sites, &target).unwrap();
    let quantizers = attach::attach(recipe, &folded, &types, &sites, &plan);
    let model = Model::new(graph.clone(), quantizers, target.float_sums).unwrap();
    Trainer::new(model, data, &recipe.train, 7, None).unwrap()
}

fn all_steps(trainer: &mut Trainer<'_>) -> Vec<f64> {
    let mut losses = Vec::new();
    while !trainer.is_done() {
        let progress = trainer.advance().unwrap();
        losses.push(progress.loss / progress.samples as f64);
    }
    losses
}

/// The folded network with its sites and the plan of what was learned.
fn deployed(trainer: &Trainer<'_>, recipe: &TrainRecipe) -> (Graph, Sites, Plan) {
    let folded = prepare(trainer.graph(), &evaluate_for_pass).unwrap();
    let (_, types) = specialize(&folded, &bindings(&folded, 1), &evaluate_for_pass).unwrap();
    let target = Target::named("products").unwrap();
    let sites = site::find(&folded, &types, &target);
    let start = recipe.bits.start(&folded, &sites, &target).unwrap();
    let plan = deploy::plan(trainer.model(), &trainer.result(), &folded, &sites, start).unwrap();
    (folded, sites, plan)
}

#[test]
fn every_recipe_learns() {
    let data = data(128);
    for recipe in recipes() {
        let mut trainer = trainer(&network(true), &data, &recipe);
        trainer.fit_edges().unwrap();
        let losses = all_steps(&mut trainer);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let (first, last) = (mean(&losses[..4]), mean(&losses[losses.len() - 4..]));
        assert!(last < 0.7 * first, "{:?}: {first} to {last}", recipe.quantizer.weights);
    }
}

#[test]
fn a_run_cut_short_goes_on_to_the_same_bits() {
    let data = data(64);
    for mut recipe in recipes() {
        recipe.train.augment = lowbit_train::augment::Augment { crop: 1, flip: true };
        recipe.train.average = 0.9;
        let graph = network(true);
        let mut whole = trainer(&graph, &data, &recipe);
        whole.fit_edges().unwrap();
        all_steps(&mut whole);
        for cut in [1, 5, 13] {
            let mut first = trainer(&graph, &data, &recipe);
            first.fit_edges().unwrap();
            for _ in 0..cut {
                first.advance().unwrap();
            }
            let saved = first.save();
            drop(first);
            let mut second = trainer(&graph, &data, &recipe);
            second.load(&saved).unwrap();
            all_steps(&mut second);
            assert_eq!(second.save(), whole.save(), "cut at {cut}, {:?}", recipe.quantizer.weights);
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let (data, recipe) = (data(64), recipe(&lcq()));
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut trainer = trainer(&network(true), &data, &recipe);
            trainer.fit_edges().unwrap();
            for _ in 0..3 {
                trainer.advance().unwrap();
            }
            trainer.save()
        })
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn what_is_deployed_is_what_was_trained() {
    let data = data(64);
    let x = Tensor::from_f32([8, 3, 6, 6], noise(8 * 108, 5));
    for recipe in recipes() {
        let mut trainer = trainer(&network(true), &data, &recipe);
        trainer.fit_edges().unwrap();
        all_steps(&mut trainer);
        let (folded, sites, plan) = deployed(&trainer, &recipe);
        let run =
            |graph: &Graph| Network::new(graph).unwrap().run(std::slice::from_ref(&x)).unwrap()[0].to_f32();
        let near = |plan: &Plan, expected: &[f32], by: f32| {
            let scores = run(&simulate(&folded, &sites, plan));
            let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
            let off = scores.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max) / largest;
            assert!(off < by, "{:?}: {off}, {scores:?} {expected:?}", recipe.quantizer.weights);
        };
        let none = |settings: &mut Vec<Setting>| settings.fill_with(Setting::default);
        // The folded weights are what the network saw: edges alone decide.
        let as_trained = trainer.evaluate(&x).unwrap();
        let mut edges = plan.clone();
        none(&mut edges.weights);
        near(&edges, &as_trained, 1e-4);
        let mut weights = plan.clone();
        none(&mut weights.activations);
        near(&weights, &run(&trainer.graph()), 1e-4);
        // Both: biases are rounded to the grid of the sums too, which moves values over thresholds here and there.
        near(&plan, &as_trained, 0.1);
    }
}

#[test]
fn a_folded_network_gets_normalization_that_changes_nothing() {
    let mut graph = network(false);
    assert!(batch_norm::is_folded(&graph) && !batch_norm::is_folded(&network(true)));
    // A filter that died, and one that nearly did.
    let (dead, mut values) =
        (graph.find("a.w").unwrap(), graph.constant(graph.find("a.w").unwrap()).unwrap().to_f32());
    let len = values.len() / CHANNELS;
    values[..len].fill(0.0);
    values[len..2 * len].iter_mut().for_each(|w| *w *= 1e-9);
    graph.set_constant(dead, Tensor::from_f32([CHANNELS, CHANNELS, 3, 3], values).into());
    let x = Tensor::from_f32([8, 3, 6, 6], noise(8 * 108, 5));
    let normalized = batch_norm::insert(&graph, std::slice::from_ref(&x)).unwrap();
    let run = |graph: &Graph| Network::new(graph).unwrap().run(std::slice::from_ref(&x)).unwrap()[0].to_f32();
    let (before, after) = (run(&graph), run(&normalized));
    assert!(
        before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + a.abs())),
        "{before:?} {after:?}"
    );
    // All others are equally long, whatever they were.
    let filters = normalized.constant(dead).unwrap().to_f32();
    let length = |filter: &[f32]| filter.iter().map(|w| w * w).sum::<f32>().sqrt();
    let lengths: Vec<f32> = filters.chunks(len).map(length).collect();
    assert_eq!(lengths[0], 0.0);
    assert!(lengths[1..].iter().all(|l| (l - lengths[1]).abs() < 1e-4 && *l > 0.0), "{lengths:?}");
    // By the batch it was measured on, training mode is the same too.
    let data = data(32);
    let trainer = trainer(&normalized, &data, &recipe(""));
    assert_eq!(trainer.running().len(), 3);
    let folded = prepare(normalized, &evaluate_for_pass).unwrap();
    assert_eq!(folded.nodes.len(), prepare(graph, &evaluate_for_pass).unwrap().nodes.len());
}

#[test]
fn a_loss_that_is_no_number_names_who_ran_away_and_keeps_what_was() {
    let data = data(32);
    let mut recipe = recipe(LSQ);
    recipe.train.learning_rate = 1e30;
    let mut trainer = trainer(&network(true), &data, &recipe);
    trainer.fit_edges().unwrap();
    let error = loop {
        match trainer.advance() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let said = error.to_string();
    assert!(matches!(error, TrainError::NotANumber { .. }) && said.contains("moved furthest"), "{said}");
}

#[test]
fn states_of_another_run_are_refused_with_both_sides() {
    let data = data(32);
    let trainer_of = |text: &str| trainer(&network(true), &data, &recipe(text)).save();
    let (mut lsq, float) = (trainer_of(LSQ), trainer_of(""));
    let mut own = trainer(&network(true), &data, &recipe(LSQ));
    let refused = |own: &mut Trainer<'_>, saved| own.load(saved).unwrap_err().to_string();
    assert!(refused(&mut own, &float).contains("is missing"));
    lsq.arrays[0].1.push(0.0);
    assert!(refused(&mut own, &lsq).contains("values, this run's has"));
}

#[test]
fn labels_beyond_the_scores_and_too_few_samples_are_refused() {
    let mut labels = data(32);
    labels.labels[5] = 9;
    let graph = network(true);
    let refused = |data: &Data, batch: usize| {
        let mut recipe = recipe("");
        recipe.train.batch = batch;
        let model = Model::new(
            graph.clone(),
            lowbit_train::model::Quantizers { weights: Vec::new(), edges: Vec::new() },
            true,
        );
        Trainer::new(model.unwrap(), data, &recipe.train, 0, None).err().unwrap().to_string()
    };
    assert!(refused(&labels, 16).contains("sample 5 has label 9; the network has 4 classes"));
    assert!(refused(&data(8), 16).contains("8 training samples do not fill one batch of 16"));
}

#[test]
fn a_draw_is_only_for_training() {
    // Evaluation has no draw: all filters are quantized, whatever the stage.
    let quantizer = lowbit_train::quantizers::Stochastic::new(
        lowbit_train::quantizers::Binary { filter: 4 },
        4,
        Default::default(),
        Default::default(),
        Default::default(),
    );
    use lowbit_train::quantizers::WeightQuantizer;
    let w = noise(32, 1);
    let (mut with, mut without) = (vec![0.0; 32], vec![0.0; 32]);
    quantizer.forward(&[], &w, Some(Draw { ratio: 0.5, seed: 0, step: 0, layer: 0 }), &mut with);
    quantizer.forward(&[], &w, None, &mut without);
    assert_ne!(with, without);
}
