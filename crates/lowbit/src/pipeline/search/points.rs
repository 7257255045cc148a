//! What there is to choose from: the frontier of all trials, uniform widths beside it, each as a file that is timed.

use std::time::{Duration, Instant};

use anyhow::Result;
use lowbit_quantize::search::cost::Pricing;
use lowbit_quantize::search::frontier::frontier;
use lowbit_quantize::search::space::Space;
use lowbit_quantize::search::{Strategy, Trial};
use lowbit_runtime::{Options, Session};

use super::files::Made;
use crate::facade::{Best, Point};

/// Points of the frontier that are written and timed: more cannot be told apart on a page.
const MOST: usize = 24;
/// How often each has its turn to be timed, a second in all: what else a machine does slows down whole moments, of
/// seconds on shared ones.
pub(super) const TURNS: usize = 100;
/// How long a turn is at least.
const TURN: Duration = Duration::from_millis(10);
/// About how long all of them are timed where so many turns would take longer, each having had one.
const TIMING: Duration = Duration::from_secs(60);

/// Trials with what they take.
pub(super) struct Priced<'a> {
    pub(super) trials: &'a [Trial],
    /// Bytes of the file, predicted.
    pub(super) bytes: Vec<f64>,
    /// Milliseconds for a sample, by the target's costs, where it has some.
    pub(super) ms: Vec<Option<f64>>,
}

impl<'a> Priced<'a> {
    pub(super) fn new(trials: &'a [Trial], space: &Space, pricing: &Pricing<'_>, timed: bool) -> Priced<'a> {
        let bytes = trials.iter().map(|t| pricing.bytes(space, &t.strategy)).collect();
        let ms = |t: &Trial| timed.then(|| pricing.milliseconds(space, &t.strategy).ok()).flatten();
        Priced { trials, bytes, ms: trials.iter().map(ms).collect() }
    }

    fn loss(&self, i: usize) -> f64 {
        (self.trials[i].loss + self.trials[i].check_loss) / 2.0
    }
}

/// Strategies of one width for weights and one for edges.
pub(super) fn uniform(space: &Space, bits: &[u8]) -> Vec<(String, Strategy)> {
    let widest = bits.iter().copied().max().unwrap_or(8);
    let mut all: Vec<(String, Strategy)> = Vec::new();
    for &weights in bits {
        for edges in [widest, weights] {
            let strategy = space.uniform(weights, edges);
            if !all.iter().any(|(_, other)| *other == strategy) {
                all.push((format!("w{weights}a{edges}"), strategy));
            }
        }
    }
    all
}

/// The points to show, by size, each with the place of its trial; the chosen one is among them.
pub(super) fn points(
    priced: &Priced<'_>,
    uniform: &[(String, Strategy)],
    chosen: usize,
) -> Vec<(usize, Point)> {
    let count = priced.trials.len();
    let by_bytes: Vec<[f64; 2]> = (0..count).map(|i| [priced.bytes[i], priced.loss(i)]).collect();
    let by_time: Vec<[f64; 2]> =
        (0..count).map(|i| [priced.ms[i].unwrap_or(f64::NAN), priced.loss(i)]).collect();
    let thin = |all: Vec<usize>, most: usize| -> Vec<usize> {
        let last = all.len().saturating_sub(1);
        if all.len() <= most { all } else { (0..most).map(|k| all[k * last / (most - 1)]).collect() }
    };
    let name = |i: usize| {
        uniform.iter().find(|(_, s)| *s == priced.trials[i].strategy).map(|(name, _)| name.clone())
    };
    let mut shown = thin(frontier(&by_bytes), MOST);
    shown.extend(thin(frontier(&by_time), MOST / 2));
    shown.push(chosen);
    // Of few, all; of many, those of one width beside the frontier.
    shown.extend((0..count).filter(|&i| count <= MOST || name(i).is_some()));
    shown.sort_by(|&a, &b| priced.bytes[a].total_cmp(&priced.bytes[b]).then(a.cmp(&b)));
    shown.dedup();
    let point = |i: usize| {
        let trial = &priced.trials[i];
        let point = Point {
            name: name(i).unwrap_or_default(),
            uniform: name(i).is_some(),
            loss: [trial.loss, trial.check_loss],
            drop: [trial.drop, trial.check_drop],
            bytes: (priced.bytes[i] as u64, None),
            predicted_ms: priced.ms[i],
            ..Point::default()
        };
        (i, point)
    };
    shown.into_iter().map(point).collect()
}

/// Marks the points that no other shown beats, by what their files turned out to weigh and to take.
pub(super) fn mark(points: &mut [Point]) {
    let across = |of: &dyn Fn(&Point) -> f64| -> Vec<usize> {
        frontier(&points.iter().map(|p| [of(p), p.mean_loss()]).collect::<Vec<_>>())
    };
    let by_size = across(&|p| p.size() as f64);
    let by_time = across(&|p| p.ms().unwrap_or(f64::NAN));
    for (i, point) in points.iter_mut().enumerate() {
        point.best = Best { size: by_size.contains(&i), time: by_time.contains(&i) };
    }
}

/// Makes the file of a point known to it: its recipe and its size.
pub(super) fn complete(point: &mut Point, made: &Made) {
    point.bits = bits(&made.recipe);
    point.bytes.1 = Some(made.bytes.len() as u64);
    point.recipe = made.recipe.clone();
    if point.name.is_empty() {
        point.name = format!("mixed w{:.1}a{:.1}", point.bits[0], point.bits[1]);
    }
}

/// What runs a file here, on one thread.
pub(super) fn session(made: &Made) -> Result<Session> {
    let options = Options { threads: Some(1), ..Options::default() };
    Ok(Session::new(lowbit_onnx::read_bytes(&made.bytes, None)?, options)?)
}

/// Milliseconds of one sample: each in turn, again and again, and the median of its fastest turn. `advance` hears of every turn.
pub(super) fn milliseconds(sessions: &[Session], sample: &[f32], advance: &dyn Fn()) -> Result<Vec<f64>> {
    let mut best = vec![f64::INFINITY; sessions.len()];
    let began = Instant::now();
    let (mut turns, mut longest) = (0, Duration::ZERO);
    while turns < TURNS && (turns == 0 || began.elapsed() + longest <= TIMING) {
        let turn = Instant::now();
        for (session, best) in sessions.iter().zip(&mut best) {
            session.run(sample)?;
            let mut times = Vec::new();
            let start = Instant::now();
            while times.len() < 3 || start.elapsed() < TURN {
                let run = Instant::now();
                std::hint::black_box(session.run(sample)?);
                times.push(run.elapsed().as_secs_f64());
            }
            times.sort_unstable_by(f64::total_cmp);
            *best = best.min(1e3 * times[times.len() / 2]);
        }
        (turns, longest) = (turns + 1, longest.max(turn.elapsed()));
        advance();
    }
    Ok(best)
}

/// Average bits of weights and edges that a recipe says; float counts as 32.
fn bits(recipe: &str) -> [f64; 2] {
    let table: toml::Table = recipe.parse().unwrap_or_default();
    let step = table.get("step").and_then(|steps| steps.get(0));
    ["weights", "edges"].map(|key| {
        let entries = step.and_then(|step| step.get(key)).and_then(toml::Value::as_table);
        let widths: Vec<f64> = entries
            .into_iter()
            .flat_map(|t| t.values().filter_map(toml::Value::as_str))
            .map(|choice| choice.split(' ').next().and_then(|b| b.parse().ok()).unwrap_or(32.0))
            .collect();
        widths.iter().sum::<f64>() / widths.len().max(1) as f64
    })
}
