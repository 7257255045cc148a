//! A training recipe: the bits of a recipe for quantization, what learns them, and how long.
//!
//! TOML with the `[weights]`, `[activations]` and `[[override]]` of every recipe, and
//!
//! ```toml
//! [quantizer]
//! weights = "lcq"          # lsq, lcq, bwn, twn; without it weights stay float
//! activations = "lcq"      # lsq, lcq; without it activations stay float
//! [train]
//! epochs = 10
//! ```

use crate::augment::Augment;
use crate::loss::Loss;
use crate::optimizer::Optimizer;
use crate::quantizers::{Form, Probability, Start, StraightThrough, Threshold, Unit};
use crate::schedule::Schedule;
use lowbit_quantize::recipe::Recipe;
use lowbit_quantize::strict::{self, ConfigError};
use serde::{Deserialize, Serialize};

/// A parsed training recipe.
#[derive(Debug)]
pub struct TrainRecipe {
    /// Bits where, and the name, text and seed; it has no steps.
    pub bits: Recipe,
    /// What learns the codes.
    pub quantizer: Quantizer,
    /// How it is trained.
    pub train: Train,
}

/// Quantizers by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quantizer {
    /// Of weights.
    pub weights: Option<OfWeights>,
    /// Of edges.
    pub activations: Option<OfEdges>,
    /// Intervals of the companding function of LCQ (K); 0 keeps levels evenly spaced.
    pub intervals: Option<usize>,
    /// Multiplies the learning rate of that function's shape. At 1, as published for 300 epochs, it hardly moves in a few:
    /// after 100 steps of ResNet-20 levels were where they began; at 30 (chosen by the training images) they had moved by a
    /// tenth, and 63 % of the training images were right instead of 58 %.
    pub shape_rate: f32,
    /// How gradients pass LCQ.
    pub straight_through: StraightThrough,
    /// Where LSQ's weight steps begin.
    pub start: Start,
    /// TWN's threshold.
    pub threshold: Threshold,
    /// The roulette of stochastic quantization.
    pub form: Form,
    /// Weights of the paper's roulette.
    pub probability: Probability,
    /// What the roulette draws.
    pub unit: Unit,
}

impl Default for Quantizer {
    fn default() -> Quantizer {
        Quantizer {
            weights: None,
            activations: None,
            intervals: None,
            shape_rate: 30.0,
            straight_through: StraightThrough::default(),
            start: Start::default(),
            threshold: Threshold::default(),
            form: Form::default(),
            probability: Probability::default(),
            unit: Unit::default(),
        }
    }
}

/// Quantizers of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfWeights {
    /// A learned step.
    Lsq,
    /// Learned levels.
    Lcq,
    /// One bit and a scale per filter.
    Bwn,
    /// Three values and a scale per filter.
    Twn,
}

/// Quantizers of edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfEdges {
    /// A learned step.
    Lsq,
    /// Learned levels.
    Lcq,
}

/// How training goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Passes over the samples; of each stage where there are several.
    pub epochs: u64,
    /// Steps of the optimizer instead, of each stage.
    pub steps: Option<u64>,
    /// Samples of a step.
    pub batch: usize,
    /// Batches whose gradients one step adds up.
    pub accumulate: usize,
    /// How gradients move parameters.
    pub optimizer: Optimizer,
    /// Base of the learning rate.
    pub learning_rate: f64,
    /// Its factor for what quantizers learn.
    pub quantizer_rate: f64,
    /// How it goes.
    pub schedule: Schedule,
    /// Pull of weights towards zero; biases, normalizations and quantizers have none.
    pub weight_decay: f64,
    /// What is made small.
    pub loss: Loss,
    /// What happens to samples first.
    pub augment: Augment,
    /// Decay of an average of all learned numbers, which is then what is validated and written; 0 for none.
    pub average: f64,
    /// Decay of the running statistics of normalizations per step, as PyTorch's `1 - momentum`.
    pub running: f64,
    /// Shares of filters that are quantized, by stage. Empty: all, in one.
    pub stages: Vec<f64>,
    /// How long the stages are, and whether each begins anew.
    pub course: Course,
    /// What becomes of layers without normalization.
    pub batch_norm: BatchNorm,
}

/// The course of several stages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Course {
    /// Each stage is a whole run: as long as one without stages, with a schedule of its own and no momentum from before
    /// (Dong et al. 2017).
    #[default]
    Runs,
    /// The same, but `epochs` (or `steps`) is what all take together, each as much.
    Shared,
    /// Stages are parts of one run, with one schedule: these are their shares of it.
    Parts(Vec<f64>),
}

impl Course {
    /// The step at which each of so many stages ends; `asked` steps are what one run takes.
    pub fn ends(&self, stages: usize, asked: u64) -> Vec<u64> {
        let each = match self {
            Course::Runs => asked,
            Course::Shared => (asked / stages as u64).max(1),
            Course::Parts(shares) => {
                let (all, mut sum) = (shares.iter().sum::<f64>(), 0.0);
                let mut end = |share: &f64| {
                    sum += share;
                    (sum / all * asked as f64).round() as u64
                };
                return shares.iter().map(|share| end(share).min(asked)).collect();
            }
        };
        (1..=stages as u64).map(|stage| stage * each).collect()
    }

    /// Whether each stage has a schedule and memories of its own.
    pub fn restarts(&self) -> bool {
        !matches!(self, Course::Parts(_))
    }
}

/// Normalization of layers that have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchNorm {
    /// The network is trained as it is.
    #[default]
    Keep,
    /// Convolutions of a network that has no normalization at all (folded by an exporter) get one that changes
    /// nothing at first; it is folded again at the end.
    Insert,
}

impl Default for Train {
    fn default() -> Train {
        Train {
            epochs: 10,
            steps: None,
            batch: 128,
            accumulate: 1,
            optimizer: Optimizer::default(),
            learning_rate: 0.02,
            quantizer_rate: 1.0,
            schedule: Schedule::default(),
            weight_decay: 1e-4,
            loss: Loss::default(),
            augment: Augment::default(),
            average: 0.0,
            running: 0.9,
            stages: Vec::new(),
            course: Course::default(),
            batch_norm: BatchNorm::default(),
        }
    }
}

const BUILT_IN: &[(&str, &str)] = &[
    ("float", include_str!("../recipes/float.toml")),
    ("w2a2-lsq", include_str!("../recipes/w2a2-lsq.toml")),
    ("w3a3-lsq", include_str!("../recipes/w3a3-lsq.toml")),
    ("w4a4-lsq", include_str!("../recipes/w4a4-lsq.toml")),
    ("w2a2-lcq", include_str!("../recipes/w2a2-lcq.toml")),
    ("w3a3-lcq", include_str!("../recipes/w3a3-lcq.toml")),
    ("w4a4-lcq", include_str!("../recipes/w4a4-lcq.toml")),
    ("bwn", include_str!("../recipes/bwn.toml")),
    ("twn", include_str!("../recipes/twn.toml")),
    ("sq-bwn", include_str!("../recipes/sq-bwn.toml")),
    ("sq-twn", include_str!("../recipes/sq-twn.toml")),
];

impl TrainRecipe {
    /// Names and texts of the built-in recipes.
    pub fn built_in() -> &'static [(&'static str, &'static str)] {
        BUILT_IN
    }

    /// The built-in recipe of that name.
    ///
    /// # Errors
    /// When there is none; the message lists those there are.
    pub fn named(name: &str) -> Result<TrainRecipe, ConfigError> {
        let found = BUILT_IN.iter().find(|(n, _)| *n == name);
        let &(name, text) = found
            .ok_or_else(|| strict::unknown("training recipe", name, BUILT_IN.iter().map(|(n, _)| *n)))?;
        TrainRecipe::parse(name, text)
    }

    /// A recipe from TOML text; `name` stands for it in messages and reports.
    ///
    /// # Errors
    /// On bad TOML, unknown keys, or numbers that make no sense.
    pub fn parse(name: &str, text: &str) -> Result<TrainRecipe, ConfigError> {
        let mut table: toml::Table = strict::from_toml(name, text)?;
        let mut section = |key: &str| match table.remove(key) {
            Some(toml::Value::Table(table)) => Ok(table),
            None => Ok(toml::Table::new()),
            Some(_) => Err(invalid(name, key, "expected a table")),
        };
        let quantizer: Quantizer = strict::from_table(&format!("{name}: quantizer"), section("quantizer")?)?;
        let train: Train = strict::from_table(&format!("{name}: train"), section("train")?)?;
        let rest = toml::to_string(&table).map_err(|e| invalid(name, "recipe", &e.to_string()))?;
        let mut bits = Recipe::parse(name, &rest)?;
        bits.text = text.to_owned();
        let recipe = TrainRecipe { bits, quantizer, train };
        recipe.check()?;
        Ok(recipe)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let (name, t) = (&self.bits.name, &self.train);
        let refuse = |key: &str, message: &str| Err(invalid(name, key, message));
        if !self.bits.steps.is_empty() {
            return refuse(
                "step",
                "a training recipe has no steps; quantize first, then train, or the other way round",
            );
        }
        if t.epochs == 0 || t.steps == Some(0) || t.batch == 0 || t.accumulate == 0 {
            return refuse("train", "epochs, steps, batch and accumulate are at least 1");
        }
        if !(t.learning_rate.is_finite() && t.learning_rate > 0.0) {
            return refuse("train.learning_rate", "accepted: numbers above 0");
        }
        let share = |x: f64| (0.0..1.0).contains(&x);
        if !share(t.average) || !share(t.running) || !share(f64::from(t.loss.label_smoothing)) {
            return refuse(
                "train",
                "average, running and label_smoothing are from 0 up to, not including, 1",
            );
        }
        if !(0.0..=1.0).contains(&t.loss.distillation)
            || t.loss.temperature.is_nan()
            || t.loss.temperature <= 0.0
        {
            return refuse("train.loss", "distillation is 0 to 1, temperature above 0");
        }
        if t.stages.iter().any(|r| !(0.0..=1.0).contains(r)) || t.stages.last().is_some_and(|&r| r < 1.0) {
            return refuse("train.stages", "shares of filters from 0 to 1, the last one 1");
        }
        if let Course::Parts(shares) = &t.course
            && (shares.len() != t.stages.len().max(1) || shares.iter().any(|s| !s.is_finite() || *s <= 0.0))
        {
            return refuse("train.course", "as many parts as stages, each above 0");
        }
        if !(self.quantizer.shape_rate.is_finite() && self.quantizer.shape_rate >= 0.0) {
            return refuse("quantizer.shape_rate", "accepted: numbers from 0");
        }
        let binary = matches!(self.quantizer.weights, Some(OfWeights::Bwn | OfWeights::Twn));
        if !t.stages.is_empty() && !binary {
            return refuse("train.stages", "only `bwn` and `twn` quantize some filters before others");
        }
        if self.quantizer.weights.is_none() != self.bits.weights.bits.is_none() {
            return refuse("quantizer.weights", "goes with `weights.bits`: give both or neither");
        }
        if self.quantizer.activations.is_none() != self.bits.activations.bits.is_none() {
            return refuse("quantizer.activations", "goes with `activations.bits`: give both or neither");
        }
        Ok(())
    }

    /// Whether anything becomes few bits.
    pub fn quantizes(&self) -> bool {
        self.quantizer.weights.is_some() || self.quantizer.activations.is_some()
    }
}

fn invalid(name: &str, place: &str, message: &str) -> ConfigError {
    ConfigError::Invalid { place: format!("{name}: {place}"), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_recipes_parse() {
        for (name, _) in BUILT_IN {
            let recipe = TrainRecipe::named(name).unwrap();
            assert!(!recipe.bits.summary.is_empty(), "{name}");
            assert_eq!(recipe.quantizes(), *name != "float", "{name}");
        }
    }

    #[test]
    fn stages_are_as_long_as_their_course_says() {
        assert_eq!(Course::Runs.ends(3, 10), [10, 20, 30]);
        assert_eq!(Course::Shared.ends(3, 10), [3, 6, 9]);
        assert_eq!(Course::Parts(vec![1.0, 1.0, 2.0]).ends(3, 10), [3, 5, 10]);
        // A part of nothing is passed over.
        assert_eq!(Course::Parts(vec![0.01, 1.0]).ends(2, 10), [0, 10]);
    }

    #[test]
    fn slips_are_named() {
        for (text, words) in [
            ("[train]\nepoch = 3", "did you mean `epochs`"),
            ("[train]\nepochs = 0", "at least 1"),
            ("[quantizer]\nweights = \"lcqq\"\n[weights]\nbits = 2", "lcq"),
            ("[quantizer]\nweights = \"lcq\"", "weights.bits"),
            ("[train]\nstages = [0.5, 1.0]", "bwn"),
            (
                "[quantizer]\nweights = \"bwn\"\n[weights]\nbits = 2\n[train]\nstages = [0.5]",
                "the last one 1",
            ),
            (
                "[quantizer]\nweights = \"bwn\"\n[weights]\nbits = 2\n[train]\nstages = [0.5, 1]\ncourse = { parts = [1.0] }",
                "as many parts as stages",
            ),
            ("[[step]]\nmethod = \"minmax\"", "no steps"),
            ("train = 3", "expected a table"),
        ] {
            let error = TrainRecipe::parse("test", text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        let error = TrainRecipe::named("w2a2-lqc").unwrap_err().to_string();
        assert!(error.contains("did you mean `w2a2-lcq`"), "{error}");
    }
}
