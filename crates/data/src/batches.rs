//! The pipeline: one thread reads, workers decode, the caller receives batches in order.
//!
//! The unit of work is a chunk, some samples of one batch: large enough that channels cost nothing, small enough
//! that one batch keeps all workers busy. For each chunk the reader makes a slot for the result; it sends the
//! receiving end to the caller and the chunk with the sending end to the workers. The caller takes slots in the
//! order they were made, so neither order nor content depends on which worker was faster. Both queues are
//! bounded: a reader that is ahead waits, and memory holds about one batch more than the caller does.
//!
//! The first refusal ends the iteration. Dropping the iterator closes the queues, which ends the threads.

use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::dataset::Pipeline;
use crate::error::DataError;
use crate::reader::{CHUNK_SAMPLES, Slot, read};
use crate::select::Selection;
use crate::source::Index;
use crate::worker::{Decoded, work};

/// Samples ready for a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Values, row-major.
    pub x: Vec<f32>,
    /// Shape of `x`: samples, then the axes of [`Dataset::sample_shape`](crate::Dataset::sample_shape).
    pub shape: Vec<usize>,
    /// Class indices, where the source has labels.
    pub labels: Option<Vec<u32>>,
    /// Index of each sample in storage order, ascending; see [`Dataset::sample_name`](crate::Dataset::sample_name).
    pub samples: Vec<usize>,
}

/// Iterator over batches; see [`Dataset::batches`](crate::Dataset::batches).
pub struct Batches {
    slots: Option<Receiver<Slot>>,
    threads: Vec<JoinHandle<()>>,
    shape: Vec<usize>,
    batch: usize,
    labelled: bool,
    total: usize,
    left: usize,
}

impl Batches {
    pub(crate) fn start(
        index: Arc<Index>,
        pipeline: Pipeline,
        selection: Selection,
        batch: usize,
        threads: usize,
    ) -> Result<Batches, DataError> {
        let workers = match threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            given => given,
        };
        let (shape, total) = (pipeline.shape(), selection.len());
        let labelled = index.has_labels();
        let ahead = batch.min(total).div_ceil(CHUNK_SAMPLES) + 2 * workers;
        let (slot_sender, slots) = sync_channel(ahead);
        let (job_sender, jobs) = sync_channel(workers);
        let (jobs, pipeline) = (Arc::new(Mutex::new(jobs)), Arc::new(pipeline));
        let mut batches =
            Batches { slots: Some(slots), threads: Vec::new(), shape, batch, labelled, total, left: total };
        let path = index.path.clone();
        for _ in 0..workers {
            let (index, pipeline, jobs) = (Arc::clone(&index), Arc::clone(&pipeline), Arc::clone(&jobs));
            let worker =
                thread::Builder::new().name("decode".into()).spawn(move || work(&index, &pipeline, &jobs));
            batches.threads.push(worker.map_err(DataError::io(&path))?);
        }
        let reader = thread::Builder::new().name("read".into());
        let reader = reader.spawn(move || read(&index, selection, batch, &slot_sender, &job_sender));
        batches.threads.push(reader.map_err(DataError::io(&path))?);
        Ok(batches)
    }

    /// Number of samples all batches hold together.
    pub fn samples(&self) -> usize {
        self.total
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let wanted = self.batch.min(self.left);
        if wanted == 0 {
            return None;
        }
        let slots = self.slots.as_ref()?;
        let mut all = Decoded { samples: Vec::new(), labels: Vec::new(), x: Vec::new() };
        while all.samples.len() < wanted {
            // A closed queue means a thread is gone without a word, which only a panic outside decoding can do.
            let lost = |_| DataError::structure(Path::new("samples"), "a reading thread stopped");
            match slots.recv().and_then(|slot| slot.recv()).map_err(lost).flatten() {
                Ok(chunk) => all.extend(chunk, wanted),
                Err(error) => {
                    self.slots = None;
                    return Some(Err(error));
                }
            }
        }
        self.left -= wanted;
        let shape = std::iter::once(wanted).chain(self.shape.iter().copied()).collect();
        let labels = self.labelled.then_some(all.labels);
        Some(Ok(Batch { x: all.x, shape, labels, samples: all.samples }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let batches = self.left.div_ceil(self.batch);
        // An error ends the iteration early.
        (0, Some(batches))
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.slots = None;
        for thread in self.threads.drain(..) {
            // A panic was already reported, and there is nobody left to tell.
            let _ = thread.join();
        }
    }
}
