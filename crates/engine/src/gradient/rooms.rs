//! Where the values of a tape and their gradients lie while some rows run.

use super::norm::{Normalized, Part};
use super::tape::{Cell, Tape};
use lowbit_graph::ValueId;
use lowbit_kernels::AlignedVec;
use lowbit_tensor::Tensor;
use std::collections::HashMap;
use std::ops::Range;

/// Place of a value, or of a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// It has none: nothing wants it.
    Nowhere,
    /// With the thread, while the same rows run.
    Local(usize),
    /// For all rows of the shard, over several phases.
    Kept(usize),
}

/// The working memory of a thread.
#[derive(Default)]
pub(super) struct Local {
    pub(super) buffers: Vec<AlignedVec>,
    pub(super) scratch: AlignedVec,
    pub(super) tensors: HashMap<ValueId, Tensor>,
}

impl Local {
    pub(super) fn new(lens: &[usize], scratch: usize) -> Local {
        Local {
            buffers: lens.iter().map(|&len| AlignedVec::zeroed(len)).collect(),
            scratch: AlignedVec::zeroed(scratch),
            tensors: HashMap::new(),
        }
    }
}

/// All that steps work in, and which rows.
pub(super) struct Rooms<'a> {
    pub(super) local: &'a mut Local,
    /// The shard's.
    pub(super) kept: &'a mut [AlignedVec],
    /// Rows that run, counted from the shard's first.
    pub(super) rows: Range<usize>,
    /// Rows of the batch before the shard's first.
    pub(super) before: usize,
    /// What is known of all rows of the batch, by normalization, and what the shard adds.
    pub(super) normalized: &'a [Normalized],
    pub(super) parts: &'a mut [Part],
    /// What dropout draws from.
    pub(super) seed: u64,
}

impl<'a> Rooms<'a> {
    /// Without shards: everything is the thread's.
    pub(super) fn alone(local: &'a mut Local, rows: usize) -> Rooms<'a> {
        Rooms { local, kept: &mut [], rows: 0..rows, before: 0, normalized: &[], parts: &mut [], seed: 0 }
    }

    /// The rows' part of a cell, in the buffer that `home` names.
    fn range(&self, tape: &Tape, cell: Cell, home: Home) -> Range<usize> {
        let (row, len) = (tape.row(cell), tape.live(cell, self.rows.len()));
        match home {
            Home::Nowhere => 0..0,
            Home::Kept(_) if tape.spans[cell].grows => self.rows.start * row..self.rows.start * row + len,
            Home::Local(_) | Home::Kept(_) => 0..len,
        }
    }

    /// The value of a cell.
    pub(super) fn value(&self, tape: &Tape, cell: Cell) -> &[f32] {
        self.look(tape, cell, tape.values[cell])
    }

    /// The gradient of a cell; empty if it has none.
    pub(super) fn grad(&self, tape: &Tape, cell: Cell) -> &[f32] {
        self.look(tape, cell, tape.grads[cell])
    }

    fn look(&self, tape: &Tape, cell: Cell, home: Home) -> &[f32] {
        let range = self.range(tape, cell, home);
        match home {
            Home::Nowhere => &[],
            Home::Local(slot) => &self.local.buffers[slot][range],
            Home::Kept(slot) => &self.kept[slot][range],
        }
    }

    /// Takes out the value of a cell to be written, until [`Rooms::put`].
    pub(super) fn take_value(&mut self, tape: &Tape, cell: Cell) -> Taken {
        self.take(tape, cell, tape.values[cell])
    }

    /// The same of its gradient.
    pub(super) fn take_grad(&mut self, tape: &Tape, cell: Cell) -> Taken {
        self.take(tape, cell, tape.grads[cell])
    }

    fn take(&mut self, tape: &Tape, cell: Cell, home: Home) -> Taken {
        let range = self.range(tape, cell, home);
        let buffer = match home {
            Home::Nowhere => AlignedVec::default(),
            Home::Local(slot) => std::mem::take(&mut self.local.buffers[slot]),
            Home::Kept(slot) => std::mem::take(&mut self.kept[slot]),
        };
        Taken { home, buffer, range }
    }

    /// Puts back what was taken out.
    pub(super) fn put(&mut self, taken: Taken) {
        match taken.home {
            Home::Nowhere => {}
            Home::Local(slot) => self.local.buffers[slot] = taken.buffer,
            Home::Kept(slot) => self.kept[slot] = taken.buffer,
        }
    }
}

/// A buffer taken out of its rooms, so that others can be read beside it.
pub(super) struct Taken {
    home: Home,
    buffer: AlignedVec,
    range: Range<usize>,
}

impl Taken {
    /// The part of the rows that run.
    pub(super) fn live(&mut self) -> &mut [f32] {
        &mut self.buffer[self.range.clone()]
    }
}
