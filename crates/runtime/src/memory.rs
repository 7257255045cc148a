//! The memory of a session: which buffers share a place, and the places themselves.
//!
//! Planned once for a chunk of samples. A buffer has its place from the step that writes it to the last that reads it.
//! Borders are written once, when the memory is made: only planes of one shape and zero point share a place.

use crate::program::{Buffer, BufferId, Content, Step};
use lowbit_kernels::AlignedVec;
use lowbit_kernels::integer::Plane;

/// Where every buffer lies.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Place of each buffer; unused buffers have none.
    pub(crate) place: Vec<Option<usize>>,
    /// What each place holds.
    places: Vec<Content>,
    /// Samples that fit.
    pub(crate) samples: usize,
    /// Of each step, place and bytes per sample of what it reads.
    pub(crate) reads: Vec<Vec<(usize, usize)>>,
    /// Bytes of scratch that the greediest step needs.
    scratch: usize,
}

/// What two buffers must have in common to share a place.
fn kind(content: &Content) -> Option<(Plane, usize, u8)> {
    match *content {
        Content::Codes { plane, images, grid } => Some((plane, images, grid.zero)),
        Content::Float { .. } => None,
    }
}

impl Layout {
    /// Lends places for `samples` samples; `kept` buffers are read after the last step.
    pub(crate) fn new(
        buffers: &[Buffer],
        steps: &[Step],
        first: BufferId,
        kept: &[BufferId],
        samples: usize,
        scratch: usize,
    ) -> Layout {
        let mut last = vec![0; buffers.len()];
        for (n, step) in steps.iter().enumerate() {
            step.reads.iter().chain(&step.writes).for_each(|b| last[b.0] = n);
        }
        kept.iter().for_each(|b| last[b.0] = usize::MAX);
        let mut layout = Layout {
            place: vec![None; buffers.len()],
            places: Vec::new(),
            samples,
            reads: Vec::new(),
            scratch,
        };
        let mut free: Vec<usize> = Vec::new();
        layout.lend(&mut free, buffers, first);
        for (n, step) in steps.iter().enumerate() {
            step.writes.iter().for_each(|&b| layout.lend(&mut free, buffers, b));
            // Given back only now: no step writes where it reads.
            let used = step.reads.iter().chain(&step.writes).filter(|b| last[b.0] == n);
            let mut given: Vec<usize> = used.filter_map(|b| layout.place[b.0]).collect();
            given.sort_unstable();
            given.dedup();
            free.append(&mut given);
        }
        let operand =
            |b: &BufferId| (layout.place[b.0].expect("read after written"), buffers[b.0].content.bytes());
        layout.reads = steps.iter().map(|s| s.reads.iter().map(operand).collect()).collect();
        layout
    }

    fn lend(&mut self, free: &mut Vec<usize>, buffers: &[Buffer], id: BufferId) {
        let content = &buffers[id.0].content;
        let fits = |place: &usize| match (kind(content), kind(&self.places[*place])) {
            (Some(a), Some(b)) => a == b,
            (None, None) => self.places[*place].bytes() >= content.bytes(),
            _ => false,
        };
        let place = match free.iter().position(fits) {
            Some(i) => free.swap_remove(i),
            None => {
                self.places.push(content.clone());
                self.places.len() - 1
            }
        };
        self.place[id.0] = Some(place);
    }

    /// Bytes of the memory for one chunk.
    pub(crate) fn bytes(&self) -> usize {
        self.scratch + self.samples * self.places.iter().map(Content::bytes).sum::<usize>()
    }

    /// The memory, borders written.
    pub(crate) fn memory(&self) -> Memory {
        let place = |content: &Content| {
            let mut bytes = aligned(content.bytes() * self.samples);
            if let Content::Codes { plane, grid, .. } = content {
                plane.fill_border(&mut as_bytes_mut(&mut bytes)[..content.bytes() * self.samples], grid.zero);
            }
            bytes
        };
        Memory { places: self.places.iter().map(place).collect(), scratch: aligned(0) }
    }
}

/// The places of a [`Layout`].
pub(crate) struct Memory {
    pub(crate) places: Vec<AlignedVec>,
    /// Of all threads.
    pub(crate) scratch: AlignedVec,
}

impl Memory {
    /// Makes room for the scratch of that many threads, each a whole number of cache lines, one at least.
    pub(crate) fn grow_scratch(&mut self, bytes: usize, threads: usize) {
        let bytes = scratch_of_thread(bytes) * threads.max(1);
        if 4 * self.scratch.len() < bytes {
            self.scratch = aligned(bytes);
        }
    }
}

/// Bytes of scratch that a thread is given where a step needs `bytes`.
pub(crate) fn scratch_of_thread(bytes: usize) -> usize {
    bytes.next_multiple_of(64).max(64)
}

fn aligned(bytes: usize) -> AlignedVec {
    AlignedVec::zeroed(bytes.div_ceil(4))
}

/// The values as bytes.
pub(crate) fn as_bytes(values: &AlignedVec) -> &[u8] {
    bytemuck::cast_slice(values)
}

/// The values as bytes.
pub(crate) fn as_bytes_mut(values: &mut AlignedVec) -> &mut [u8] {
    bytemuck::cast_slice_mut(values)
}
