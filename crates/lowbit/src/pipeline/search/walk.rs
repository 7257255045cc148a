//! The space as tuners see it: measured once, remembered, told.

use std::time::Instant;

use anyhow::Result;
use lowbit_quantize::search::cost::Pricing;
use lowbit_quantize::search::evaluator::{Evaluator, UNUSABLE};
use lowbit_quantize::search::space::Space;
use lowbit_quantize::search::tuner::{Problem, Rank, Score};
use lowbit_quantize::search::{Strategy, Trial};

use super::super::stages::Stages;
use super::log::TrialLog;
use crate::facade::Goal;

/// A walk through the space of one search.
pub(super) struct Walk<'a> {
    pub(super) goal: Goal,
    pub(super) space: &'a Space,
    pub(super) pricing: &'a Pricing<'a>,
    pub(super) evaluator: Evaluator<'a>,
    pub(super) log: TrialLog,
    pub(super) stages: &'a Stages<'a>,
    began: Option<Instant>,
    /// Trials measured now.
    pub(super) done: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        goal: Goal,
        space: &'a Space,
        pricing: &'a Pricing<'a>,
        evaluator: Evaluator<'a>,
        log: TrialLog,
        stages: &'a Stages<'a>,
    ) -> Walk<'a> {
        Walk { goal, space, pricing, evaluator, log, stages, began: None, done: 0 }
    }

    /// Trials per minute of those measured now.
    pub(super) fn per_minute(&self) -> f64 {
        let seconds = self.began.map_or(0.0, |began| began.elapsed().as_secs_f64());
        if self.done > 0 { 60.0 * self.done as f64 / seconds.max(1e-9) } else { 0.0 }
    }

    fn trial(&mut self, strategy: &Strategy) -> Result<Trial> {
        if let Some(trial) = self.log.get(strategy) {
            return Ok(trial.clone());
        }
        self.began.get_or_insert_with(Instant::now);
        let trial = self.evaluator.measure(strategy)?;
        if trial.loss >= UNUSABLE {
            self.stages.note(format!("strategy {strategy:?} answers with what is no number"));
        }
        self.log.add(&trial)?;
        self.done += 1;
        self.stages.say(&format!("{:.0} trials/min", self.per_minute()));
        Ok(trial)
    }

    fn score(&self, trial: &Trial) -> Score {
        let cost = self.cost(&trial.strategy);
        // Beyond a limit, coming nearer to it is worth more than any loss.
        let beyond = |limit: f64| 1e6 * (cost / limit - 1.0).max(0.0);
        let rank = match self.goal {
            Goal::Drop(most) => Rank((trial.drop - most).max(0.0), cost),
            Goal::Size(most) => Rank(trial.loss + beyond(most as f64), trial.bits as f64),
            Goal::Latency(most) => Rank(trial.loss + beyond(most), trial.bits as f64),
        };
        Score { rank, loss: trial.loss }
    }
}

impl Problem for Walk<'_> {
    type Error = anyhow::Error;

    fn sizes(&self) -> Vec<usize> {
        self.space.sizes()
    }

    fn measure(&mut self, strategies: &[Strategy]) -> Result<Vec<Score>> {
        let mut scores = Vec::new();
        for strategy in strategies {
            let trial = self.trial(strategy)?;
            self.stages.advance(1);
            scores.push(self.score(&trial));
        }
        Ok(scores)
    }

    fn cost(&self, strategy: &Strategy) -> f64 {
        match self.goal {
            // Checked before the first trial; a strategy that cannot be priced is not to be had.
            Goal::Latency(_) => self.pricing.milliseconds(self.space, strategy).unwrap_or(f64::INFINITY),
            _ => self.pricing.bytes(self.space, strategy),
        }
    }
}
