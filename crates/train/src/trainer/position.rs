//! Where a run is: steps, epochs, stages, and the learning rate that follows from them.

use super::Trainer;

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

impl Trainer<'_> {
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
    pub(super) fn run(&self) -> [u64; 2] {
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
}
