//! A network ready to run: batches of any size, on any number of threads, with the same answer.
//!
//! A batch is cut into chunks that stay in a core's cache; a chunk passes through all steps on one thread. A single sample, and
//! a network with float parts, goes step by step instead, each step shared by the threads: over samples, or over rows of
//! one. After the first run of a size nothing is allocated, float parts apart.

use crate::lower::{Left, Lowered, lower};
use crate::memory::{Layout, Memory, as_bytes_mut};
use crate::ops::{Around, Io, Kernel, Reads, Segment, at, summary};
use crate::program::{BufferId, Step, StepSummary};
use crate::{Buffer, RuntimeError, share};
use lowbit_graph::Graph;
use lowbit_kernels::Isa;
use rayon::prelude::*;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of edges that a chunk may take: a part of a second-level cache, whose rest is for weights.
const CHUNK_BYTES: usize = 512 << 10;
/// Beyond this many samples a chunk gains nothing.
const CHUNK_SAMPLES: usize = 16;

/// How a session runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Threads of its own; `None` for those of the rayon pool it is called from.
    pub threads: Option<usize>,
    /// Instruction set; `None` for what `LOWBIT_ISA` names, or the fastest.
    pub isa: Option<Isa>,
}

/// A lowered network with its kernels and its memory. Share it between threads.
pub struct Session {
    steps: Vec<Ready>,
    buffers: Vec<Buffer>,
    plan: Vec<Step>,
    input: BufferId,
    input_shape: Vec<usize>,
    input_len: usize,
    outputs: Vec<Output>,
    left: Vec<Left>,
    scratch: usize,
    chunk: usize,
    has_float: bool,
    memories: Mutex<Vec<(Layout, Memory)>>,
    threads: Option<rayon::ThreadPool>,
}

/// An output of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its name in the file.
    pub name: String,
    /// Its extents for one sample, without the batch axis.
    pub shape: Vec<usize>,
    /// The codes or numbers it comes from.
    buffer: BufferId,
}

impl Output {
    /// Numbers of one sample.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A step ready to run.
enum Ready {
    Kernel(Box<dyn Kernel>),
    Float(Box<Segment>),
}

/// What one step cost.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The step.
    pub step: StepSummary,
    /// Its time, on one thread.
    pub time: Duration,
}

impl Session {
    /// Opens an ONNX file.
    ///
    /// # Errors
    /// When it cannot be read or is refused, with the place.
    pub fn open(path: &Path) -> Result<Session, RuntimeError> {
        Session::new(lowbit_onnx::read_file(path)?, Options::default())
    }

    /// Opens an ONNX file in memory.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Session, RuntimeError> {
        Session::new(lowbit_onnx::read_bytes(bytes, None)?, Options::default())
    }

    /// Compiles a network as a file has it.
    ///
    /// # Errors
    /// When the network is inconsistent, has more than one input, or a layer is too large for any kernel.
    pub fn new(graph: Graph, options: Options) -> Result<Session, RuntimeError> {
        let isa = match options.isa {
            Some(isa) => isa,
            None => Isa::from_env()?,
        };
        let threads = match options.threads {
            None => None,
            Some(n) => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
                Some(pool.map_err(|_| RuntimeError::Threads(n))?)
            }
        };
        Session::compile(lower(graph)?, isa, threads)
    }

    fn compile(
        lowered: Lowered,
        isa: Isa,
        threads: Option<rayon::ThreadPool>,
    ) -> Result<Session, RuntimeError> {
        let content = |id: &BufferId| &lowered.buffers[id.0].content;
        let mut steps = Vec::with_capacity(lowered.steps.len());
        for step in &lowered.steps {
            let reads = step.reads.iter().map(content).collect();
            let kernel = match step.writes.first() {
                Some(write) => {
                    step.op.kernel(&Around { isa, reads, write: content(write) }).map_err(at(&step.name))?
                }
                None => None,
            };
            steps.push(match kernel {
                Some(kernel) => Ready::Kernel(kernel),
                None => Ready::Float(Box::new(Segment::new(&lowered, step)?)),
            });
        }
        let scratch = steps.iter().map(Ready::scratch_len).max().unwrap_or(0);
        let has_float = steps.iter().any(|s| matches!(s, Ready::Float(_)));
        let input_len = content(&lowered.input).bytes() / 4;
        let input = lowered.graph.inputs.first().and_then(|id| lowered.types[id.0].as_ref());
        let input_shape = input.map_or(Vec::new(), |ty| ty.shape.iter().skip(1).copied().collect());
        let outputs = lowered.outputs.iter().map(|(name, buffer, shape)| Output {
            name: name.clone(),
            shape: shape.iter().skip(1).copied().collect(),
            buffer: *buffer,
        });
        let mut session = Session {
            steps,
            outputs: outputs.collect(),
            buffers: lowered.buffers,
            plan: lowered.steps,
            input: lowered.input,
            input_shape,
            input_len,
            left: lowered.left,
            scratch,
            chunk: 1,
            has_float,
            memories: Mutex::new(Vec::new()),
            threads,
        };
        let per_sample = session.layout(1).bytes() - scratch;
        session.chunk = (CHUNK_BYTES / per_sample.max(1)).clamp(1, CHUNK_SAMPLES);
        Ok(session)
    }

    /// Numbers of one sample, in the order of the file (`[channels, height, width]` of an image).
    pub fn input_len(&self) -> usize {
        self.input_len
    }

    /// Extents of one sample of the input, without the batch axis.
    pub fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    /// The outputs, in the order of the file.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Nodes that run in float, and why.
    pub fn left(&self) -> &[Left] {
        &self.left
    }

    /// The steps in order.
    pub fn steps(&self) -> Vec<StepSummary> {
        let each = self.plan.iter().zip(&self.steps);
        each.map(|(step, ready)| summary(&step.name, &step.op, ready.kernel())).collect()
    }

    /// Bytes of all weights in memory.
    pub fn weight_bytes(&self) -> usize {
        self.steps.iter().filter_map(Ready::kernel).map(Kernel::weight_bytes).sum()
    }

    /// Bytes of memory that one thread works in.
    pub fn working_bytes(&self) -> usize {
        self.layout(self.chunk).bytes()
    }

    /// Runs samples one after the other in `input`; the first output of each, in their order.
    ///
    /// # Errors
    /// When `input` is not one or more whole samples, or a float part fails.
    pub fn run(&self, input: &[f32]) -> Result<Vec<f32>, RuntimeError> {
        Ok(self.run_all(input)?.swap_remove(0))
    }

    /// Runs samples; all outputs, each with its samples one after the other.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_all(&self, input: &[f32]) -> Result<Vec<Vec<f32>>, RuntimeError> {
        let samples = self.samples(input)?;
        let record = self.record();
        let mut records = vec![0.0; samples * record];
        self.run_into(input, &mut records)?;
        if self.outputs.len() == 1 {
            return Ok(vec![records]);
        }
        let mut start = 0;
        let split = self.outputs.iter().map(|output| {
            let (from, len) = (start, output.len());
            start += len;
            records.chunks(record.max(1)).flat_map(|r| r[from..from + len].iter().copied()).collect()
        });
        Ok(split.collect())
    }

    /// Runs samples into `records`: for each sample all outputs one after the other (the output, where there is one).
    /// Allocates nothing after the first call with as many samples, unless the network has float parts.
    ///
    /// # Errors
    /// As [`Session::run`].
    ///
    /// # Panics
    /// `records` is not as long as all outputs of all samples.
    pub fn run_into(&self, input: &[f32], records: &mut [f32]) -> Result<(), RuntimeError> {
        let samples = self.samples(input)?;
        let record = self.record();
        assert_eq!(records.len(), samples * record, "numbers of the outputs of {samples} samples");
        match &self.threads {
            Some(pool) => pool.install(|| self.dispatch(input, samples, records)),
            None => self.dispatch(input, samples, records),
        }
    }

    fn dispatch(&self, input: &[f32], samples: usize, records: &mut [f32]) -> Result<(), RuntimeError> {
        let threads = rayon::current_num_threads();
        if self.has_float || samples == 1 {
            return self.chunk(input, samples, records, threads);
        }
        // Enough chunks for all threads, all about equally long.
        let largest = samples.div_ceil(threads).min(self.chunk);
        let chunk = samples.div_ceil(samples.div_ceil(largest));
        let (input_len, record) = (self.input_len, self.record());
        if threads == 1 {
            let mut chunks = input.chunks(chunk * input_len).zip(records.chunks_mut((chunk * record).max(1)));
            return chunks.try_for_each(|(x, y)| self.chunk(x, x.len() / input_len, y, 1));
        }
        input
            .par_chunks(chunk * input_len)
            .zip(records.par_chunks_mut((chunk * record).max(1)))
            .try_for_each(|(x, y)| self.chunk(x, x.len() / input_len, y, 1))
    }

    /// What each step costs, the whole batch on one thread.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn profile(&self, input: &[f32]) -> Result<Vec<Profile>, RuntimeError> {
        let samples = self.samples(input)?;
        let mut times = vec![Duration::ZERO; self.steps.len()];
        let mut records = vec![0.0; samples.min(self.chunk) * self.record()];
        for x in input.chunks(self.chunk * self.input_len) {
            let samples = x.len() / self.input_len;
            self.with_memory(samples, |layout, memory| {
                self.load(layout, memory, x);
                for (n, time) in times.iter_mut().enumerate() {
                    let start = Instant::now();
                    self.step(layout, memory, n, samples, 1)?;
                    *time += start.elapsed();
                }
                self.store(layout, memory, samples, &mut records[..samples * self.record()]);
                Ok::<(), RuntimeError>(())
            })?;
        }
        let steps = self.steps().into_iter().zip(times);
        Ok(steps.map(|(step, time)| Profile { step, time }).collect())
    }

    fn samples(&self, input: &[f32]) -> Result<usize, RuntimeError> {
        match input.len().checked_div(self.input_len) {
            Some(n) if n > 0 && n * self.input_len == input.len() => Ok(n),
            _ => Err(RuntimeError::SampleLen { found: input.len(), expected: self.input_len }),
        }
    }

    /// Numbers of all outputs of one sample.
    fn record(&self) -> usize {
        self.outputs.iter().map(Output::len).sum()
    }

    fn layout(&self, samples: usize) -> Layout {
        let kept: Vec<BufferId> = self.outputs.iter().map(|o| o.buffer).collect();
        Layout::new(&self.buffers, &self.plan, self.input, &kept, samples, self.scratch)
    }

    /// Lends memory for that many samples.
    fn with_memory<T>(&self, samples: usize, f: impl FnOnce(&Layout, &mut Memory) -> T) -> T {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        let found = memories.iter().position(|(layout, _)| layout.samples >= samples);
        let lent = found.map(|i| memories.swap_remove(i));
        drop(memories);
        let (layout, mut memory) = lent.unwrap_or_else(|| {
            let layout = self.layout(samples);
            let memory = layout.memory();
            (layout, memory)
        });
        memory.grow_scratch(self.scratch, rayon::current_num_threads());
        let result = f(&layout, &mut memory);
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).push((layout, memory));
        result
    }

    /// Runs samples through all steps, each step on up to `threads` threads.
    fn chunk(
        &self,
        input: &[f32],
        samples: usize,
        records: &mut [f32],
        threads: usize,
    ) -> Result<(), RuntimeError> {
        self.with_memory(samples, |layout, memory| {
            self.load(layout, memory, input);
            (0..self.steps.len()).try_for_each(|n| self.step(layout, memory, n, samples, threads))?;
            self.store(layout, memory, samples, records);
            Ok(())
        })
    }

    fn load(&self, layout: &Layout, memory: &mut Memory, input: &[f32]) {
        let place = layout.place[self.input.0].expect("the input has a place");
        memory.places[place][..input.len()].copy_from_slice(input);
    }

    fn store(&self, layout: &Layout, memory: &Memory, samples: usize, records: &mut [f32]) {
        let (record, mut start) = (self.record(), 0);
        for output in &self.outputs {
            let (place, len) = (layout.place[output.buffer.0].expect("outputs have places"), output.len());
            for n in 0..samples {
                records[n * record + start..][..len].copy_from_slice(&memory.places[place][n * len..][..len]);
            }
            start += len;
        }
    }

    fn step(
        &self,
        layout: &Layout,
        memory: &mut Memory,
        n: usize,
        samples: usize,
        threads: usize,
    ) -> Result<(), RuntimeError> {
        let step = &self.plan[n];
        match &self.steps[n] {
            Ready::Float(segment) => segment.run(layout, memory, samples),
            Ready::Kernel(kernel) => {
                let write = layout.place[step.writes[0].0].expect("what is written has a place");
                let mut places = std::mem::take(&mut memory.places);
                let mut target = std::mem::take(&mut places[write]);
                let mut scratch = std::mem::take(&mut memory.scratch);
                let content = &self.buffers[step.writes[0].0].content;
                let reads = Reads { places: &places, of: &layout.reads[n], first: 0, samples };
                let bytes = samples * content.bytes();
                let io = Io {
                    reads,
                    scratch: as_bytes_mut(&mut scratch),
                    write: &mut as_bytes_mut(&mut target)[..bytes],
                    samples,
                };
                share::run(kernel.as_ref(), content, io, threads);
                memory.scratch = scratch;
                places[write] = target;
                memory.places = places;
                Ok(())
            }
        }
    }
}

impl Ready {
    fn kernel(&self) -> Option<&dyn Kernel> {
        match self {
            Ready::Kernel(kernel) => Some(kernel.as_ref()),
            Ready::Float(_) => None,
        }
    }

    fn scratch_len(&self) -> usize {
        self.kernel().map_or(0, Kernel::scratch_len)
    }
}
