//! A recipe: how many bits where, and the ordered steps that choose the codes. TOML, built-in or a file.

use crate::bias;
use crate::blocks::{Cut, Together};
use crate::method::{Method, MethodError};
use crate::methods;
use crate::observe::Needs;
use crate::plan::{Plan, Setting};
use crate::site::Sites;
use crate::strict::{self, ConfigError};
use crate::target::Target;
use crate::workbench::Workbench;
use lowbit_graph::Graph;
use serde::{Deserialize, Serialize};

/// A parsed recipe.
#[derive(Debug)]
pub struct Recipe {
    /// Built-in name or file stem.
    pub name: String,
    /// The TOML it came from.
    pub text: String,
    /// One line for people.
    pub summary: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Bits of weights.
    pub weights: Weights,
    /// Bits of activations.
    pub activations: Activations,
    /// Bits of embedding tables.
    pub tables: Tables,
    /// Exceptions by layer name.
    pub overrides: Vec<Override>,
    /// How the network is cut where a step works block by block.
    pub cut: Cut,
    /// Layers that form one block whatever the cut.
    pub together: Vec<Together>,
    /// What is done, in order.
    pub steps: Vec<Box<dyn Method>>,
}

/// What a scale covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    /// One scale for the whole tensor.
    Tensor,
    /// One scale per channel.
    #[default]
    Channel,
}

/// Bits of weights. Without `bits` they stay float.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// 2 to 8.
    pub bits: Option<u8>,
    /// Bits of the layers that no weight precedes or follows.
    pub first_last_bits: Option<u8>,
    /// One scale per output channel or per tensor.
    pub per: Granularity,
    /// Zero point 0, signed codes. Runtimes run symmetric weights fastest.
    pub symmetric: bool,
}

impl Default for Weights {
    fn default() -> Weights {
        Weights { bits: None, first_last_bits: None, per: Granularity::Channel, symmetric: true }
    }
}

/// Bits of activations. Without `bits` they stay float.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Activations {
    /// 2 to 8, of edges that a layer with weights reads.
    pub bits: Option<u8>,
    /// Bits of edges that only sums and pools read.
    pub other_bits: u8,
    /// Bits of edges that the first or last weighted layer reads.
    pub first_last_bits: Option<u8>,
    /// Bits of what the first weighted layer leaves: BRECQ's first layer has 8 at its output.
    pub first_output_bits: Option<u8>,
    /// One scale per tensor, or per channel where the target allows it.
    pub per: Granularity,
    /// Zero point in the middle of the codes.
    pub symmetric: bool,
}

impl Default for Activations {
    fn default() -> Activations {
        Activations {
            bits: None,
            other_bits: 8,
            first_last_bits: None,
            first_output_bits: None,
            per: Granularity::Tensor,
            symmetric: false,
        }
    }
}

/// Constant tables that a `Gather` picks rows of: each row gets a grid of its own, and no samples are needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tables {
    /// 8, 4 or 2; where nothing is said 4 if weights have at most 4 bits, and else 8.
    pub bits: Option<u8>,
    /// How rows get their grids (the methods of `lowbit embed` with a scale and a bias per row), or `none`: tables stay float.
    pub method: String,
}

impl Default for Tables {
    fn default() -> Tables {
        Tables { bits: None, method: "greedy".to_owned() }
    }
}

/// Other bits for the layers whose name matches a pattern (`*` stands for any text); the last match counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Pattern for layer (node) names.
    pub layer: String,
    /// Bits of its weights.
    #[serde(default)]
    pub weight_bits: Option<u8>,
    /// Bits of the edge it reads.
    #[serde(default)]
    pub activation_bits: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    summary: String,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    weights: Weights,
    #[serde(default)]
    activations: Activations,
    #[serde(default)]
    tables: Tables,
    #[serde(default, rename = "override")]
    overrides: Vec<Override>,
    #[serde(default, rename = "blocks")]
    cut: Cut,
    #[serde(default, rename = "block")]
    together: Vec<Together>,
    #[serde(default)]
    step: Vec<toml::Table>,
}

const BUILT_IN: &[(&str, &str)] = &[
    ("w8a8", include_str!("../recipes/w8a8.toml")),
    ("w4a8", include_str!("../recipes/w4a8.toml")),
    ("w4a4", include_str!("../recipes/w4a4.toml")),
    ("w4a4-aciq", include_str!("../recipes/w4a4-aciq.toml")),
    ("w4a4-aciq-paper", include_str!("../recipes/w4a4-aciq-paper.toml")),
    ("w4a4-lapq", include_str!("../recipes/w4a4-lapq.toml")),
    ("w3-multipoint", include_str!("../recipes/w3-multipoint.toml")),
    ("w4-brecq", include_str!("../recipes/w4-brecq.toml")),
    ("w2-brecq", include_str!("../recipes/w2-brecq.toml")),
    ("w4a4-brecq", include_str!("../recipes/w4a4-brecq.toml")),
    ("w3a3-brecq", include_str!("../recipes/w3a3-brecq.toml")),
    ("mixed-brecq", include_str!("../recipes/mixed-brecq.toml")),
    ("w2a4-brecq", include_str!("../recipes/w2a4-brecq.toml")),
    ("a4w8-sparq", include_str!("../recipes/a4w8-sparq.toml")),
    ("a4w4-sparq", include_str!("../recipes/a4w4-sparq.toml")),
    ("a3w8-sparq", include_str!("../recipes/a3w8-sparq.toml")),
    ("a2w8-sparq", include_str!("../recipes/a2w8-sparq.toml")),
];

impl Recipe {
    /// Names and texts of the built-in recipes.
    pub fn built_in() -> &'static [(&'static str, &'static str)] {
        BUILT_IN
    }

    /// The built-in recipe of that name.
    ///
    /// # Errors
    /// When there is none; the message lists those there are.
    pub fn named(name: &str) -> Result<Recipe, ConfigError> {
        let names = BUILT_IN.iter().map(|(n, _)| *n);
        let &(name, text) = BUILT_IN
            .iter()
            .find(|(n, _)| *n == name)
            .ok_or_else(|| strict::unknown("recipe", name, names))?;
        Recipe::parse(name, text)
    }

    /// A recipe from TOML text; `name` stands for it in messages and reports.
    ///
    /// # Errors
    /// On bad TOML, unknown keys or methods, or bits outside 2..=8.
    pub fn parse(name: &str, text: &str) -> Result<Recipe, ConfigError> {
        let file: File = strict::from_toml(name, text)?;
        let check = |place: &str, bits: Option<u8>| match bits {
            Some(b) if !(2..=8).contains(&b) => Err(ConfigError::Invalid {
                place: format!("{name}: {place}"),
                message: format!("{b}; accepted: 2 to 8"),
            }),
            _ => Ok(()),
        };
        check("weights.bits", file.weights.bits)?;
        check("weights.first_last_bits", file.weights.first_last_bits)?;
        check("activations.bits", file.activations.bits)?;
        check("activations.other_bits", Some(file.activations.other_bits))?;
        check("activations.first_last_bits", file.activations.first_last_bits)?;
        check("activations.first_output_bits", file.activations.first_output_bits)?;
        if let Some(bits) = file.tables.bits.filter(|bits| !matches!(bits, 2 | 4 | 8)) {
            return Err(ConfigError::Invalid {
                place: format!("{name}: tables.bits"),
                message: format!("{bits}; accepted: 8, 4, 2"),
            });
        }
        for o in &file.overrides {
            check("override.weight_bits", o.weight_bits)?;
            check("override.activation_bits", o.activation_bits)?;
        }
        let steps = file.step.into_iter().enumerate();
        Ok(Recipe {
            name: name.to_owned(),
            text: text.to_owned(),
            summary: file.summary,
            seed: file.seed,
            weights: file.weights,
            activations: file.activations,
            tables: file.tables,
            overrides: file.overrides,
            cut: file.cut,
            together: file.together,
            steps: steps
                .map(|(i, table)| methods::parse(&format!("{name}: step {}", i + 1), table))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The plan before the first step: bits asked for, no codes.
    ///
    /// # Errors
    /// When the recipe asks for what the target does not allow.
    pub fn start(&self, graph: &Graph, sites: &Sites, target: &Target) -> Result<Plan, ConfigError> {
        if self.activations.per == Granularity::Channel && !target.per_channel_activations {
            return Err(ConfigError::Invalid {
                place: format!("{}: activations.per", self.name),
                message: format!("target `{}` takes one scale per tensor only", target.name),
            });
        }
        let mut plan = Plan::default();
        for site in &sites.weights {
            let exception = self.matching(&site.name).filter_map(|o| o.weight_bits).last();
            let rule = if site.first_or_last { self.weights.first_last_bits } else { None };
            let bits = self.weights.bits.map(|bits| exception.or(rule).unwrap_or(bits));
            plan.weights.push(Setting { bits: bits.into_iter().collect(), ..Setting::default() });
        }
        for (i, site) in sites.activations.iter().enumerate() {
            // An exception for the reader of a rearranged edge is one for the original.
            let root = sites.root(i);
            let readers = sites.weights.iter().filter(|w| w.reads.is_some_and(|r| sites.root(r) == root));
            let exception =
                readers.filter_map(|w| self.matching(&w.name).filter_map(|o| o.activation_bits).last()).max();
            let outer = if site.feeds_first_or_last { self.activations.first_last_bits } else { None };
            let left = if site.leaves_first { self.activations.first_output_bits } else { None };
            let rule = outer.max(left);
            let bits = self.activations.bits.map(|bits| match exception.or(rule) {
                Some(bits) => bits,
                None if site.feeds_product => bits,
                None => bits.max(self.activations.other_bits),
            });
            plan.activations.push(Setting { bits: bits.into_iter().collect(), ..Setting::default() });
        }
        let unused = self.overrides.iter().find(|o| {
            !sites.weights.iter().any(|site| wildmatch::WildMatch::new(&o.layer).matches(&site.name))
        });
        if let Some(unused) = unused {
            let names = sites.weights.iter().map(|s| s.name.as_str());
            let near =
                strict::nearest(&unused.layer, names).map_or(String::new(), |n| format!("; nearest: `{n}`"));
            return Err(ConfigError::Invalid {
                place: format!("{}: override.layer", self.name),
                message: format!("no layer of `{}` matches `{}`{near}", graph.name, unused.layer),
            });
        }
        Ok(plan)
    }

    /// Bits of embedding tables: as the recipe says, or by those of the weights.
    pub fn table_bits(&self) -> u8 {
        let narrow = self.weights.bits.is_some_and(|bits| bits <= 4);
        self.tables.bits.unwrap_or(if narrow { 4 } else { 8 })
    }

    /// What calibration must measure for the steps.
    pub fn needs(&self) -> Needs {
        self.steps.iter().fold(Needs::default(), |needs, step| needs | step.needs())
    }

    /// The steps behind one of this recipe's own; none for a step of another.
    pub fn after(&self, step: &dyn Method) -> &[Box<dyn Method>] {
        let place = self.steps.iter().position(|own| std::ptr::addr_eq(&raw const **own, step));
        place.map_or(&[], |place| &self.steps[place + 1..])
    }

    /// Runs the steps.
    ///
    /// # Errors
    /// When calibration saw nothing or what is not finite, a step cannot do its work, or a site that should be
    /// quantized is left without a code.
    pub fn run(&self, plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        bench.check()?;
        finish(&self.steps, plan, bench)
    }

    /// Runs only the steps that need no samples, and says how many it left out. Sites may be without codes in the end: what
    /// a later step wanted of one that was left out ends the outline.
    ///
    /// # Errors
    /// When calibration saw nothing or what is not finite, or a step cannot do its work though none was left out.
    pub fn outline(&self, mut plan: Plan, bench: &Workbench<'_>) -> Result<(Plan, usize), MethodError> {
        bench.check()?;
        let mut left = 0;
        for step in &self.steps {
            if step.needs().samples {
                left += 1;
                continue;
            }
            match step.refine(plan.clone(), bench) {
                Ok(better) => plan = better,
                Err(_) if left > 0 => break,
                Err(error) => return Err(error),
            }
        }
        plan.follow(bench.sites);
        Ok((plan, left))
    }

    fn matching<'a>(&'a self, layer: &'a str) -> impl Iterator<Item = &'a Override> {
        self.overrides.iter().filter(move |o| wildmatch::WildMatch::new(&o.layer).matches(layer))
    }
}

/// Runs the last steps of a recipe on the plan of those before them, and makes it ready to be built.
pub(crate) fn finish(
    steps: &[Box<dyn Method>],
    mut plan: Plan,
    bench: &Workbench<'_>,
) -> Result<Plan, MethodError> {
    for step in steps {
        plan = step.refine(plan, bench)?;
    }
    let lacking = |settings: &[Setting]| settings.iter().position(|s| s.is_quantized() && s.code.is_none());
    if let Some(i) = lacking(&plan.weights) {
        return Err(MethodError::NoCode(format!("weight of `{}`", bench.sites.weights[i].name)));
    }
    plan.follow(bench.sites);
    if let Some(i) = lacking(&plan.activations) {
        return Err(MethodError::NoCode(format!("edge `{}`", bench.sites.activations[i].name)));
    }
    bias::make_room(bench.graph, bench.sites, &mut plan);
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_recipes_parse() {
        for (name, _) in BUILT_IN {
            let recipe = Recipe::named(name).unwrap();
            assert!(!recipe.steps.is_empty() && !recipe.summary.is_empty(), "{name}");
        }
    }

    #[test]
    fn tables_are_as_narrow_as_weights_but_not_below_four_bits_unless_asked() {
        let bits = |text: &str| Recipe::parse("test", text).unwrap().table_bits();
        assert_eq!([bits(""), bits("weights.bits = 8"), bits("weights.bits = 2")], [8, 8, 4]);
        assert_eq!(bits("weights.bits = 8\ntables.bits = 2"), 2);
    }

    #[test]
    fn slips_are_named_with_the_nearest_word() {
        for (text, words) in [
            ("[weights]\nbitts = 4", "did you mean `bits`"),
            ("[[step]]\nmethod = \"acqi\"", "did you mean `aciq`"),
            ("[[step]]\nmethod = \"aciq\"\npriors = \"gauss\"", "did you mean `prior`"),
            ("[weights]\nbits = 9", "accepted: 2 to 8"),
            ("[tables]\nbits = 3", "accepted: 8, 4, 2"),
            ("[tables]\nmethods = \"asym\"", "did you mean `method`"),
            ("[[step]]\non = \"weights\"", "`method`"),
        ] {
            let error = Recipe::parse("test", text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        let error = Recipe::named("w8a9").unwrap_err().to_string();
        assert!(error.contains("did you mean `w8a8`"), "{error}");
    }
}
