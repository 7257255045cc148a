//! `targets measure`: what each operator of a network takes on our own kernels here, as a target with a table.
//!
//! The network is written in several strategies (every width of weights, of edges and of both, every other layer in float, sums in
//! float), each is profiled step by step on one thread, and the times go to the pieces of work that a search will ask for; equal
//! layers share one time. Combinations that none of them has are estimated by formulas through all measurements. The runtime computes
//! neighbours in float as one step, whose time belongs to none of them: that is why only every other layer is.
//!
//! Layers are timed inside the network, not each alone: alone, the weights of a large layer would lie in the cache already. Codes are
//! made up, over all values that occur: a range of least error takes longer to find than all timing, and times do not change with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lowbit_graph::Graph;
use lowbit_kernels::Isa;
use lowbit_onnx::WriteOptions;
use lowbit_quantize::lower::{Flavour, qdq::qdq};
use lowbit_quantize::observe::{Needs, Observer};
use lowbit_quantize::recipe::Recipe;
use lowbit_quantize::run::Run;
use lowbit_quantize::search::Strategy;
use lowbit_quantize::search::cost::{Piece, Pricing};
use lowbit_quantize::search::settings::Settings;
use lowbit_quantize::search::space::{Choice, Clip, Offer, Place, Space};
use lowbit_quantize::site::{self, Sites};
use lowbit_quantize::target::cost::Work;
use lowbit_quantize::target::{Cost, Form, Latency, Measured, Target};
use lowbit_quantize::workbench::Workbench;
use lowbit_runtime::{Options, Session};
use lowbit_tensor::Tensor;

use super::load;
use super::quantize::target;
use super::stages::Stages;
use crate::Progress;
use crate::facade::MeasureJob;

/// Samples that ranges are taken from: what they are makes no difference to times.
const CALIBRATION: usize = 4;

/// Most rounds of a turn.
const ROUNDS: usize = 5;
/// How long a turn is before it has no more rounds. Every strategy has its turn again and again and the fastest counts: what
/// else a machine does slows down whole moments, of seconds on shared ones, so turns that are short and many meet a quick one.
const TURN: Duration = Duration::from_millis(50);

pub(crate) fn measure(job: &MeasureJob, progress: &dyn Progress) -> Result<String> {
    load::with_threads(Some(1), || run(job, progress))
}

fn run(job: &MeasureJob, progress: &dyn Progress) -> Result<String> {
    let stages = Stages::new(progress);
    stages.begin("read", None);
    let target = target(&job.target)?;
    let network = load::network(&job.model)?;
    network.expect_float(&job.model.display(), "measure")?;
    let sites = site::find(&network.graph, &network.types, &target);
    if sites.weights.is_empty() {
        bail!("{}: nothing runs on codes on target `{}`", job.model.display(), target.name);
    }
    let offer = Offer { bits: job.bits.clone(), float: true, clips: vec![Clip::Minmax], symmetric: false };
    let space = Space::new(&network.graph, &sites, &target, &offer);
    let pricing = Pricing::new(&network.graph, &network.types, &sites, &target, network.file_bytes);
    let mut observer = Observer::new(&network.graph, &sites, Needs::default())?;
    let extents: Vec<usize> = std::iter::once(CALIBRATION).chain(network.sample_shape()?).collect();
    observer.add(&[Tensor::from_f32(extents, network.made_up(CALIBRATION)?)])?;
    let seen = observer.finish();
    let (recipe, lent) = (Recipe::named("w8a8")?, Run::quiet());
    let bench = Workbench {
        graph: &network.graph,
        types: &network.types,
        sites: &sites,
        seen: &seen,
        recipe: &recipe,
        target: &target,
        run: &lent,
    };
    let settings = Settings::new(&bench);
    let strategies = strategies(&space, &sites, &job.bits);
    let session = |strategy: &Strategy| -> Result<Session> {
        let plan = settings.plan(&space, strategy)?;
        let lowered = qdq(&network.graph, &sites, &plan, Flavour::Packed)?;
        let bytes = lowbit_onnx::write_bytes(&lowered, &WriteOptions::default())?;
        let options = Options { threads: Some(1), ..Options::default() };
        Ok(Session::new(lowbit_onnx::read_bytes(&bytes, None)?, options)?)
    };
    stages.begin("write", Some(strategies.len() as u64));
    let made = strategies.iter().map(|strategy| {
        let session = session(strategy);
        stages.advance(1);
        session
    });
    let sessions: Vec<Session> = made.collect::<Result<_>>()?;
    let fastest = fastest(&sessions, &network.made_up(job.batch)?, job, &stages)?;
    let mut table = Timings::default();
    for (strategy, pass) in strategies.iter().zip(fastest) {
        table.take(&network.graph, pricing.pieces(&space, strategy), pass.per_sample(job.batch));
    }
    stages.finish();
    let isa = Isa::from_env()?.name();
    let source = format!("lowbit's own kernels, {isa}, one thread, batches of {}", job.batch);
    let text = toml::to_string(&table.target(&target, source)?)?;
    // What is written must be read again.
    Target::parse("measured", &text).context("the table could not be read back; please report it")?;
    Ok(format!("# Written by `lowbit targets measure`: times of one machine, for one network.\n{text}"))
}

/// The fastest turn of each session and of each of its steps. What the first turns take says how many there is time for.
fn fastest(sessions: &[Session], input: &[f32], job: &MeasureJob, stages: &Stages<'_>) -> Result<Vec<Pass>> {
    let start = Instant::now();
    let turn = || {
        let passes = sessions.iter().map(|session| {
            let pass = Pass::run(session, input, ROUNDS.min(job.rounds));
            stages.advance(1);
            pass
        });
        passes.collect::<Result<Vec<_>>>()
    };
    stages.begin("measure", Some(sessions.len() as u64));
    let mut best = turn()?;
    let one = start.elapsed().max(Duration::from_micros(1));
    let time_for = job.most.as_secs_f64() / one.as_secs_f64();
    let more = job.rounds.div_ceil(ROUNDS).min(time_for as usize).saturating_sub(1);
    stages.begin("measure again", Some((more * sessions.len()) as u64));
    for _ in 0..more {
        for (best, pass) in best.iter_mut().zip(turn()?) {
            // Where turns are few, none may be undisturbed from end to end.
            best.whole = best.whole.min(pass.whole);
            for (step, (_, seconds)) in best.steps.iter_mut().zip(pass.steps) {
                step.1 = step.1.min(seconds);
            }
        }
    }
    Ok(best)
}

/// A few runs of a network, one after the other.
struct Pass {
    /// What a run takes, in seconds: the median.
    whole: f64,
    /// Names of steps and their medians, in seconds.
    steps: Vec<(String, f64)>,
}

impl Pass {
    fn run(session: &Session, input: &[f32], rounds: usize) -> Result<Pass> {
        let (mut whole, mut each) = (Vec::new(), Vec::new());
        // The first finds memory and caches as no later one does.
        let names: Vec<String> = session.profile(input)?.into_iter().map(|p| p.step.name).collect();
        each.resize(names.len(), Vec::new());
        let turn = Instant::now();
        while whole.is_empty() || whole.len() < rounds && turn.elapsed() < TURN {
            let start = Instant::now();
            std::hint::black_box(session.run(input)?);
            whole.push(start.elapsed().as_secs_f64());
            let profile = session.profile(input)?;
            each.iter_mut().zip(profile).for_each(|(times, p)| times.push(p.time.as_secs_f64()));
        }
        let steps = names.into_iter().zip(each.into_iter().map(median)).collect();
        Ok(Pass { whole: median(whole), steps })
    }

    /// Nanoseconds of each step for a sample, such that they add up to the whole: stopping the clock between steps is left out that
    /// way, and what happens between them is shared out.
    fn per_sample(self, batch: usize) -> Vec<(String, f64)> {
        let sum: f64 = self.steps.iter().map(|(_, s)| s).sum();
        let scale = 1e9 * self.whole / (sum.max(f64::MIN_POSITIVE) * batch as f64);
        self.steps.into_iter().map(|(name, s)| (name, s * scale)).collect()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Strategies that between them have every operator in every form.
fn strategies(space: &Space, sites: &Sites, bits: &[u8]) -> Vec<Strategy> {
    let widest = space.uniform(8, 8);
    let float = |g: usize| space.genes[g].choices.iter().position(|c| *c == Choice::Float);
    let with_float = |which: &dyn Fn(usize) -> bool| -> Strategy {
        (0..space.genes.len())
            .map(|g| if which(g) { float(g).unwrap_or(widest[g]) } else { widest[g] })
            .collect()
    };
    let weight = |g: usize| matches!(space.genes[g].place, Place::Weight(_));
    let sum = |g: usize| match space.genes[g].place {
        Place::Edge(i) => !sites.activations[i].feeds_product,
        Place::Weight(_) => false,
    };
    // Weights and edges each narrow by themselves, and both together; what lies between takes the times of the nearest wider widths.
    let narrow = bits.iter().filter(|&&b| b < 8).flat_map(|&b| [(b, 8), (8, b), (b, b)]);
    let mut all: BTreeSet<Strategy> = narrow.map(|(weights, edges)| space.uniform(weights, edges)).collect();
    all.insert(with_float(&|g| weight(g) && g % 2 == 0));
    all.insert(with_float(&|g| weight(g) && g % 2 == 1));
    all.insert(with_float(&sum));
    all.insert(widest);
    // Where a target has no narrow edges, or one width is offered, several are one and timed once.
    all.into_iter().collect()
}

/// What was measured, by strategy.
#[derive(Default)]
struct Timings(Vec<Timed>);

/// The pieces of one strategy and what each took, in nanoseconds; what has no step of its own is done by another and took nothing.
struct Timed(Vec<(Piece, f64)>);

fn converts(work: &Work) -> bool {
    matches!(work.op.as_str(), "Quantize" | "Dequantize")
}

impl Timings {
    /// Takes the times of the steps of one strategy.
    fn take(&mut self, graph: &Graph, pieces: Vec<Piece>, steps: Vec<(String, f64)>) {
        let mut took = vec![0.0; pieces.len()];
        for (name, ns) in steps {
            if let Some(i) = piece_of(graph, &pieces, &name) {
                took[i] += ns;
            }
        }
        self.0.push(Timed(pieces.into_iter().zip(took).collect()));
    }

    /// What each kind of work takes: of a strategy the mean over equal layers, and of strategies on codes the least, since a layer
    /// beside a float one also converts; in float the mean. Conversions count where they have a step of their own: from codes they
    /// take longer than to codes.
    fn work(&self) -> BTreeMap<Work, (f64, u64, u64)> {
        let mut all: BTreeMap<Work, (Vec<f64>, u64, u64)> = BTreeMap::new();
        for timed in &self.0 {
            let mut equal: BTreeMap<&Work, (f64, f64)> = BTreeMap::new();
            for (piece, ns) in timed.0.iter().filter(|(piece, ns)| !converts(&piece.work) || *ns > 0.0) {
                let (sum, count) = equal.entry(&piece.work).or_default();
                (*sum, *count) = (*sum + ns, *count + 1.0);
                let entry = all.entry(piece.work.clone()).or_default();
                (entry.1, entry.2) = (piece.macs, piece.elements);
            }
            for (work, (sum, count)) in equal {
                all.entry(work.clone()).or_default().0.push(sum / count);
            }
        }
        let value = |work: &Work, ns: &[f64]| match work.form {
            Form::Codes { .. } => ns.iter().copied().fold(f64::INFINITY, f64::min),
            Form::Float => ns.iter().sum::<f64>() / ns.len() as f64,
        };
        all.into_iter()
            .map(|(work, (ns, macs, elements))| {
                let ns = value(&work, &ns);
                (work, (ns, macs, elements))
            })
            .collect()
    }

    /// The target with the table, and formulas through it.
    fn target(&self, base: &Target, source: String) -> Result<Target> {
        let work = self.work();
        let measured: Vec<Measured> = work
            .iter()
            .map(|(work, (ns, ..))| Measured {
                op: work.op.clone(),
                shape: work.shape.clone(),
                form: work.form,
                ns: ns.round(),
            })
            .collect();
        let ratio = |which: &dyn Fn(&Work, u64, u64) -> Option<u64>| {
            let (mut ns, mut count) = (0.0, 0.0);
            for (work, &(took, macs, elements)) in &work {
                if let Some(n) = which(work, macs, elements) {
                    ns += took;
                    count += n as f64;
                }
            }
            if count > 0.0 { ns / count } else { 0.0 }
        };
        let float = ratio(&|w, macs, _| (w.form == Form::Float && macs > 0).then_some(macs));
        let element = ratio(&|w, macs, elements| (macs == 0 && !converts(w)).then_some(elements));
        let conversion = ratio(&|w, _, elements| converts(w).then_some(elements));
        let widths = work.keys().filter_map(|work| match work.form {
            Form::Codes { weight, .. } => weight,
            Form::Float => None,
        });
        let widths: BTreeSet<u8> = widths.collect();
        let of = |bits: u8| Latency {
            bits,
            ns_per_mac: ratio(&|w, macs, _| {
                matches!(w.form, Form::Codes { weight: Some(b), .. } if b == bits).then_some(macs)
            }),
        };
        Ok(Target {
            summary: format!("{}, with times measured here", base.summary),
            latency: widths.into_iter().map(of).collect(),
            cost: Some(Cost {
                source,
                float_ns_per_mac: Some(float),
                ns_per_element: Some(element),
                ns_per_conversion: Some(conversion),
                measured,
            }),
            ..base.clone()
        })
    }
}

/// The piece of work that a step belongs to: of its name, of the edge that it converts, or the one that what it does is part of.
fn piece_of(graph: &Graph, pieces: &[Piece], step: &str) -> Option<usize> {
    let named = |name: &str, op: Option<&str>| {
        pieces.iter().position(|p| p.name == name && op.is_none_or(|op| p.work.op == op))
    };
    if let Some(i) = named(step, None) {
        return Some(i);
    }
    for (end, op) in [(".codes", "Quantize"), (".quantized", "Dequantize")] {
        if let Some(i) = step.strip_suffix(end).and_then(|edge| named(edge, Some(op))) {
            return Some(i);
        }
    }
    // An activation or bias by itself: part of what computes what it reads.
    let producers = graph.producers();
    let mut node = graph.nodes.iter().find(|node| node.name == step)?;
    loop {
        let before = node.inputs.iter().flatten().find_map(|value| producers.get(value))?;
        node = &graph.nodes[before.0];
        if let Some(i) = named(&node.name, None) {
            return Some(i);
        }
    }
}
