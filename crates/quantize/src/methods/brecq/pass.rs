//! One pass through the network, block by block: each is fitted, then carries the samples on.

use super::draw::Draw;
use super::fit::{Fit, Learning};
use super::objective::{Loss, Objective};
use super::part::{Part, rounded};
use super::rounding::SoftWeight;
use super::steps::Edge;
use super::walk::Walk;
use super::{Brecq, Inputs};
use crate::method::MethodError;
use crate::plan::Plan;
use crate::run::Samples;
use crate::simulate::{edge_code, simulate};
use crate::workbench::Workbench;
use lowbit_engine::Differentiable;
use lowbit_graph::Graph;
use lowbit_graph::passes::Block;
use lowbit_kernels::Isa;
use lowbit_tensor::Code;
use serde::{Deserialize, Serialize};

/// What a pass learns, and on what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    /// Its random stream, and its name in saved state.
    pub(super) number: u64,
    /// As people read it.
    pub(super) name: &'static str,
    pub(super) weights: bool,
    pub(super) steps: bool,
    /// Whether edges are rounded while it learns.
    pub(super) rounded: bool,
    /// Whether blocks are compared before their outputs are rounded.
    pub(super) bare: bool,
    pub(super) inputs: Inputs,
    /// Exponent of the output difference.
    pub(super) power: f32,
    pub(super) iterations: usize,
}

/// What passes work with.
pub(super) struct Work<'a> {
    /// Name in messages, plans and saved state.
    pub(super) id: &'static str,
    pub(super) options: &'a Brecq,
    pub(super) bench: &'a Workbench<'a>,
    pub(super) samples: &'a Samples,
    pub(super) blocks: Vec<Block>,
    pub(super) isa: Isa,
}

/// What is kept of a finished block.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// Decided codes of its weights.
    codes: Vec<Vec<u8>>,
    /// Learned steps of its edges.
    steps: Vec<f32>,
    /// Block loss before and after.
    loss: [f64; 2],
    undecided: f64,
}

impl Work<'_> {
    /// Runs a pass and puts what it learned into the plan.
    pub(super) fn run(&self, pass: &Pass, plan: &mut Plan) -> Result<(), MethodError> {
        let watch = self.bench.run.watch;
        let network = self.network(pass, plan);
        let learns: Vec<(Vec<usize>, Vec<Edge>)> = self
            .blocks
            .iter()
            .map(|block| (self.weights(pass, plan, block), self.edges(pass, plan, &network, block)))
            .collect();
        let busy = learns.iter().filter(|(weights, edges)| !weights.is_empty() || !edges.is_empty()).count();
        if busy == 0 {
            return Ok(());
        }
        watch.stage(pass.name, Some((busy * pass.iterations) as u64));
        let mut float = self.walk()?;
        let mut quantized = match pass.inputs {
            Inputs::Float => None,
            Inputs::Quantized => Some(self.walk()?),
        };
        let mut tally = Tally { blocks: busy, ..Tally::default() };
        for (b, (block, (weights, edges))) in self.blocks.iter().zip(learns).enumerate() {
            let part = Part::new(&network, self.bench.types, block);
            let inputs = quantized.as_ref().unwrap_or(&float).inputs(block);
            float.advance(b, block, &self.float(block)?)?;
            if weights.is_empty() && edges.is_empty() {
                if let Some(walk) = &mut quantized {
                    walk.advance(b, block, &part.compile(self.options.batch, &[])?)?;
                }
                continue;
            }
            let fitted = if pass.bare { Part::bare(&network, self.bench.types, block) } else { part };
            let soft = self.soft_weights(plan, &fitted, &weights);
            let key = format!(
                "{}/{}/{b}/{}/{:x}",
                self.id,
                pass.number,
                block.name,
                print(&soft, &edges, plan, pass)
            );
            let mut objective = self.objective(block, &float, pass.power);
            if let (Some(walk), true) = (&quantized, self.options.loss != Loss::Mse) {
                let network = fitted.compile(self.options.batch, &[])?;
                let importance = self.importance((b, block), &network, &float, walk)?;
                objective = objective.weighted(self.options.loss, importance);
            }
            let mut fit = Fit::new(&fitted, soft, edges, inputs, objective, self.learning(pass.iterations))?;
            match self.load(&key).filter(|saved| saved.apply(&mut fit)) {
                Some(saved) => {
                    watch.advance(pass.iterations as u64);
                    tally.add(&saved, true);
                }
                None => {
                    let saved = self.fit(&mut fit, block, b, pass)?;
                    self.save(&key, &saved, block)?;
                    tally.add(&saved, false);
                }
            }
            for weight in &fit.weights {
                let setting = &mut plan.weights[weight.site];
                setting.values = Some(weight.values().to_vec());
                if let Some(code) = setting.code.take() {
                    setting.set(code, self.id);
                }
            }
            for (edge, step) in fit.steps.edges.iter().zip(fit.steps.values()) {
                let setting = &mut plan.activations[edge.site];
                if let Some(Code::Uniform(mut code)) = setting.code.take() {
                    code.scale = vec![step];
                    setting.set(Code::Uniform(code), self.id);
                }
            }
            match &mut quantized {
                None => {}
                Some(walk) if pass.bare => {
                    let decided = Part::new(&self.network(pass, plan), self.bench.types, block);
                    walk.advance(b, block, &decided.compile(self.options.batch, &[])?)?;
                }
                Some(walk) => walk.advance(b, block, fit.network()?)?,
            }
        }
        watch.note(format!("{}: {}", self.id, tally.text(pass)));
        Ok(())
    }

    /// The rounding of block `b` as learning would begin, were the blocks before it rounded to nearest.
    pub(super) fn begin(&self, pass: &Pass, plan: &Plan, b: usize) -> Result<Fit, MethodError> {
        let (mut float, mut quantized) = (self.walk()?, self.walk()?);
        let network = self.network(pass, plan);
        for (i, block) in self.blocks.iter().enumerate().take(b) {
            float.advance(i, block, &self.float(block)?)?;
            let part = Part::new(&network, self.bench.types, block);
            quantized.advance(i, block, &part.compile(self.options.batch, &[])?)?;
        }
        let block = &self.blocks[b];
        let part = match pass.bare {
            true => Part::bare(&network, self.bench.types, block),
            false => Part::new(&network, self.bench.types, block),
        };
        let soft = self.soft_weights(plan, &part, &self.weights(pass, plan, block));
        let inputs = quantized.inputs(block);
        float.advance(b, block, &self.float(block)?)?;
        let objective = self.objective(block, &float, pass.power);
        Fit::new(&part, soft, Vec::new(), inputs, objective, self.learning(pass.iterations))
    }

    /// Fits a block; what it began with stays where learning brought nothing.
    fn fit(&self, fit: &mut Fit, block: &Block, b: usize, pass: &Pass) -> Result<Saved, MethodError> {
        let (run, samples) = (self.bench.run, self.samples.len());
        fit.reset();
        let before = fit.loss(0..samples)?;
        let mut draw = Draw::new(run.seed, pass.number, b, samples);
        fit.learn((self.id, &block.name), &mut draw, || run.watch.advance(1))?;
        let (undecided, mut after) = (fit.undecided(), fit.loss(0..samples)?);
        // A loss that is no number is no improvement.
        if after.is_nan() || after > before {
            fit.reset();
            after = before;
        }
        let codes = fit.weights.iter().map(SoftWeight::codes).collect();
        Ok(Saved { codes, steps: fit.steps.values(), loss: [before, after], undecided })
    }

    pub(super) fn learning(&self, iterations: usize) -> Learning {
        Learning {
            iterations,
            batch: self.options.batch,
            lambda: self.options.lambda,
            rate: self.options.rate(iterations),
            step_rate: self.options.step_rate(iterations),
        }
    }

    pub(super) fn walk(&self) -> Result<Walk, MethodError> {
        Walk::new(self.bench.graph, &self.blocks, self.samples, self.bench.run)
    }

    /// The float form of a block.
    pub(super) fn float(&self, block: &Block) -> Result<Differentiable, MethodError> {
        Part::new(self.bench.graph, self.bench.types, block).compile(self.options.batch, &[])
    }

    /// The measure of a block, once the float walk has passed it.
    pub(super) fn objective(&self, block: &Block, float: &Walk, power: f32) -> Objective {
        let targets = block
            .outputs
            .iter()
            .map(|&id| (float.at(id), self.bench.types[id.0].as_ref().expect("every live value has a type")));
        Objective::new(self.isa, power, targets.collect())
    }

    /// The network that a pass runs: edges rounded or not. A rounding that repeats another is left out: what follows an
    /// edge is a level of it already, and has no step of its own.
    pub(super) fn network(&self, pass: &Pass, plan: &Plan) -> Graph {
        let mut plan = plan.clone();
        for (setting, site) in plan.activations.iter_mut().zip(&self.bench.sites.activations) {
            if !pass.rounded || site.follows.is_some() {
                setting.code = None;
            }
        }
        simulate(self.bench.graph, self.bench.sites, &plan)
    }

    /// Weight sites whose rounding is learned in a block: all with evenly spaced codes, but not the first layer's.
    pub(super) fn weights(&self, pass: &Pass, plan: &Plan, block: &Block) -> Vec<usize> {
        let first = block.inputs.iter().any(|id| self.bench.graph.inputs.contains(id));
        let learned = |(i, site): &(usize, &crate::site::WeightSite)| {
            block.nodes.contains(&site.node)
                && matches!(&plan.weights[*i].code, Some(Code::Uniform(code)) if code.shift.is_none())
                && !(first && site.first_or_last)
        };
        let sites = self.bench.sites.weights.iter().enumerate().filter(|_| pass.weights);
        sites.filter(learned).map(|(i, _)| i).collect()
    }

    /// The rounding variables of these weights, under the plan so far.
    pub(super) fn soft_weights(&self, plan: &Plan, part: &Part, sites: &[usize]) -> Vec<SoftWeight> {
        let soft = |&i: &usize| {
            let site = &self.bench.sites.weights[i];
            let Some(Code::Uniform(code)) = &plan.weights[i].code else { return None };
            let constant = part.node(&site.name)?.input(site.input)?;
            let (tensor, values) = self.bench.weight(site);
            Some(SoftWeight::new(self.isa, i, constant, code, &values, tensor.shape()))
        };
        sites.iter().filter_map(soft).collect()
    }

    /// The edges that a block computes and rounds with one step to fewer than 8 bits.
    fn edges(&self, pass: &Pass, plan: &Plan, network: &Graph, block: &Block) -> Vec<Edge> {
        let computed = |i: &usize| {
            let value = self.bench.sites.activations[*i].value;
            !(pass.bare && block.outputs.contains(&value))
                && block.nodes.iter().any(|n| self.bench.graph.nodes[n.0].outputs.contains(&value))
        };
        let edge = |i: usize| {
            let site = &self.bench.sites.activations[i];
            edge_code(self.bench.sites, plan, i)?;
            let Some(Code::Uniform(code)) = &plan.activations[i].code else { return None };
            let rounded = rounded(network, site.value);
            let learned =
                site.follows.is_none() && code.axis.is_none() && code.shift.is_none() && code.max_bits() < 8;
            (learned && rounded != site.value).then(|| Edge { site: i, rounded, step: code.scale[0] })
        };
        let sites = (0..plan.activations.len()).filter(|_| pass.steps);
        sites.filter(computed).filter_map(edge).collect()
    }

    fn load(&self, key: &str) -> Option<Saved> {
        serde_json::from_slice(&self.bench.run.state.load(key)?).ok()
    }

    fn save(&self, key: &str, saved: &Saved, block: &Block) -> Result<(), MethodError> {
        let bytes = serde_json::to_vec(saved).expect("numbers have a JSON form");
        let failed = |source| MethodError::State { step: self.id, place: block.name.clone(), source };
        self.bench.run.state.save(key, &bytes).map_err(failed)
    }
}

impl Saved {
    /// Gives a block what was learned; whether it fits.
    fn apply(&self, fit: &mut Fit) -> bool {
        let fits = self.codes.len() == fit.weights.len() && self.steps.len() == fit.steps.edges.len();
        if !fits || !fit.weights.iter_mut().zip(&self.codes).all(|(weight, codes)| weight.take_codes(codes)) {
            return false;
        }
        fit.steps.take(&self.steps);
        true
    }
}

/// What to tell of a pass.
#[derive(Default)]
struct Tally {
    blocks: usize,
    resumed: usize,
    kept: usize,
    loss: [f64; 2],
    undecided: f64,
}

impl Tally {
    fn add(&mut self, saved: &Saved, resumed: bool) {
        self.resumed += usize::from(resumed);
        self.kept += usize::from(saved.loss[0] == saved.loss[1]);
        self.loss[0] += saved.loss[0];
        self.loss[1] += saved.loss[1];
        self.undecided = self.undecided.max(saved.undecided);
    }

    fn text(&self, pass: &Pass) -> String {
        let [before, after] = self.loss;
        let mut text = format!(
            "{}, {} blocks, {} iterations each: block error {before:.4} → {after:.4} ({:+.0} %)",
            pass.name,
            self.blocks,
            pass.iterations,
            100.0 * (after / before.max(f64::MIN_POSITIVE) - 1.0),
        );
        if self.kept > 0 {
            text += &format!("; {} kept as they were: learning brought nothing", self.kept);
        }
        if self.undecided > 0.01 {
            text += &format!(
                "; up to {:.0} % of a block's weights were between two codes to the end",
                100.0 * self.undecided
            );
        }
        if self.resumed > 0 {
            text += &format!("; {} blocks known from before", self.resumed);
        }
        text
    }
}

/// All that learning a block depends on and a recipe may change between two passes of one kind: they must not take each
/// other's results. FNV-1a over the bits: short, and the same everywhere.
fn print(soft: &[SoftWeight], edges: &[Edge], plan: &Plan, pass: &Pass) -> u64 {
    let decided = plan.weights.iter().filter_map(|setting| setting.values.as_ref()).flatten().copied();
    let values = soft.iter().flat_map(SoftWeight::start).chain(edges.iter().map(|e| e.step)).chain(decided);
    let words = values.map(|v| u64::from(v.to_bits())).chain([pass.iterations as u64]);
    words.fold(0xcbf2_9ce4_8422_2325, |hash, word| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3))
}
