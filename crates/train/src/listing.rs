//! What a training recipe can be made of, for people: the quantizers and the sections of `[train]`, with their options.

/// A quantizer, or a part of the training, and its options.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name in recipes.
    pub id: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Options: name and meaning, with range and default.
    pub options: &'static [(&'static str, &'static str)],
}

/// Values of `quantizer.weights` and `quantizer.activations`, with the keys of `[quantizer]` that they read; then the
/// keys of `[train]`.
pub const ALL: &[Entry] = &[
    Entry {
        id: "lsq",
        summary: "evenly spaced levels with a trained step (weights, activations)",
        options: &[("start", "where weight steps begin: mse (default) or published")],
    },
    Entry {
        id: "lcq",
        summary: "levels spaced by a trained companding function (weights, activations)",
        options: &[
            ("intervals", "pieces of the function (16); 0 keeps levels even"),
            ("shape_rate", "factor of the function's learning rate (30)"),
            (
                "straight_through",
                "gradient past the quantizer (paper, default) or the rounding alone (rounding)",
            ),
        ],
    },
    Entry {
        id: "bwn",
        summary: "one bit and a scale per filter (weights)",
        options: &[
            (
                "form",
                "with stages, the roulette draws float filters (code, default) or quantized ones (paper)",
            ),
            ("probability", "weights of the paper's roulette: constant, linear (default), softmax, sigmoid"),
            ("unit", "what it draws: channel (default) or element"),
        ],
    },
    Entry {
        id: "twn",
        summary: "three values and a scale per filter (weights)",
        options: &[
            ("threshold", "0.7 × mean of what: layer-centered (default), layer, filter"),
            ("form, probability, unit", "as for bwn"),
        ],
    },
    Entry {
        id: "train",
        summary: "how it is trained",
        options: &[
            ("epochs, steps", "length of a run (epochs = 10)"),
            ("batch, accumulate", "samples of a step (128), batches whose gradients it sums (1)"),
            ("optimizer", "{ method = \"sgd\", momentum, nesterov } (default) or \"adam\""),
            ("learning_rate, quantizer_rate", "base (0.02), its factor for what quantizers learn (1)"),
            ("schedule", "cosine (default), one-cycle, constant, { step = [shares] }"),
            ("weight_decay", "of weights alone (1e-4)"),
            ("loss", "{ label_smoothing, distillation, temperature }"),
            ("augment", "{ crop = pixels, flip = true }"),
            ("average", "decay of an average of all numbers, which is then written (0: none)"),
            ("running", "decay of the normalizations' statistics (0.9)"),
            ("stages", "shares of filters that bwn and twn quantize, the last one 1"),
            (
                "course",
                "stages are runs (default), shared (as long as one run together), { parts = [shares] } of one run",
            ),
            ("batch_norm", "keep (default), or insert where the file has it folded"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrainRecipe;

    #[test]
    fn every_key_of_a_recipe_is_listed() {
        let listed: Vec<&str> =
            ALL.iter().flat_map(|e| e.options).flat_map(|(names, _)| names.split(", ")).collect();
        let recipe = TrainRecipe::named("float").unwrap();
        let quantizer = toml::Table::try_from(&recipe.quantizer).unwrap();
        let train = toml::Table::try_from(&recipe.train).unwrap();
        for key in quantizer.keys().chain(train.keys()) {
            let named = ["weights", "activations"].contains(&key.as_str());
            assert!(named || listed.contains(&key.as_str()), "{key}");
        }
    }
}
