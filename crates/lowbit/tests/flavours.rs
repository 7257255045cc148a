//! Every built-in recipe can be written in every flavour. `quantize` itself reads back what it wrote and compares it
//! with what was simulated, so that an answer here means they agree.

use std::path::Path;

use lowbit::Silent;
use lowbit::facade::{DEFAULT_TARGET, QuantizeJob, quantize};
use lowbit_quantize::lower::Flavour;
use lowbit_quantize::{Recipe, Target};

#[test]
fn every_recipe_is_written_in_every_flavour() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let target = Target::named(DEFAULT_TARGET).unwrap();
    for (recipe, _) in Recipe::built_in() {
        // What this target does not allow is for another one.
        let per_channel =
            Recipe::named(recipe).unwrap().activations.per == lowbit_quantize::recipe::Granularity::Channel;
        if per_channel && !target.per_channel_activations {
            continue;
        }
        for (flavour, _) in Flavour::ALL {
            let job = QuantizeJob {
                model: assets.join("digits.onnx"),
                data: assets.join("digits-train.npz"),
                validation: None,
                recipe: (*recipe).to_owned(),
                target: target.name.clone(),
                flavour: Some((*flavour).to_owned()),
                seed: None,
                limit: Some(64),
                threads: Some(1),
                preprocess: Some("digits".to_owned()),
                detail: false,
                dry_run: false,
            };
            let outcome = quantize(&job, &Silent).unwrap_or_else(|e| panic!("{recipe}, {flavour}: {e:#}"));
            assert!(!outcome.bytes.is_empty());
        }
    }
}
