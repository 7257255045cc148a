//! The training of a model: steps, and what a killed run resumes from.
//!
//! Everything random is drawn from the seed and the number of the step, so a saved state holds numbers only: it goes on
//! to the same bits.

use crate::augment::order;
use crate::error::TrainError;
use crate::model::{Kind, Model, Running};
use crate::quantizers::Draw;
use crate::recipe::Train;
use lowbit_engine::{Network, Rounding, Training};
use lowbit_graph::passes::dead_nodes;
use lowbit_graph::{Dim, Graph, ValueId};
use lowbit_kernels::Isa;
use lowbit_quantize::evaluate::best;
use lowbit_quantize::rows::Rows;
use lowbit_tensor::Tensor;
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Labelled samples.
#[derive(Debug)]
pub struct Data {
    /// One row per sample, channels last.
    pub samples: Rows,
    /// Of a sample, channels last.
    pub shape: Vec<usize>,
    /// Class of each.
    pub labels: Vec<u32>,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Steps done, of all stages.
    pub step: u64,
    /// The stage that the next step belongs to.
    pub stage: usize,
    /// Its epoch, counted from the beginning of the run.
    pub epoch: u64,
    /// Its place within the epoch.
    pub in_epoch: u64,
}

/// What some steps came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Sum of the losses of samples.
    pub loss: f64,
    /// Samples whose class had the highest score.
    pub correct: usize,
    /// Samples.
    pub samples: usize,
}

impl Progress {
    /// Adds another's.
    pub fn add(&mut self, other: Progress) {
        self.loss += other.loss;
        self.correct += other.correct;
        self.samples += other.samples;
    }
}

/// Numbers from which a run goes on to the same bits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Saved {
    /// Steps done.
    pub step: u64,
    /// By name: learned numbers, what the optimizer keeps, averages, running statistics.
    pub arrays: Vec<(String, Vec<f32>)>,
}

/// A run.
pub struct Trainer<'a> {
    model: Model,
    tape: Training,
    data: &'a Data,
    options: Train,
    seed: u64,
    stages: Vec<f64>,
    steps_per_epoch: u64,
    /// Step at which each stage ends, ascending.
    ends: Vec<u64>,
    step: u64,
    isa: Isa,
    /// The order of an epoch's samples, and which epoch.
    order: (Option<u64>, Vec<usize>),
    /// By group, what the optimizer keeps.
    memories: Vec<Vec<Vec<f32>>>,
    /// By group.
    averages: Option<Vec<Vec<f32>>>,
    teacher: Option<Network>,
    /// By tape parameter: its group.
    groups: Vec<usize>,
    /// By group: its quantized weight.
    weight_of: Vec<Option<usize>>,
    /// Learned numbers of the last saved or validated state.
    good: Vec<Vec<f32>>,
}

/// Values of an edge by the first of their rows.
type Seen = Vec<(usize, Vec<f32>)>;

/// Rows of the first batch that edges are first fitted to.
const SEEN_ROWS: usize = 32;
/// Values of an edge that they are fitted to at most.
const SEEN_VALUES: usize = 1 << 16;

impl<'a> Trainer<'a> {
    /// Plans the run; nothing large is allocated yet (see [`Trainer::bytes`]). `teacher` is the float network, where the
    /// loss wants one.
    ///
    /// # Errors
    /// When the network cannot be trained, or the samples do not fit it.
    pub fn new(
        model: Model,
        data: &'a Data,
        options: &Train,
        seed: u64,
        teacher: Option<&Graph>,
    ) -> Result<Trainer<'a>, TrainError> {
        let per_step = options.batch * options.accumulate;
        let steps_per_epoch = (data.labels.len() / per_step) as u64;
        if steps_per_epoch == 0 {
            return Err(TrainError::TooFewSamples { samples: data.labels.len(), batch: per_step });
        }
        let tape = Training::new(&model.graph, options.batch, &model.tape_parameters(), model.roundings())?;
        let classes = tape.output_lens().first().copied().unwrap_or(0);
        let beyond = data.labels.iter().position(|&label| label as usize >= classes);
        if let Some(sample) = beyond {
            return Err(TrainError::Label { sample, label: data.labels[sample], classes });
        }
        let stages = if options.stages.is_empty() { vec![1.0] } else { options.stages.clone() };
        let asked = options.steps.unwrap_or(options.epochs * steps_per_epoch);
        let ends = options.course.ends(stages.len(), asked);
        let memories =
            |group: &crate::model::Group| vec![vec![0.0; group.values.len()]; options.optimizer.memories()];
        let weight_of = |g: usize| model.weights.iter().position(|w| w.shadow == g);
        Ok(Trainer {
            memories: model.groups.iter().map(memories).collect(),
            averages: (options.average > 0.0).then(|| model.values()),
            teacher: teacher.map(Network::new).transpose()?,
            groups: model.tape_groups(),
            weight_of: (0..model.groups.len()).map(weight_of).collect(),
            good: model.values(),
            order: (None, Vec::new()),
            isa: Isa::from_env().map_err(lowbit_engine::EngineError::from)?,
            options: options.clone(),
            step: 0,
            tape,
            data,
            seed,
            stages,
            steps_per_epoch,
            ends,
            model,
        })
    }

    /// Memory of a step: the tape's, and what the optimizer keeps.
    pub fn bytes(&self) -> usize {
        let kept: usize = self.memories.iter().flatten().map(Vec::len).sum();
        self.tape.bytes() + kept * size_of::<f32>()
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> u64 {
        self.ends[self.ends.len() - 1]
    }

    /// Steps of an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    /// Epochs of the whole run: where stages are runs of their own, each begins one.
    pub fn epochs(&self) -> u64 {
        let runs = self.runs();
        runs.iter().map(|[begin, end]| (end - begin).div_ceil(self.steps_per_epoch)).sum()
    }

    /// First step of each run, and the one after its last: of each stage, or of all in one.
    fn runs(&self) -> Vec<[u64; 2]> {
        if !self.options.course.restarts() {
            return vec![[0, self.steps()]];
        }
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| [begin, end]).collect()
    }

    /// The run that the next step belongs to.
    fn run(&self) -> [u64; 2] {
        let runs = self.runs();
        *runs.iter().find(|[_, end]| self.step < *end).unwrap_or(&runs[runs.len() - 1])
    }

    /// Where it is.
    pub fn position(&self) -> Position {
        let stage = self.ends.iter().position(|&end| self.step < end).unwrap_or(self.ends.len() - 1);
        let [begin, _] = self.run();
        let earlier = self.runs().into_iter().take_while(|[first, _]| *first < begin);
        let epochs: u64 = earlier.map(|[first, end]| (end - first).div_ceil(self.steps_per_epoch)).sum();
        let within = self.step - begin;
        Position {
            step: self.step,
            stage,
            epoch: epochs + within / self.steps_per_epoch,
            in_epoch: within % self.steps_per_epoch,
        }
    }

    /// Whether all steps are done.
    pub fn is_done(&self) -> bool {
        self.step >= self.steps()
    }

    /// Learning rate of the next step.
    pub fn rate(&self) -> f64 {
        let [begin, end] = self.run();
        self.options.learning_rate * self.options.schedule.factor(self.step - begin, end - begin)
    }

    /// The model, whose groups hold the learned numbers.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What is validated and written: averages where they are kept, else what was learned.
    pub fn result(&self) -> Vec<Vec<f32>> {
        self.averages.clone().unwrap_or_else(|| self.model.values())
    }

    /// Fits the edges' quantizers to one batch, in the order in which training would see it: with weights as quantized,
    /// edges in float, normalizations by the batch. (By running statistics, layers not yet used to each other shrink
    /// deep edges, and steps fitted to those collapse.)
    ///
    /// # Errors
    /// When the network cannot be run.
    pub fn fit_edges(&mut self) -> Result<(), TrainError> {
        let model = &self.model;
        if model.edges.iter().all(|edge| edge.parameters.is_none()) {
            return Ok(());
        }
        let open: Vec<_> =
            model.edges.iter().map(|e| (e.rounded, Arc::new(Open) as Arc<dyn Rounding>)).collect();
        let constants: Vec<_> = model.tape_parameters();
        let constants: Vec<_> =
            constants.into_iter().filter(|p| matches!(p, lowbit_engine::Parameter::Constant(_))).collect();
        let mut tape = Training::new(&model.graph, self.options.batch, &constants, open)?;
        for (at, &group) in self.groups.iter().take(constants.len()).enumerate() {
            tape.set(at, &self.seen(group, None))?;
        }
        let order = order(self.data.labels.len(), self.seed, 0);
        let batch = self.batch(&order[..self.options.batch], 0)?;
        let values: Vec<_> = model.edges.iter().map(|e| e.rounded).collect();
        let kept: Vec<Mutex<Seen>> = values.iter().map(|_| Mutex::default()).collect();
        tape.observe(
            self.options.batch,
            |rows, inputs| batch.feed(rows, inputs),
            &values,
            |i, rows, values| {
                if rows.start < SEEN_ROWS {
                    kept[i]
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((rows.start, values.to_vec()));
                }
                Ok(())
            },
        )?;
        for (edge, kept) in self.model.edges.iter().zip(kept) {
            let mut kept = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
            kept.sort_by_key(|(row, _)| *row);
            let all: Vec<f32> = kept.into_iter().flat_map(|(_, values)| values).collect();
            let every = all.len().div_ceil(SEEN_VALUES).max(1);
            let some: Vec<f32> = all.into_iter().step_by(every).collect();
            if let Some(group) = edge.parameters {
                self.model.groups[group].values = edge.quantizer.start(&some);
            }
        }
        self.averages = self.averages.as_ref().map(|_| self.model.values());
        self.good = self.model.values();
        Ok(())
    }

    /// Does one step.
    ///
    /// # Errors
    /// When the loss, or what is learned, is no longer a number; the last state that was saved is then the one to go on from.
    pub fn advance(&mut self) -> Result<Progress, TrainError> {
        let at = self.position();
        let [begin, _] = self.run();
        if self.step > 0 && self.step == begin {
            // A run of its own.
            self.memories.iter_mut().flatten().for_each(|memory| memory.fill(0.0));
        }
        let draw = |layer: usize| Draw {
            ratio: self.stages[at.stage],
            seed: self.seed,
            step: self.step,
            layer: layer as u64,
        };
        let (model, weight_of) = (&self.model, &self.weight_of);
        let each = |&group: &usize| seen(model, weight_of[group], group, weight_of[group].map(draw));
        let all: Vec<Vec<f32>> = self.groups.par_iter().map(each).collect();
        all.iter().enumerate().try_for_each(|(place, seen)| self.tape.set(place, seen))?;
        self.tape.seed(self.seed.wrapping_add(self.step));
        if self.order.0 != Some(at.epoch) {
            self.order = (Some(at.epoch), order(self.data.labels.len(), self.seed, at.epoch));
        }
        let per_step = self.options.batch * self.options.accumulate;
        let chosen = self.order.1[at.in_epoch as usize * per_step..][..per_step].to_vec();
        let mut progress = Progress::default();
        let mut gradients: Vec<Vec<f32>> = Vec::new();
        for chosen in chosen.chunks(self.options.batch) {
            let batch = self.batch(chosen, at.epoch)?;
            let taught = self.taught(&batch)?;
            let correct = AtomicUsize::new(0);
            let factor = 1.0 / per_step as f32;
            let loss = &self.options.loss;
            let found = self.tape.step(
                chosen.len(),
                |rows, inputs| batch.feed(rows, inputs),
                |rows, outputs, grads| {
                    let classes = outputs[0].len() / rows.len();
                    let mut sum = 0.0;
                    let each = outputs[0].chunks(classes).zip(grads[0].chunks_mut(classes)).zip(rows.clone());
                    for ((scores, gradient), row) in each {
                        let label = batch.labels[row] as usize;
                        let teacher = taught.as_ref().map(|t| &t[row * classes..(row + 1) * classes]);
                        sum += loss.of(scores, label, teacher, factor, gradient);
                        correct.fetch_add(usize::from(best(scores) == label), Ordering::Relaxed);
                    }
                    grads[1..].iter_mut().for_each(|g| g.fill(0.0));
                    Ok(sum)
                },
            )?;
            progress.add(Progress { loss: found.loss, correct: correct.into_inner(), samples: chosen.len() });
            if !found.loss.is_finite() {
                break;
            }
            self.run_statistics();
            if gradients.is_empty() {
                gradients = found.parameters;
            } else {
                let pairs = gradients.iter_mut().flatten().zip(found.parameters.iter().flatten());
                pairs.for_each(|(sum, g)| *sum += g);
            }
        }
        if !progress.loss.is_finite() {
            return Err(TrainError::NotANumber { step: self.step, epoch: at.epoch, suspect: self.suspect() });
        }
        self.update(gradients);
        // Behind a normalization, weights beyond all bounds leave a loss that looks well.
        if !self.is_finite() {
            return Err(TrainError::NotANumber { step: self.step, epoch: at.epoch, suspect: self.suspect() });
        }
        self.step += 1;
        Ok(progress)
    }

    /// Whether all that is learned, and all that normalizations keep, are numbers.
    fn is_finite(&self) -> bool {
        let finite = |values: &[f32]| values.iter().all(|x| x.is_finite());
        self.model.groups.iter().all(|group| finite(&group.values))
            && self.model.running.iter().all(|running| finite(&running.mean) && finite(&running.variance))
    }

    /// What the network sees of a group.
    fn seen(&self, group: usize, draw: Option<Draw>) -> Vec<f32> {
        seen(&self.model, self.weight_of[group], group, draw)
    }

    /// Gradients of what the network saw, back to what is learned, and the optimizer's step.
    fn update(&mut self, gradients: Vec<Vec<f32>>) {
        let (model, weight_of) = (&self.model, &self.weight_of);
        let back = |(&group, mut gradient): (&usize, Vec<f32>)| {
            let mut found = Vec::with_capacity(2);
            if let Some(weight) = weight_of[group].map(|w| &model.weights[w]) {
                let learned = model.learned(weight.parameters);
                let mut by_parameter = vec![0.0; learned.len()];
                let shadow = &model.groups[group].values;
                weight.quantizer.backward(learned, shadow, &mut gradient, &mut by_parameter);
                found.extend(weight.parameters.map(|parameters| (parameters, by_parameter)));
            }
            found.push((group, gradient));
            found
        };
        let pairs = self.groups.par_iter().zip(gradients);
        let found: Vec<(usize, Vec<f32>)> = pairs.flat_map_iter(back).collect();
        let mut gradients: Vec<Vec<f32>> = vec![Vec::new(); model.groups.len()];
        found.into_iter().for_each(|(group, gradient)| gradients[group] = gradient);
        let (rate, options, isa) = (self.rate(), &self.options, self.isa);
        let time = self.step - self.run()[0] + 1;
        let groups = self.model.groups.par_iter_mut().zip(&mut self.memories).zip(&mut gradients);
        groups.filter(|(_, gradient)| !gradient.is_empty()).for_each(|((group, memories), gradient)| {
            let (rate, decay) = match group.kind {
                Kind::Weight => (rate, options.weight_decay),
                Kind::Other => (rate, 0.0),
                Kind::Quantizer => (rate * options.quantizer_rate, 0.0),
            };
            options.optimizer.update(isa, [rate, decay], time, &mut group.values, gradient, memories);
        });
        for weight in &self.model.weights {
            if let Some(g) = weight.parameters {
                weight.quantizer.constrain(&mut self.model.groups[g].values);
            }
        }
        for edge in &self.model.edges {
            if let Some(g) = edge.parameters {
                edge.quantizer.constrain(&mut self.model.groups[g].values);
            }
        }
        if let Some(averages) = &mut self.averages {
            let keep = self.options.average as f32;
            let pairs = averages.iter_mut().flatten().zip(self.model.groups.iter().flat_map(|g| &g.values));
            pairs.for_each(|(average, now)| *average = keep * *average + (1.0 - keep) * now);
        }
    }

    /// Running statistics after a batch; the variance unbiased, as in PyTorch.
    fn run_statistics(&mut self) {
        let keep = self.options.running;
        for seen in self.tape.statistics() {
            let Some(running) = self.model.running.iter_mut().find(|r| r.name == seen.name) else { continue };
            let unbiased = seen.count as f64 / (seen.count as f64 - 1.0).max(1.0);
            let mix = |old: &mut f32, new: f64| *old = (keep * f64::from(*old) + (1.0 - keep) * new) as f32;
            running.mean.iter_mut().zip(&seen.mean).for_each(|(old, new)| mix(old, *new));
            running.variance.iter_mut().zip(&seen.variance).for_each(|(old, new)| mix(old, new * unbiased));
        }
    }

    /// Samples of a batch as the network takes them, augmented.
    fn batch(&self, chosen: &[usize], pass: u64) -> Result<Batch, TrainError> {
        let row = self.data.samples.row_len();
        let mut values = vec![0.0; chosen.len() * row];
        let augment = self.options.augment;
        let one = |(out, &sample): (&mut [f32], &usize)| {
            let [h, w, c] = self.data.shape[..] else {
                return self.data.samples.read(sample..sample + 1, out).map_err(TrainError::from);
            };
            let mut image = vec![0.0; row];
            self.data.samples.read(sample..sample + 1, &mut image)?;
            augment.apply([h, w, c], &image, self.seed, pass, sample as u64, out);
            Ok(())
        };
        values.par_chunks_mut(row.max(1)).zip(chosen).try_for_each(one)?;
        Ok(Batch { row, values, labels: chosen.iter().map(|&i| self.data.labels[i]).collect() })
    }

    /// Scores of the teacher.
    fn taught(&self, batch: &Batch) -> Result<Option<Vec<f32>>, TrainError> {
        let Some(teacher) = self.teacher.as_ref().filter(|_| self.options.loss.distillation > 0.0) else {
            return Ok(None);
        };
        let samples = batch.labels.len();
        let input = match self.data.shape[..] {
            [h, w, c] => {
                let mut planes = vec![0.0; batch.values.len()];
                for (from, to) in batch.values.chunks(batch.row).zip(planes.chunks_mut(batch.row)) {
                    lowbit_kernels::layout::nhwc_to_nchw(c, h * w, from, to);
                }
                Tensor::from_f32([samples, c, h, w], planes)
            }
            ref shape => Tensor::from_f32([&[samples], shape].concat(), batch.values.clone()),
        };
        Ok(teacher.run(&[input])?.first().map(Tensor::to_f32))
    }

    /// The group that moved furthest, for its size, since the last good state.
    fn suspect(&self) -> String {
        let norm = |values: &[f32]| values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let moved = |g: usize| {
            let (now, before) = (&self.model.groups[g].values, &self.good[g]);
            let change: Vec<f32> = now.iter().zip(before).map(|(a, b)| a - b).collect();
            let by = norm(&change) / norm(before).max(1e-6);
            if by.is_finite() { by } else { f64::INFINITY }
        };
        let furthest = (0..self.good.len()).map(|g| (g, moved(g))).max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((g, _)) = furthest else { return "nothing was learned yet".into() };
        let group = &self.model.groups[g];
        let size = |values: &[f32]| norm(values) / (values.len().max(1) as f64).sqrt();
        let kind = if group.kind == Kind::Quantizer { "quantizer" } else { "constant" };
        format!(
            "{kind} `{}` moved furthest since the last good state, from {:.4} to {:.4} (root mean square)",
            group.name,
            size(&self.good[g]),
            size(&group.values)
        )
    }

    /// The state to go on from.
    pub fn save(&self) -> Saved {
        let mut arrays = Vec::new();
        for (at, group) in self.model.groups.iter().enumerate() {
            arrays.push((format!("{at}/values/{}", group.name), group.values.clone()));
            for (m, memory) in self.memories[at].iter().enumerate() {
                arrays.push((format!("{at}/memory{m}/{}", group.name), memory.clone()));
            }
            if let Some(averages) = &self.averages {
                arrays.push((format!("{at}/average/{}", group.name), averages[at].clone()));
            }
        }
        for running in &self.model.running {
            arrays.push((format!("mean/{}", running.name), running.mean.clone()));
            arrays.push((format!("variance/{}", running.name), running.variance.clone()));
        }
        Saved { step: self.step, arrays }
    }

    /// Goes on from a saved state of the same run.
    ///
    /// # Errors
    /// When an array is missing, has another length, or is one too many; nothing has changed then.
    pub fn load(&mut self, saved: &Saved) -> Result<(), TrainError> {
        let own = self.save();
        let found: HashMap<&str, &Vec<f32>> = saved.arrays.iter().map(|(n, v)| (n.as_str(), v)).collect();
        for (name, values) in &own.arrays {
            match found.get(name.as_str()) {
                None => return Err(TrainError::OtherRun(format!("`{name}` is missing from it"))),
                Some(v) if v.len() != values.len() => {
                    let what = format!("`{name}` has {} values, this run's has {}", v.len(), values.len());
                    return Err(TrainError::OtherRun(what));
                }
                Some(_) => {}
            }
        }
        if saved.arrays.len() != own.arrays.len() {
            let what = format!("it has {} arrays, this run {}", saved.arrays.len(), own.arrays.len());
            return Err(TrainError::OtherRun(what));
        }
        if saved.step > self.steps() {
            return Err(TrainError::OtherRun(format!(
                "it is at step {}, this run has {}",
                saved.step,
                self.steps()
            )));
        }
        let mut arrays = own.arrays.iter().map(|(name, _)| found[name.as_str()].clone());
        let mut next = || arrays.next().unwrap_or_default();
        for at in 0..self.model.groups.len() {
            self.model.groups[at].values = next();
            self.memories[at].iter_mut().for_each(|memory| *memory = next());
            if let Some(averages) = &mut self.averages {
                averages[at] = next();
            }
        }
        for running in &mut self.model.running {
            (running.mean, running.variance) = (next(), next());
        }
        self.step = saved.step;
        self.good = self.model.values();
        Ok(())
    }

    /// The network as evaluated and written: learned numbers and running statistics, weights as quantized.
    pub fn graph(&self) -> Graph {
        self.model.graph_of(&self.result(), &self.model.running, true)
    }

    /// First output for samples, by running statistics, edges rounded by the quantizers themselves: what a deployed network
    /// must compute.
    ///
    /// # Errors
    /// When the network cannot be run.
    pub fn evaluate(&self, input: &Tensor) -> Result<Vec<f32>, TrainError> {
        let result = self.result();
        let mut graph = self.model.with_values(&result, &self.model.running);
        let rounded: Vec<_> = self.model.edges.iter().map(|e| e.rounded).collect();
        // Cut at each rounded edge: what is before gives it, the quantizer rounds it, it becomes an input of the rest.
        let mut known = vec![(graph.inputs[0], input.clone())];
        for (edge, rounded) in self.model.edges.iter().zip(rounded) {
            let place = graph.nodes.iter().position(|n| n.outputs.first() == Some(&rounded));
            let Some(source) = place.and_then(|at| graph.nodes[at].input(0)) else { continue };
            let found = run_to(&graph, &known, source)?;
            let values = found.to_f32();
            let mut out = vec![0.0; values.len()];
            let rounding = edge.quantizer.clone().rounding();
            if let Some(group) = edge.parameters {
                rounding.set(&result[group]);
            }
            rounding.forward(self.isa, &values, &mut out);
            known.push((rounded, Tensor::from_f32(found.shape(), out)));
            if let Some(at) = place {
                graph.nodes.remove(at);
            }
        }
        let output = graph.outputs[0];
        Ok(run_to(&graph, &known, output)?.to_f32())
    }

    /// Remembers the present numbers as good, for what is said when a later step fails.
    pub fn is_good(&mut self) {
        self.good = self.model.values();
    }

    /// Running statistics.
    pub fn running(&self) -> &[Running] {
        &self.model.running
    }
}

/// What the network sees of a group, which may be the shadow of a quantized weight.
fn seen(model: &Model, weight: Option<usize>, group: usize, draw: Option<Draw>) -> Vec<f32> {
    let values = &model.groups[group].values;
    let Some(weight) = weight.map(|w| &model.weights[w]) else {
        return values.clone();
    };
    let mut seen = vec![0.0; values.len()];
    weight.quantizer.forward(model.learned(weight.parameters), values, draw, &mut seen);
    seen
}

/// A value of a graph, from values that are known.
fn run_to(graph: &Graph, known: &[(ValueId, Tensor)], value: ValueId) -> Result<Tensor, TrainError> {
    if let Some((_, found)) = known.iter().find(|(id, _)| *id == value) {
        return Ok(found.clone());
    }
    let mut part = graph.clone();
    part.inputs = known.iter().map(|(id, _)| *id).collect();
    for (id, tensor) in known {
        part.values[id.0].dtype = Some(tensor.dtype());
        part.values[id.0].shape = Some(tensor.shape().iter().map(|&d| Dim::Known(d)).collect());
    }
    part.outputs = vec![value];
    dead_nodes(&mut part);
    part.inputs.retain(|id| part.nodes.iter().any(|n| n.inputs.contains(&Some(*id))));
    let inputs: Vec<Tensor> = part
        .inputs
        .iter()
        .filter_map(|i| known.iter().find(|(id, _)| id == i))
        .map(|(_, t)| t.clone())
        .collect();
    Ok(Network::new(&part)?.run(&inputs)?.swap_remove(0))
}

/// Samples of a step.
struct Batch {
    row: usize,
    values: Vec<f32>,
    labels: Vec<u32>,
}

impl Batch {
    fn feed(
        &self,
        rows: std::ops::Range<usize>,
        inputs: &mut [&mut [f32]],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        inputs[0].copy_from_slice(&self.values[rows.start * self.row..rows.end * self.row]);
        Ok(())
    }
}

/// Rounds nothing: stands in for the edges' quantizers while they are fitted.
struct Open;

impl Rounding for Open {
    fn len(&self) -> usize {
        0
    }

    fn set(&self, _values: &[f32]) {}

    fn forward(&self, _isa: Isa, x: &[f32], y: &mut [f32]) {
        y.copy_from_slice(x);
    }

    fn backward(&self, _isa: Isa, _x: &[f32], _grad: &mut [f32], _parameters: &mut [f32]) {}
}
