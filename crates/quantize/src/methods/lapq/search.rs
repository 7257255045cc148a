//! The phases in order: a start, Powell's method from there, and whether its end is kept.

use super::journal::Journal;
use super::objective::{Measure, Objective, corrected};
use super::parabola::vertex;
use super::start::layerwise;
use super::variables::Variable;
use super::{ENTRY, Lapq, Start};
use crate::method::MethodError;
use crate::plan::Plan;
use crate::powell::{Line, Options, Powell};
use std::ops::Range;

/// Values of `p` tried.
const GRID: usize = 10;
/// Samples that clips of edges are fitted on.
const FITTED: usize = 256;
/// No clip moves further from where it started than by this factor.
const FURTHEST: f64 = 4.0;
/// First step of a line, as the logarithm of a factor.
const FIRST_STEP: f64 = 0.1;
/// How precisely a line is searched, likewise: finer differences of the loss are those of single roundings.
const PRECISION: f64 = 0.01;

/// A search of the steps of some tensors.
pub(super) struct Search<'a> {
    pub(super) lapq: &'a Lapq,
    pub(super) measure: &'a Measure<'a>,
    /// In network order, with the cut before each.
    pub(super) placed: &'a [(Variable, usize)],
    /// Samples to search on, and those that decide.
    pub(super) samples: [Range<usize>; 2],
}

/// A plan to start from.
struct Candidate {
    plan: Plan,
    loss: f64,
    name: String,
}

impl Search<'_> {
    /// The plan found, and an account for the report.
    pub(super) fn run(&self, base: Plan) -> Result<(Plan, String), MethodError> {
        let (watch, [searched, deciding]) = (self.measure.bench.run.watch, &self.samples);
        let as_it_came = self.checked("the start", 0, self.measure.of(base.clone(), searched.clone()))?;
        let mut journal = self.journal(&base, as_it_came);
        if journal.resumed() > 0 {
            watch.note(format!("{}: resumed after {} losses", ENTRY.id, journal.resumed()));
        }
        let first = Candidate { plan: base, loss: as_it_came, name: "the codes that came in".into() };
        let start = match self.lapq.start {
            Start::Plan => first,
            Start::Lp => self.best_start(first, &mut journal)?,
        };
        let sweeps = self.lapq.sweeps(self.measure.bench.run.effort);
        let name = format!("{}: joint search", ENTRY.id);
        watch.stage(&name, Some((sweeps * self.placed.len()) as u64));
        let mut objective = Objective::new(self.measure, start.plan, self.placed, searched.clone());
        let line = Line { first: FIRST_STEP, absolute: PRECISION, ..Line::default() };
        let origin = vec![0.0; self.placed.len()];
        let mut powell =
            Powell::new(origin.clone(), start.loss, Options { sweeps, line, ..Options::default() });
        let decide = |journal: &mut Journal<'_>, plan: Plan| {
            let n = journal.losses();
            journal
                .next(|| self.checked("the samples that decide", n, self.measure.of(plan, deciding.clone())))
        };
        let before = decide(&mut journal, objective.plan(&origin))?;
        let (mut kept, mut kept_loss, mut after) = (origin, start.loss, before);
        let mut done = 0;
        loop {
            let place = self.place(done);
            let search = powell.step(|point| {
                if point.iter().any(|x| x.abs() > FURTHEST.ln()) {
                    return Ok(f64::INFINITY);
                }
                let n = journal.losses();
                journal.next(|| self.checked(&place, n, objective.loss(point)))
            })?;
            let Some(search) = search else { break };
            done = search.direction.map_or(0, |i| i + 1);
            journal.save(ENTRY.id, &place)?;
            watch.advance(1);
            if powell.sweeps() > search.sweep {
                let loss = decide(&mut journal, objective.plan(powell.point()))?;
                watch.note(format!(
                    "{}: after sweep {} {:.5}, on the samples that decide {loss:.5}",
                    ENTRY.id,
                    powell.sweeps(),
                    powell.value()
                ));
                if loss < after {
                    (kept, kept_loss, after) = (powell.point().to_vec(), powell.value(), loss);
                }
                journal.save(ENTRY.id, &place)?;
            }
        }
        let outcome = format!(
            "{}: {} clips searched in {} sweeps from {}, {} losses of {} samples: {:.5} as it came, {:.5} at the start, \
             {:.5} at the end; on the {} samples that decide {before:.5} and {after:.5}",
            ENTRY.id,
            self.placed.len(),
            powell.sweeps(),
            start.name,
            journal.losses(),
            searched.len(),
            as_it_came,
            start.loss,
            kept_loss,
            deciding.len(),
        );
        let mut plan = objective.plan(&kept);
        for (variable, _) in self.placed {
            let setting = variable.setting(&mut plan);
            if let Some(code) = setting.code.clone() {
                setting.set(code, ENTRY.id);
            }
        }
        Ok((corrected(&self.measure.bench, plan, self.lapq.correct_bias)?, outcome))
    }

    /// The best of the codes that came in, the clips of each `p`, and those of the parabola's `p`.
    fn best_start(&self, first: Candidate, journal: &mut Journal<'_>) -> Result<Candidate, MethodError> {
        let watch = self.measure.bench.run.watch;
        watch.stage(&format!("{}: layer-wise clips", ENTRY.id), Some(GRID as u64));
        let [least, most] = self.lapq.p.map(f64::from);
        let mut tried = Vec::new();
        for k in 0..GRID {
            let p = least + (most - least) * k as f64 / (GRID - 1) as f64;
            tried.push((p, self.candidate(&first.plan, p, journal)?));
            watch.advance(1);
        }
        let points: Vec<(f64, f64)> = tried.iter().map(|(p, candidate)| (*p, candidate.loss)).collect();
        let losses: Vec<String> = points.iter().map(|(p, loss)| format!("{p:.2}: {loss:.5}")).collect();
        let text = match vertex(&points) {
            Some(p) => {
                let candidate = self.candidate(&first.plan, p, journal)?;
                let text = format!("the parabola through them is least at {p:.3}: {:.5}", candidate.loss);
                tried.push((p, candidate));
                text
            }
            None => "the parabola through them has no minimum there".to_owned(),
        };
        watch.note(format!("{}: losses of layer-wise clips by p {}; {text}", ENTRY.id, losses.join(", ")));
        journal.save(ENTRY.id, "the layer-wise clips")?;
        let all = std::iter::once(first).chain(tried.into_iter().map(|(_, candidate)| candidate));
        Ok(all.min_by(|a, b| a.loss.total_cmp(&b.loss)).expect("the codes that came in are one"))
    }

    /// The layer-wise clips of one `p`.
    fn candidate(&self, base: &Plan, p: f64, journal: &mut Journal<'_>) -> Result<Candidate, MethodError> {
        let searched = &self.samples[0];
        let fitted = searched.start..searched.end.min(searched.start + FITTED);
        let plan = layerwise(self.measure, base, self.placed, fitted, p as f32)?;
        let (place, n) = (format!("the clips of p = {p:.3}"), journal.losses());
        let loss =
            journal.next(|| self.checked(&place, n, self.measure.of(plan.clone(), searched.clone())))?;
        Ok(Candidate { plan, loss, name: place })
    }

    /// The losses saved of this very search.
    fn journal(&self, base: &Plan, first: f64) -> Journal<'_> {
        let run = self.measure.bench.run;
        let plan = serde_json::to_vec(base).unwrap_or_default();
        let what = format!("{:?} {:?} {:?} {}", self.lapq, self.placed, self.samples, run.seed);
        Journal::open(run.state, ENTRY.id, &[what.as_bytes(), &plan].concat(), first)
    }

    /// The tensor searched after `done` of a sweep; after the last, the way gone.
    fn place(&self, done: usize) -> String {
        let sites = self.measure.bench.sites;
        self.placed
            .get(done)
            .map_or_else(|| "all steps together".into(), |(variable, _)| variable.name(sites))
    }

    /// A loss that is a number.
    fn checked(
        &self,
        place: &str,
        iteration: usize,
        loss: Result<f64, MethodError>,
    ) -> Result<f64, MethodError> {
        match loss? {
            loss if loss.is_nan() => {
                Err(MethodError::NotANumber { step: ENTRY.id, place: place.to_owned(), iteration })
            }
            loss => Ok(loss),
        }
    }
}
