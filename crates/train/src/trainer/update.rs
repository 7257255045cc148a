//! What a step changes: learned numbers, averages, running statistics; and whether they are still numbers.

use super::Trainer;
use crate::model::Kind;
use rayon::prelude::*;

impl Trainer<'_> {
    /// Gradients of what the network saw, back to what is learned, and the optimizer's step.
    pub(super) fn update(&mut self, gradients: Vec<Vec<f32>>) {
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
    pub(super) fn run_statistics(&mut self) {
        let keep = self.options.running;
        for seen in self.tape.statistics() {
            let Some(running) = self.model.running.iter_mut().find(|r| r.name == seen.name) else { continue };
            let unbiased = seen.count as f64 / (seen.count as f64 - 1.0).max(1.0);
            let mix = |old: &mut f32, new: f64| *old = (keep * f64::from(*old) + (1.0 - keep) * new) as f32;
            running.mean.iter_mut().zip(&seen.mean).for_each(|(old, new)| mix(old, *new));
            running.variance.iter_mut().zip(&seen.variance).for_each(|(old, new)| mix(old, new * unbiased));
        }
    }

    /// Whether all that is learned, and all that normalizations keep, are numbers.
    pub(super) fn is_finite(&self) -> bool {
        let finite = |values: &[f32]| values.iter().all(|x| x.is_finite());
        self.model.groups.iter().all(|group| finite(&group.values))
            && self.model.running.iter().all(|running| finite(&running.mean) && finite(&running.variance))
    }

    /// The group that moved furthest, for its size, since the last good state.
    pub(super) fn suspect(&self) -> String {
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
}
