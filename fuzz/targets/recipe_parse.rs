//! Any text is a recipe or an error that can be printed; a recipe has only bits that a code can have.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lowbit_quantize::Recipe;

fuzz_target!(|text: &str| {
    let recipe = match Recipe::parse("fuzz", text) {
        Ok(recipe) => recipe,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(recipe.text, text);
    let bits = [recipe.weights.bits, recipe.activations.bits, Some(recipe.activations.other_bits)];
    assert!(bits.into_iter().flatten().all(|bits| (2..=8).contains(&bits)));
    // Steps are printed in reports.
    assert!(!format!("{:?}", recipe.steps).is_empty());
});
