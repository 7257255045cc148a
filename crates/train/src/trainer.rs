//! The training of a model: steps, and what a killed run resumes from.
//!
//! Everything random is drawn from the seed and the number of the step, so a saved state holds numbers only: it goes on
//! to the same bits.

mod batch;
mod evaluate;
mod fit;
mod position;
mod saved;
mod update;

pub use batch::Data;
pub use position::Position;
pub use saved::Saved;

use crate::augment::order;
use crate::error::TrainError;
use crate::model::{Model, Running};
use crate::quantizers::Draw;
use crate::recipe::Train;
use lowbit_engine::{Network, Training};
use lowbit_graph::Graph;
use lowbit_kernels::Isa;
use lowbit_quantize::evaluate::best;
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

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

    /// The model, whose groups hold the learned numbers.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What is validated and written: averages where they are kept, else what was learned.
    pub fn result(&self) -> Vec<Vec<f32>> {
        self.averages.clone().unwrap_or_else(|| self.model.values())
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

    /// What the network sees of a group.
    fn seen(&self, group: usize, draw: Option<Draw>) -> Vec<f32> {
        seen(&self.model, self.weight_of[group], group, draw)
    }

    /// The network as evaluated and written: learned numbers and running statistics, weights as quantized.
    pub fn graph(&self) -> Graph {
        self.model.graph_of(&self.result(), &self.model.running, true)
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
