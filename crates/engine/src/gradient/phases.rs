//! How a training step runs: which steps between two sums over the batch, on how many rows at a time, and which buffers
//! outlive a phase.
//!
//! A value is kept for all rows until the way back is done, but for outputs of normalizations that are read in their own
//! phase only: they are made again on the way back, from values that are in the cache by then anyhow, which spares
//! memory and its traffic. A gradient is kept only where it crosses from one phase to another, in slots that serve one
//! after another.

use super::rooms::Home;
use super::tape::{Cell, Kind, Place, Tape};
use crate::slots::Slots;
use std::collections::HashSet;
use std::ops::Range;

/// Bytes that a phase may touch at a time: half of a common 1 MiB second-level cache (measured).
const PIECE_BYTES: usize = 512 << 10;
/// Rows at a time at most.
const PIECE_ROWS: usize = 32;

/// What runs between two sums over the whole batch.
pub(super) struct Phase {
    pub(super) steps: Range<usize>,
    /// Rows at a time, forward and back.
    pub(super) rows: [usize; 2],
    /// Normalizations whose statistics this phase gathers, and those that it applies.
    pub(super) gathers: Vec<usize>,
    pub(super) applies: Vec<usize>,
    /// Steps to run again on the way back.
    pub(super) again: Vec<usize>,
    /// Sums of the gradients of parameters, one after another: step, position, where.
    pub(super) sums: Vec<(usize, usize, Range<usize>)>,
}

impl Phase {
    /// Values of all its sums.
    pub(super) fn sums_len(&self) -> usize {
        self.sums.last().map_or(0, |(_, _, range)| range.end)
    }
}

/// The plan of a step, and what it needs.
pub(super) struct Phases {
    pub(super) phases: Vec<Phase>,
    /// Values of each kept buffer: of one row, or where batches are not cut, of the whole batch.
    pub(super) kept: Vec<usize>,
    /// Values of each buffer of a thread, at the compiled batch.
    pub(super) local: Vec<usize>,
}

/// Whether all that the tape computes may run on some rows at a time, some phases later.
pub(super) fn may_be_cut(tape: &Tape) -> bool {
    let tensors = |kind: &Kind| match kind {
        Kind::Plain { outputs, .. } => outputs.iter().any(|place| matches!(place, Place::Tensor(_))),
        _ => false,
    };
    tape.spans.iter().all(|span| span.grows) && !tape.steps.iter().any(|step| tensors(&step.kind))
}

/// Plans, and tells each cell of the tape its home. `cut` says whether some rows may run at a time.
pub(super) fn plan(tape: &mut Tape, cut: bool) -> Phases {
    let mut phases = split(tape);
    let placed = vec![false; tape.spans.len()];
    let phase_of = phase_of(tape, &phases);
    let mut planner = Planner { cut, phase_of, placed, kept: Vec::new(), local: Slots::default() };
    planner.values(tape, &mut phases);
    let crossing = planner.crossing(tape);
    planner.grads(tape, &phases, &crossing);
    for phase in &mut phases {
        phase.rows = if cut { piece_rows(tape, phase) } else { [tape.batch; 2] };
    }
    Phases { phases, kept: planner.kept, local: planner.local.lens }
}

fn split(tape: &Tape) -> Vec<Phase> {
    let count = tape.steps.last().map_or(0, |step| step.phase) + 1;
    let one = |phase: usize| {
        let first = tape.steps.partition_point(|step| step.phase < phase);
        let steps = first..tape.steps.partition_point(|step| step.phase <= phase);
        let (mut sums, mut end) = (Vec::new(), 0);
        let (mut gathers, mut applies) = (Vec::new(), Vec::new());
        for i in steps.clone() {
            match tape.steps[i].kind {
                Kind::Gather(norm) => gathers.push(norm),
                Kind::Normalize(norm) => applies.push(norm),
                _ if tape.steps[i].goes_back => {
                    for (nth, len) in tape.sums(&tape.steps[i]).into_iter().enumerate() {
                        sums.push((i, nth, end..end + len));
                        end += len;
                    }
                }
                _ => {}
            }
        }
        Phase { steps, rows: [1; 2], gathers, applies, again: Vec::new(), sums }
    };
    (0..count).map(one).collect()
}

/// The phase in which each cell is written; 0 for inputs.
fn phase_of(tape: &Tape, phases: &[Phase]) -> Vec<usize> {
    let mut found = vec![0; tape.spans.len()];
    for (nth, phase) in phases.iter().enumerate() {
        tape.steps[phase.steps.clone()]
            .iter()
            .flat_map(|step| &step.writes)
            .for_each(|&cell| found[cell] = nth);
    }
    found
}

struct Planner {
    cut: bool,
    /// By cell: the phase that writes it, and whether its gradient has its place.
    phase_of: Vec<usize>,
    placed: Vec<bool>,
    kept: Vec<usize>,
    local: Slots,
}

impl Planner {
    /// Values of a kept buffer for this cell.
    fn unit(&self, tape: &Tape, cell: Cell) -> usize {
        if self.cut { tape.row(cell) } else { tape.spans[cell].len }
    }

    /// Values: kept, or the thread's and made again.
    fn values(&mut self, tape: &mut Tape, phases: &mut [Phase]) {
        let mut far: HashSet<Cell> = tape.outputs.iter().copied().collect();
        for (nth, phase) in phases.iter().enumerate() {
            let reads = tape.steps[phase.steps.clone()].iter().flat_map(|step| &step.reads);
            far.extend(reads.filter(|&&cell| self.phase_of[cell] != nth));
        }
        let mut local = vec![false; tape.spans.len()];
        for phase in phases.iter_mut() {
            for i in phase.steps.clone() {
                let step = &tape.steps[i];
                if matches!(step.kind, Kind::Normalize(_)) && !far.contains(&step.writes[0]) {
                    local[step.writes[0]] = true;
                    phase.again.extend(step.goes_back.then_some(i));
                }
            }
        }
        // Slots of the thread come with the gradients, which share them.
        for (cell, _) in local.iter().enumerate().filter(|(_, local)| !**local) {
            self.kept.push(self.unit(tape, cell));
            tape.values[cell] = Home::Kept(self.kept.len() - 1);
        }
    }

    /// Gradients that one phase writes and another reads.
    fn crossing(&self, tape: &Tape) -> HashSet<Cell> {
        let mut crossing: HashSet<Cell> = tape.outputs.iter().copied().collect();
        for step in tape.steps.iter().filter(|step| step.goes_back) {
            let sinks = step.reads.iter().zip(&step.sinks).filter(|(_, sink)| sink.is_some());
            crossing.extend(sinks.map(|(&cell, _)| cell).filter(|&cell| self.phase_of[cell] != step.phase));
        }
        // What `Gather` takes back, the phase after it has written.
        crossing.extend(tape.norms.iter().map(|norm| norm.y));
        crossing
    }

    fn grads(&mut self, tape: &mut Tape, phases: &[Phase], crossing: &HashSet<Cell>) {
        let mut slots = Slots::default();
        let first_kept = self.kept.len();
        // The loss writes these before anything goes back.
        for cell in tape.outputs.clone() {
            if tape.grads[cell] != Home::Nowhere && !std::mem::replace(&mut self.placed[cell], true) {
                tape.grads[cell] = Home::Kept(first_kept + slots.acquire(self.unit(tape, cell)));
            }
        }
        for phase in phases.iter().rev() {
            let mut mine: Vec<usize> = Vec::new();
            let mut done: Vec<usize> = Vec::new();
            for step in &tape.steps[phase.steps.clone()] {
                for &cell in &step.writes {
                    if !matches!(tape.values[cell], Home::Local(_)) {
                        continue;
                    }
                    let slot = self.local.acquire(tape.spans[cell].len);
                    tape.values[cell] = Home::Local(slot);
                    mine.push(slot);
                }
            }
            for i in phase.steps.clone().rev() {
                let step = &tape.steps[i];
                if !step.goes_back {
                    continue;
                }
                let sinks = step.reads.iter().zip(&step.sinks).filter(|(_, sink)| sink.is_some());
                let starts = sinks.map(|(&cell, _)| cell).chain(step.writes.iter().copied());
                for cell in starts.collect::<Vec<_>>() {
                    if self.placed[cell] || tape.grads[cell] == Home::Nowhere {
                        continue;
                    }
                    self.placed[cell] = true;
                    tape.grads[cell] = if crossing.contains(&cell) {
                        Home::Kept(first_kept + slots.acquire(self.unit(tape, cell)))
                    } else {
                        let slot = self.local.acquire(tape.spans[cell].len);
                        mine.push(slot);
                        Home::Local(slot)
                    };
                }
                let step = &tape.steps[i];
                let read: Vec<Cell> = match step.kind {
                    Kind::Normalize(_) => Vec::new(),
                    Kind::Gather(norm) => vec![tape.norms[norm].y],
                    _ => step.writes.clone(),
                };
                for cell in read {
                    match tape.grads[cell] {
                        // Other rows of this phase may not be that far.
                        Home::Kept(slot) => done.push(slot - first_kept),
                        Home::Local(slot) => self.local.release(slot),
                        Home::Nowhere => {}
                    }
                }
            }
            mine.into_iter().for_each(|slot| self.local.release(slot));
            done.into_iter().for_each(|slot| slots.release(slot));
        }
        self.kept.extend(&slots.lens);
    }
}

/// Rows at a time of a phase, forward and back, so that what it touches fits the cache.
fn piece_rows(tape: &Tape, phase: &Phase) -> [usize; 2] {
    let touched = |back: bool| {
        let steps = tape.steps[phase.steps.clone()].iter().filter(|step| !back || step.goes_back);
        let cells: HashSet<Cell> =
            steps.flat_map(|step| step.reads.iter().chain(&step.writes)).copied().collect();
        let grads = cells.iter().filter(|&&cell| back && tape.grads[cell] != Home::Nowhere);
        cells.iter().chain(grads).map(|&cell| tape.row(cell) * size_of::<f32>()).sum::<usize>()
    };
    [false, true].map(|back| (PIECE_BYTES / touched(back).max(1)).clamp(1, PIECE_ROWS))
}
