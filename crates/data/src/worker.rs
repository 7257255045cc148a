//! The decoding half of the pipeline: stored bytes to network input, one chunk after another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};

use fast_image_resize::Resizer;

use crate::dataset::Pipeline;
use crate::decode::{Pixels, decode};
use crate::error::{DataError, Fault};
use crate::reader::{Chunk, Job};
use crate::record::Number;
use crate::source::{Index, Store, read_file};

/// Samples as the network sees them.
pub(crate) struct Decoded {
    pub(crate) samples: Vec<usize>,
    pub(crate) labels: Vec<u32>,
    pub(crate) x: Vec<f32>,
}

impl Decoded {
    /// Appends a chunk to a batch that will hold `wanted` samples.
    pub(crate) fn extend(&mut self, chunk: Decoded, wanted: usize) {
        if self.samples.is_empty() {
            let values = chunk.x.len() / chunk.samples.len().max(1);
            *self = chunk;
            self.x.reserve_exact((wanted - self.samples.len()) * values);
        } else {
            self.samples.extend(chunk.samples);
            self.labels.extend(chunk.labels);
            self.x.extend_from_slice(&chunk.x);
        }
    }
}

/// A decoding thread: takes chunks until there are none.
pub(crate) fn work(index: &Index, pipeline: &Pipeline, jobs: &Mutex<Receiver<Job>>) {
    let mut resizer = Resizer::new();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((chunk, slot)) = job else { return };
        // The slot may be gone with the caller; the reader notices too and closes the queue.
        let _ = slot.send(convert(index, pipeline, chunk, &mut resizer));
    }
}

fn convert(
    index: &Index,
    pipeline: &Pipeline,
    chunk: Chunk,
    resizer: &mut Resizer,
) -> Result<Decoded, DataError> {
    let values = pipeline.shape().iter().product::<usize>();
    let mut decoded =
        Decoded { samples: Vec::new(), labels: Vec::new(), x: vec![0.0; values * chunk.samples.len()] };
    let mut start = 0;
    for ((&sample, &end), out) in
        chunk.samples.iter().zip(&chunk.ends).zip(decoded.x.chunks_exact_mut(values))
    {
        let bytes = &chunk.bytes[start..end];
        start = end;
        // Decoders are other people's code fed with other people's files: their panic is one bad sample.
        let work = AssertUnwindSafe(|| convert_one(index, pipeline, sample, bytes, resizer, out));
        let broken = |_| Fault::Undecodable("the decoder failed".into()).of(index.sample_name(sample));
        let label = catch_unwind(work).map_err(broken).flatten()?;
        decoded.labels.extend(label.or_else(|| index.labels.as_ref()?.get(sample).copied()));
    }
    decoded.samples = chunk.samples;
    Ok(decoded)
}

/// Writes one sample and answers the label inside it, if any.
fn convert_one(
    index: &Index,
    pipeline: &Pipeline,
    sample: usize,
    stored: &[u8],
    resizer: &mut Resizer,
    out: &mut [f32],
) -> Result<Option<u32>, DataError> {
    let name = |fault: Fault| fault.of(index.sample_name(sample));
    let mut label = None;
    match (&index.store, pipeline) {
        (Store::Files { names, .. }, Pipeline::Image(transform)) => {
            let bytes = read_file(&index.path.join(names.get(sample)))?;
            decode(&bytes).and_then(|image| transform.apply(image, resizer, out)).map_err(name)?;
        }
        (Store::Entries { .. }, Pipeline::Image(transform)) => {
            decode(stored).and_then(|image| transform.apply(image, resizer, out)).map_err(name)?;
        }
        (Store::Records { record, .. }, Pipeline::Image(transform)) => {
            label = record.label(stored).map_err(name)?;
            let (size, planar) = record.image().unwrap_or_default();
            let applied = if record.number == Number::U8 {
                let data = interleave(&stored[record.label_bytes..], size, planar);
                transform.apply(pixels(size, data), resizer, out)
            } else {
                let data = interleave(&record.values(stored), size, planar);
                transform.apply(pixels(size, data), resizer, out)
            };
            applied.map_err(name)?;
        }
        (Store::Records { record, .. }, Pipeline::Array(_)) => out.copy_from_slice(&record.values(stored)),
        // Images never become arrays: `Index::pipeline` pairs them.
        (Store::Files { .. } | Store::Entries { .. }, Pipeline::Array(_)) => {}
    }
    check_finite(out).map_err(name)?;
    Ok(label)
}

fn pixels<T>([height, width, channels]: [usize; 3], data: Vec<T>) -> Pixels<T> {
    Pixels { height, width, channels, data }
}

/// Planes to pixels; pixels stay.
fn interleave<T: Copy>(values: &[T], [height, width, channels]: [usize; 3], planar: bool) -> Vec<T> {
    if !planar || channels == 1 {
        return values.to_vec();
    }
    let plane = height * width;
    (0..plane).flat_map(|pixel| (0..channels).map(move |channel| values[channel * plane + pixel])).collect()
}

/// One pass of integer operations, without a branch per value; the search is only for the message.
fn check_finite(values: &[f32]) -> Result<(), Fault> {
    const EXPONENT: u32 = 0x7f80_0000;
    let all_ones = |value: &f32| value.to_bits() & EXPONENT == EXPONENT;
    if !values.iter().fold(false, |any, value| any | all_ones(value)) {
        return Ok(());
    }
    let element = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
    Err(Fault::NotFinite { value: values[element], element })
}
