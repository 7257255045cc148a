//! Every built-in recipe can be written in every flavour, and the same bytes come of it for any number of threads and
//! any amount of memory.
//!
//! `quantize` itself reads back what it wrote and compares it with what was simulated, so that an answer here means that
//! they agree.

use std::path::Path;

use lowbit::Silent;
use lowbit::facade::{DEFAULT_TARGET, Effort, QuantizeJob, quantize};
use lowbit_quantize::lower::Flavour;
use lowbit_quantize::recipe::Granularity;
use lowbit_quantize::{Recipe, Target};

/// The embedded network, quantized.
fn quantized(recipe: &str, flavour: &str, threads: usize, cache_bytes: Option<u64>) -> Vec<u8> {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let job = QuantizeJob {
        model: assets.join("digits.onnx").into(),
        data: assets.join("digits-train.npz").into(),
        validation: None,
        recipe: recipe.to_owned(),
        target: DEFAULT_TARGET.to_owned(),
        flavour: Some(flavour.to_owned()),
        seed: None,
        limit: Some(200),
        threads: Some(threads),
        preprocess: Some("digits".to_owned()),
        effort: Effort::Fast,
        cache_bytes,
        state: None,
        fresh: false,
        detail: false,
        dry_run: false,
    };
    quantize(&job, &Silent).unwrap_or_else(|error| panic!("{recipe}, {flavour}: {error:#}")).bytes
}

/// Built-in recipes that the default target allows; of those that differ in bits alone and take long, one.
fn recipes() -> impl Iterator<Item = &'static str> {
    let target = Target::named(DEFAULT_TARGET).unwrap();
    let allowed = move |name: &&str| {
        let recipe = Recipe::named(name).unwrap();
        recipe.activations.per == Granularity::Tensor || target.per_channel_activations
    };
    let names = Recipe::built_in().iter().map(|(name, _)| *name);
    names.filter(|name| !name.ends_with("-brecq") || *name == "w2a4-brecq").filter(allowed)
}

#[test]
fn every_recipe_is_written_in_every_flavour() {
    assert!(recipes().count() >= 4);
    for recipe in recipes() {
        for (flavour, _) in Flavour::ALL {
            assert!(!quantized(recipe, flavour, 1, None).is_empty());
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    for recipe in recipes() {
        let one = quantized(recipe, "packed", 1, None);
        assert!(
            [2, 3].into_iter().all(|threads| quantized(recipe, "packed", threads, None) == one),
            "{recipe}"
        );
    }
}

#[test]
fn caches_in_files_change_no_byte() {
    for recipe in recipes().filter(|name| Recipe::named(name).unwrap().needs().samples) {
        let [memory, files] = [None, Some(0)].map(|bytes| quantized(recipe, "packed", 1, bytes));
        assert!(memory == files, "{recipe}");
    }
}
