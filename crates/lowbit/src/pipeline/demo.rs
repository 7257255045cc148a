//! `demo`: the embedded network and data, by several recipes side by side.

use anyhow::{Context, Result};
use lowbit_quantize::describe::layers;
use lowbit_quantize::lower::Flavour;
use lowbit_quantize::observe::Needs;
use lowbit_quantize::recipe::Recipe;
use lowbit_quantize::report::{self, Report};
use lowbit_quantize::rows::Budget;
use lowbit_quantize::run::Run;
use lowbit_quantize::site;
use lowbit_quantize::target::Target;

use super::calibrate::{calibrate, labelled};
use super::load::{self, Wanted};
use super::plan::{Calibrated, Origin};
use super::quantize::{bits, sensitivity};
use super::quantize_tables::Tables;
use super::score::{Variant, score};
use super::stages::Stages;
use crate::Progress;
use crate::facade::{DEFAULT_TARGET, DemoOutcome};

const NETWORK: &[u8] = include_bytes!("../../assets/digits.onnx");
const TRAIN: &[u8] = include_bytes!("../../assets/digits-train.npz");
const TEST: &[u8] = include_bytes!("../../assets/digits-test.npz");
const RECIPES: [&str; 3] = ["w8a8", "w4a4", "w4a4-aciq"];

pub(crate) fn demo(progress: &dyn Progress) -> Result<DemoOutcome> {
    load::with_threads(None, || run(progress))
}

fn run(progress: &dyn Progress) -> Result<DemoOutcome> {
    let stages = Stages::new(progress);
    stages.begin("read", None);
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let path = |name: &str| folder.path().join(name);
    for (name, bytes) in [("digits.onnx", NETWORK), ("digits-train.npz", TRAIN), ("digits-test.npz", TEST)] {
        std::fs::write(path(name), bytes).context("cannot unpack the embedded files")?;
    }
    let network = load::network(path("digits.onnx"))?;
    let target = Target::named(DEFAULT_TARGET)?;
    let sites = site::find(&network.graph, &network.types, &target);
    let wanted = Wanted { preprocess: Some("digits"), skip: 0, limit: Some(512), seed: 0 };
    let train = load::samples(path("digits-train.npz"), &network, &wanted, true)?;
    let test = load::samples(path("digits-test.npz"), &network, &Wanted { limit: None, ..wanted }, true)?;
    let preprocess_toml = toml::to_string(&train.options.preprocess)?;
    let needs = Needs { samples: false, ..Needs::ALL };
    let seen = calibrate(&network, &sites, needs, &train, &Budget::unlimited(), &stages)?;
    let check = &seen.kept.first().context("no samples")?.input;
    let calibrated = Calibrated {
        network: &network,
        tables: &Tables::default(),
        target: &target,
        sites: &sites,
        seen: &seen.edges,
    };
    stages.begin("quantize", Some(RECIPES.len() as u64));
    let mut quantized = Vec::new();
    for name in RECIPES {
        let recipe = Recipe::named(name)?;
        let plan = calibrated.plan(&recipe, &Run::quiet()).with_context(|| format!("recipe `{name}`"))?;
        let (flavour, preprocess_toml) = (Flavour::Packed, preprocess_toml.as_str());
        let origin = Origin { recipe: &recipe, flavour, seed: 0, effort: None, preprocess_toml };
        quantized.push(calibrated.write(plan, &origin, check)?);
        stages.advance(1);
    }
    let variants: Vec<Variant<'_>> = RECIPES
        .iter()
        .zip(&quantized)
        .map(|(name, q)| Variant {
            name,
            bits: bits(&q.plan, &sites, &network.graph),
            network: &q.network,
            bytes: q.bytes.len(),
        })
        .collect();
    let batches = test.batches()?.map(|b| labelled(b?, &network));
    let scores = score(&network, &variants, test.dataset.class_names(), batches, &stages)?;
    let (name, last) = (RECIPES[RECIPES.len() - 1], &quantized[RECIPES.len() - 1]);
    let recipe = Recipe::named(name)?;
    let mut report = Report {
        model: network.summary(path("digits.onnx")),
        job: report::Job {
            recipe: recipe.name.clone(),
            recipe_toml: recipe.text.clone(),
            target: target.name.clone(),
            flavour: Flavour::Packed.name().to_owned(),
            seed: 0,
            data: "embedded digits (UCI, 1,297 training and 500 test images)".to_owned(),
            calibration_samples: seen.edges.samples,
            preprocess_toml,
            effort: None,
            threads: rayon::current_num_threads(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        scores,
        layers: layers(&network.graph, &network.types, &sites, &last.plan, &seen.edges),
        kept_float: sites.kept_float.clone(),
        notes: vec![
            "The demo network was chosen, among four trained alike, for the one that naive 4-bit rounding hurts most; \
             its losses are no measure of what to expect."
                .to_owned(),
        ],
        ..Report::default()
    };
    sensitivity(&calibrated, &last.plan, check, &mut report, &stages)?;
    (report.stages, _) = stages.finish();
    let mut files = vec![("digits-float.onnx".to_owned(), NETWORK.to_vec())];
    files.extend(
        [("digits-train.npz", TRAIN), ("digits-test.npz", TEST)]
            .map(|(name, bytes)| (name.to_owned(), bytes.to_vec())),
    );
    files.extend(RECIPES.iter().zip(quantized).map(|(name, q)| (format!("digits-{name}.onnx"), q.bytes)));
    Ok(DemoOutcome { report, files })
}
