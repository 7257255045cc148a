//! The reading half of the pipeline: stored bytes of the samples wanted, front to back, in chunks.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::error::DataError;
use crate::select::Selection;
use crate::source::{Index, Store};
use crate::stream::Stream;
use crate::worker::Decoded;

/// Samples of a chunk, unless they are large.
pub(crate) const CHUNK_SAMPLES: usize = 16;
/// Stored bytes after which a chunk is closed.
const CHUNK_BYTES: usize = 1 << 20;

/// Where the caller waits for a chunk.
pub(crate) type Slot = Receiver<Result<Decoded, DataError>>;
/// What a worker does next, and where the result goes.
pub(crate) type Job = (Chunk, SyncSender<Result<Decoded, DataError>>);

/// Samples as stored.
pub(crate) struct Chunk {
    pub(crate) samples: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
    /// End of each sample in `bytes`.
    pub(crate) ends: Vec<usize>,
}

/// The reading thread: chunks of stored bytes, in order, until done, refused, or no longer wanted.
pub(crate) fn read(
    index: &Index,
    selection: Selection,
    batch: usize,
    slots: &SyncSender<Slot>,
    jobs: &SyncSender<Job>,
) {
    let mut source = Source { index, open: None };
    let mut selected = selection.into_iter().peekable();
    let mut left_in_batch = batch;
    while selected.peek().is_some() {
        let (sender, slot) = sync_channel(1);
        let chunk = source.chunk(&mut selected, left_in_batch.min(CHUNK_SAMPLES));
        if slots.send(slot).is_err() {
            return;
        }
        match chunk {
            Ok(chunk) => {
                left_in_batch -= chunk.samples.len();
                if left_in_batch == 0 {
                    left_in_batch = batch;
                }
                if jobs.send((chunk, sender)).is_err() {
                    return;
                }
            }
            Err(error) => {
                // The slot may be gone with the caller.
                let _ = sender.send(Err(error));
                return;
            }
        }
    }
}

/// The store of an index, and the part of it that is open.
struct Source<'a> {
    index: &'a Index,
    open: Option<(usize, Stream)>,
}

impl Source<'_> {
    fn chunk(&mut self, selected: &mut impl Iterator<Item = usize>, most: usize) -> Result<Chunk, DataError> {
        let mut chunk = Chunk { samples: Vec::new(), bytes: Vec::new(), ends: Vec::new() };
        while chunk.samples.len() < most && chunk.bytes.len() < CHUNK_BYTES {
            let Some(sample) = selected.next() else { break };
            self.append(sample, &mut chunk.bytes)?;
            chunk.samples.push(sample);
            chunk.ends.push(chunk.bytes.len());
        }
        Ok(chunk)
    }

    fn append(&mut self, sample: usize, bytes: &mut Vec<u8>) -> Result<(), DataError> {
        let (part, place, offset, len) = match &self.index.store {
            // Opening many files is slow on slow disks, so workers do it side by side.
            Store::Files { .. } => return Ok(()),
            Store::Entries { place, spans, .. } => {
                (0, place, spans[sample].offset, spans[sample].len as usize)
            }
            Store::Records { parts, record } => {
                let mut within = sample;
                let mut part = 0;
                while within >= parts[part].samples {
                    within -= parts[part].samples;
                    part += 1;
                }
                let len = record.bytes().unwrap_or_default();
                (part, &parts[part].place, parts[part].start + within as u64 * len as u64, len)
            }
        };
        let stream = match &mut self.open {
            Some((open, stream)) if *open == part => stream,
            closed => &mut closed.insert((part, place.open()?)).1,
        };
        let start = bytes.len();
        bytes.resize(start + len, 0);
        stream.read_at(offset, &mut bytes[start..])
    }
}
