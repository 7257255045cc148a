//! The sensitivity table: what widths cost in accuracy, layer by layer, and pair by pair inside a block.

/// Losses by unit (layer or output channel) and choice; a choice is a place in the ascending list of widths.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// `[unit][choice]`: loss when this unit alone is quantized, in nats.
    pub alone: Vec<Vec<f64>>,
    /// Where two layers of one block, both units, lose more (or less) than both alone. Other pairs are taken to add up.
    pub pairs: Vec<Pair>,
}

/// An off-diagonal entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The two layers.
    pub layers: [usize; 2],
    /// The choice of each.
    pub choices: [usize; 2],
    /// Loss beyond the sum of both alone, in nats; negative where errors cancel.
    pub extra: f64,
}

impl Table {
    /// Predicted loss of a choice per layer, in nats.
    ///
    /// # Panics
    /// When `chosen` has fewer layers than the table, or a choice that it lacks.
    pub fn loss(&self, chosen: &[usize]) -> f64 {
        let alone: f64 = self.alone.iter().zip(chosen).map(|(losses, &c)| losses[c]).sum();
        let holds = |pair: &&Pair| pair.layers.map(|l| chosen[l]) == pair.choices;
        alone + self.pairs.iter().filter(holds).map(|pair| pair.extra).sum::<f64>()
    }

    /// The layer and choice of a loss that is no number, if there is one.
    pub fn not_a_number(&self) -> Option<(usize, usize)> {
        let pairs = self.pairs.iter().filter(|pair| !pair.extra.is_finite());
        let alone = self
            .alone
            .iter()
            .enumerate()
            .find_map(|(l, losses)| Some((l, losses.iter().position(|loss| !loss.is_finite())?)));
        alone.or_else(|| pairs.map(|pair| (pair.layers[0], pair.choices[0])).next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_counts_only_where_both_have_its_choices() {
        let pair = Pair { layers: [0, 2], choices: [0, 1], extra: 10.0 };
        let table = Table { alone: vec![vec![1.0, 2.0], vec![0.25, 0.5], vec![4.0, 8.0]], pairs: vec![pair] };
        assert_eq!(table.loss(&[0, 0, 1]), 1.0 + 0.25 + 8.0 + 10.0);
        assert_eq!(table.loss(&[1, 0, 1]), 2.0 + 0.25 + 8.0);
    }
}
