//! What a killed run resumes from.

use super::Trainer;
use crate::error::TrainError;
use std::collections::HashMap;

/// Numbers from which a run goes on to the same bits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Saved {
    /// Steps done.
    pub step: u64,
    /// By name: learned numbers, what the optimizer keeps, averages, running statistics.
    pub arrays: Vec<(String, Vec<f32>)>,
}

impl Trainer<'_> {
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
}
