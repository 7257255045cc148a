//! One step on several threads: each takes some of the samples, or some rows of the one there is.

use crate::memory::scratch_of_thread;
use crate::ops::{Io, Kernel, Reads};
use crate::program::Content;
use rayon::prelude::*;

/// Runs a step on up to `threads` threads, which changes nothing in what it writes.
pub(crate) fn run(kernel: &dyn Kernel, content: &Content, io: Io<'_>, threads: usize) {
    let bands = kernel.bands();
    let scratch = scratch_of_thread(kernel.scratch_len());
    let threads = threads.min(io.scratch.len() / scratch);
    match (io.samples, content) {
        _ if threads < 2 => kernel.run(io),
        (1, Content::Codes { plane, images: 1, .. }) if bands > 1 => {
            let rows = bands.div_ceil(threads);
            let interior = &mut io.write[plane.border[0] * plane.row_len()..][..bands * plane.row_len()];
            let parts = interior.par_chunks_mut(rows * plane.row_len());
            parts.zip(io.scratch.par_chunks_mut(scratch)).enumerate().for_each(|(i, (write, scratch))| {
                let rows = i * rows..((i + 1) * rows).min(bands);
                kernel.run_band(rows, Io { reads: io.reads, scratch, write, samples: 1 });
            });
        }
        (1, _) => kernel.run(io),
        (samples, _) => {
            let each = samples.div_ceil(threads);
            let parts = io.write.par_chunks_mut(each * content.bytes());
            parts.zip(io.scratch.par_chunks_mut(scratch)).enumerate().for_each(|(i, (write, scratch))| {
                let samples = write.len() / content.bytes();
                let reads = Reads { first: io.reads.first + i * each, samples, ..io.reads };
                kernel.run(Io { reads, scratch, write, samples });
            });
        }
    }
}
