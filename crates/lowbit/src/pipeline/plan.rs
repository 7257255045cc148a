//! From a calibrated network to a quantized file: the recipe's plan, written, read back and compared.

use anyhow::{Context, Result, bail};
use lowbit_engine::Network;
use lowbit_onnx::WriteOptions;
use lowbit_quantize::lower::{Flavour, qdq::qdq};
use lowbit_quantize::method::MethodError;
use lowbit_quantize::observe::Observations;
use lowbit_quantize::plan::Plan;
use lowbit_quantize::recipe::Recipe;
use lowbit_quantize::run::{Effort, Run};
use lowbit_quantize::simulate::simulate;
use lowbit_quantize::site::Sites;
use lowbit_quantize::target::Target;
use lowbit_quantize::workbench::Workbench;
use lowbit_tensor::Tensor;

use super::load::{self, Loaded};
use super::memory;
use super::quantize::bits;
use super::quantize_tables::Tables;

/// A network with what calibration saw of it: what recipes work on.
pub(super) struct Calibrated<'a> {
    /// With rows of packed tables as they will be, if it has any.
    pub(super) network: &'a Loaded,
    pub(super) tables: &'a Tables,
    pub(super) target: &'a Target,
    pub(super) sites: &'a Sites,
    pub(super) seen: &'a Observations,
}

/// What the written file says about how it was made.
pub(super) struct Origin<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) flavour: Flavour,
    pub(super) seed: u64,
    /// Where it made a difference.
    pub(super) effort: Option<Effort>,
    pub(super) preprocess_toml: &'a str,
}

/// A network quantized by one recipe.
pub(super) struct Quantized {
    pub(super) plan: Plan,
    pub(super) bytes: Vec<u8>,
    /// As read back from `bytes`.
    pub(super) network: Network,
}

impl Calibrated<'_> {
    /// What a recipe comes to.
    pub(super) fn plan(&self, recipe: &Recipe, run: &Run<'_>) -> Result<Plan> {
        let Calibrated { network, target, sites, seen, .. } = *self;
        let (graph, types) = (&network.graph, network.types.as_slice());
        let plan = recipe.start(graph, sites, target)?;
        let bench = Workbench { graph, types, sites, seen, recipe, target, run };
        recipe.run(plan, &bench).map_err(|error| match error {
            MethodError::Rows(error) => memory::no_place(error, &run.budget),
            error => error.into(),
        })
    }

    /// What a recipe begins with: all but the steps that learn from samples, and how many those are.
    pub(super) fn outline(&self, recipe: &Recipe, run: &Run<'_>) -> Result<(Plan, usize)> {
        let Calibrated { network, target, sites, seen, .. } = *self;
        let (graph, types) = (&network.graph, network.types.as_slice());
        let plan = recipe.start(graph, sites, target)?;
        let bench = Workbench { graph, types, sites, seen, recipe, target, run };
        Ok(recipe.outline(plan, &bench)?)
    }

    /// Writes a plan out and reads it back; `check` is a batch on which both forms must agree.
    pub(super) fn write(&self, plan: Plan, origin: &Origin<'_>, check: &Tensor) -> Result<Quantized> {
        let graph = &self.network.graph;
        let mut lowered = qdq(graph, self.sites, &plan, origin.flavour)?;
        self.tables.write(&mut lowered)?;
        load::give_integers(&mut lowered, self.network.integers);
        for (key, value) in [
            ("lowbit.recipe", origin.recipe.text.trim()),
            ("lowbit.bits", &bits(&plan, self.sites, graph)),
            ("lowbit.seed", &origin.seed.to_string()),
            ("lowbit.target", &self.target.name),
            ("lowbit.flavour", origin.flavour.name()),
            ("lowbit.version", env!("CARGO_PKG_VERSION")),
            ("lowbit.preprocess", origin.preprocess_toml.trim()),
        ] {
            lowered.metadata.insert(key.to_owned(), value.to_owned());
        }
        if let Some(effort) = origin.effort {
            lowered.metadata.insert("lowbit.effort".to_owned(), effort.name().to_owned());
        }
        let bytes = lowbit_onnx::write_bytes(&lowered, &WriteOptions::default())?;
        let network =
            Network::new(&load::network_bytes(&bytes).context("reading back what was written")?.graph)?;
        let simulated = Network::new(&simulate(graph, self.sites, &plan))?;
        let input = [check.clone()];
        let (written, expected) = (network.run(&input)?, simulated.run(&input)?);
        let equal = |a: &Tensor, b: &Tensor| {
            let (a, b) = (a.to_f32(), b.to_f32());
            let largest = b.iter().fold(0f32, |m, x| m.max(x.abs()));
            a.len() == b.len() && a.iter().zip(&b).all(|(x, y)| (x - y).abs() <= 1e-5 * largest)
        };
        if written.len() != expected.len() || !written.iter().zip(&expected).all(|(a, b)| equal(a, b)) {
            bail!(
                "the written network does not compute what was simulated; this is a fault of lowbit, please report it"
            );
        }
        Ok(Quantized { plan, bytes, network })
    }
}
