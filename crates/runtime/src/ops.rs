//! What a step computes: one file per kind, with the lowered description and the kernel made from it.

mod add;
mod concat;
mod convert;
mod flatten;
mod float;
mod layer;
mod lookup;
mod mul;
mod pool;
mod sum;
mod take;
mod window;

pub(crate) use add::Add;
pub(crate) use concat::Concat;
pub(crate) use convert::{Dequantize, Quantize};
pub(crate) use flatten::Flatten;
pub(crate) use float::{Float, Segment};
pub(crate) use layer::Layer;
pub(crate) use lookup::Lookup;
pub(crate) use mul::Mul;
pub(crate) use pool::{Average, Max};
pub(crate) use sum::Sum;
pub(crate) use take::{Map, Take};
pub(crate) use window::Window;

use crate::memory::as_bytes;
use crate::program::{Content, StepSummary};
use crate::{Grid, RuntimeError};
use lowbit_kernels::integer::Code;
use lowbit_kernels::{AlignedVec, Isa, ShapeError};

macro_rules! ops {
    ($($op:ident),* $(,)?) => {
        /// What a step computes.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Op {
            $(
                #[doc = concat!("[`", stringify!($op), "`].")]
                $op($op),
            )*
        }
        $(
            impl From<$op> for Op {
                fn from(op: $op) -> Op {
                    Op::$op(op)
                }
            }
        )*
    };
}

ops!(Add, Average, Concat, Dequantize, Flatten, Float, Layer, Lookup, Max, Mul, Quantize, Sum, Take, Window);

impl Op {
    /// The kernel of a step, packed for `isa`; none for what the float engine runs.
    pub(crate) fn kernel(&self, around: &Around<'_>) -> Result<Option<Box<dyn Kernel>>, ShapeError> {
        Ok(Some(match self {
            Op::Add(op) => Box::new(op.kernel(around)?),
            Op::Average(op) => Box::new(op.kernel(around)?),
            Op::Concat(op) => Box::new(op.kernel(around)?),
            Op::Dequantize(op) => Box::new(op.kernel(around)?),
            Op::Flatten(op) => Box::new(op.kernel(around)),
            Op::Float(_) => return Ok(None),
            Op::Layer(op) => Box::new(op.kernel(around)?),
            Op::Lookup(op) => Box::new(op.kernel(around)),
            Op::Max(op) => Box::new(op.kernel(around)?),
            Op::Mul(op) => Box::new(op.kernel(around)),
            Op::Quantize(op) => Box::new(op.kernel(around)?),
            Op::Sum(op) => Box::new(op.kernel()),
            Op::Take(op) => Box::new(op.kernel(around)),
            Op::Window(op) => Box::new(op.kernel(around)),
        }))
    }

    /// What it computes, in words.
    pub(crate) fn what(&self) -> String {
        match self {
            Op::Add(_) => "add".into(),
            Op::Average(_) => "average pool".into(),
            Op::Concat(op) => format!("concat of {}", op.inputs.len()),
            Op::Dequantize(_) => "codes to float".into(),
            Op::Flatten(_) => "flatten".into(),
            Op::Float(_) => "float".into(),
            Op::Layer(op) => op.what(),
            Op::Lookup(op) => op.what(),
            Op::Max(_) => "max pool".into(),
            Op::Mul(_) => "multiply".into(),
            Op::Quantize(_) => "float to codes".into(),
            Op::Sum(_) => "add in float".into(),
            Op::Take(_) => "slice and pad".into(),
            Op::Window(op) => format!("window {}", op.read.window.name),
        }
    }
}

/// What surrounds a step when its kernel is made.
pub(crate) struct Around<'a> {
    pub(crate) isa: Isa,
    pub(crate) reads: Vec<&'a Content>,
    pub(crate) write: &'a Content,
}

/// A step ready to run. Immutable; threads share it.
pub(crate) trait Kernel: Send + Sync {
    /// Bytes of scratch, for each thread.
    fn scratch_len(&self) -> usize {
        0
    }

    /// Bytes of weights in memory.
    fn weight_bytes(&self) -> usize {
        0
    }

    /// Computes what it writes of `io.samples` samples.
    fn run(&self, io: Io<'_>);

    /// Rows that threads can share the first sample's output by; 1 if they cannot.
    fn bands(&self) -> usize {
        1
    }

    /// Computes some rows of the one sample there is: `write` is the memory of these rows.
    fn run_band(&self, _rows: std::ops::Range<usize>, _io: Io<'_>) {
        unreachable!("only kernels with bands are asked for one");
    }
}

/// The memory of a step for one call.
pub(crate) struct Io<'a> {
    pub(crate) reads: Reads<'a>,
    pub(crate) scratch: &'a mut [u8],
    pub(crate) write: &'a mut [u8],
    pub(crate) samples: usize,
}

/// What a step reads: a place and the bytes of one sample there, for each.
#[derive(Clone, Copy)]
pub(crate) struct Reads<'a> {
    pub(crate) places: &'a [AlignedVec],
    pub(crate) of: &'a [(usize, usize)],
    /// The first of the samples read.
    pub(crate) first: usize,
    pub(crate) samples: usize,
}

impl<'a> Reads<'a> {
    /// All samples of operand `i`.
    pub(crate) fn codes(&self, i: usize) -> &'a [u8] {
        let (place, bytes) = self.of[i];
        &as_bytes(&self.places[place])[bytes * self.first..][..bytes * self.samples]
    }

    /// All samples of operand `i`, which is float.
    pub(crate) fn floats(&self, i: usize) -> &'a [f32] {
        bytemuck::cast_slice(self.codes(i))
    }
}

impl Grid {
    /// Its codes as kernels take them.
    pub(crate) fn code(&self) -> Code {
        Code { zero: self.zero, lo: self.lo, hi: self.hi }
    }
}

/// An error of a step with its node.
pub(crate) fn at(node: &str) -> impl Fn(ShapeError) -> RuntimeError + '_ {
    move |source| RuntimeError::Shape { node: node.to_owned(), source }
}

/// The summary of a step.
pub(crate) fn summary(name: &str, op: &Op, kernel: Option<&dyn Kernel>) -> StepSummary {
    let weight_bytes = kernel.map_or(0, |k| k.weight_bytes());
    StepSummary { name: name.to_owned(), what: op.what(), weight_bytes }
}
