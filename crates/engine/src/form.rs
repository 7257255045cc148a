//! The fast form of a node: which inputs it reads in which memory layout, and a function over plain buffers.
//!
//! An operator file offers `forward(op, &Site) -> Option<Form>`; without one (or when it declines: an odd rank, an
//! integer type) the program runs the plain twin. No input or output of a site is empty.

use lowbit_graph::{Input, TensorType};
use lowbit_kernels::{Epilogue, FakeQuant, Isa, Unary};
use lowbit_tensor::{DType, Tensor};

/// Order of a value's elements in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// As ONNX has it: `[n, c, d1, …]`, last axis fastest.
    RowMajor,
    /// `[n, d1, …, c]`: channels fastest. Only for rank 3 and up; the same as row-major where it makes no difference.
    ChannelsLast,
}

/// What a form is told of one input.
pub(crate) struct Operand<'a> {
    pub(crate) ty: &'a TensorType,
    /// Layout in which the value exists already.
    pub(crate) layout: Layout,
    pub(crate) constant: Option<&'a Tensor>,
}

impl Operand<'_> {
    /// The constant as f32, for weights and parameters.
    pub(crate) fn weights(&self) -> Option<Vec<f32>> {
        self.constant.filter(|t| t.dtype() == DType::F32).map(Tensor::to_f32)
    }

    /// Whether the value is computed at run time, in f32.
    pub(crate) fn is_data(&self) -> bool {
        self.constant.is_none() && self.ty.dtype == DType::F32
    }
}

/// What follows a convolution or matrix product inside its group, in this order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tail {
    /// A tensor of the output's type is added; it is passed as one more input, in the output's layout.
    pub(crate) residual: bool,
    pub(crate) activation: Option<Unary>,
    pub(crate) fake_quant: Option<FakeQuant>,
}

impl Tail {
    /// Whether anything follows.
    pub(crate) fn is_some(&self) -> bool {
        self.residual || self.activation.is_some() || self.fake_quant.is_some()
    }

    /// As the kernels take it; the residual is the last of `inputs`.
    pub(crate) fn epilogue<'a>(&self, inputs: &[&'a [f32]]) -> Epilogue<'a> {
        Epilogue {
            residual: if self.residual { inputs.last().copied() } else { None },
            activation: self.activation,
            fake_quant: self.fake_quant,
        }
    }
}

/// A parameter of a node: what training changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// The constant at this input.
    Input(usize),
    /// The step size of a `FakeQuantize`.
    Step,
}

/// Where a node stands when its form is chosen.
pub(crate) struct Site<'a> {
    pub(crate) inputs: Vec<Option<Operand<'a>>>,
    /// Type of the output (of the whole group, which has the anchor's type).
    pub(crate) output: &'a TensorType,
    /// Which output is computed; 0 but for operators that have several.
    pub(crate) which: usize,
    /// Added per output channel (or one for all) before the tail; only convolutions and matrix products meet it.
    pub(crate) bias: Option<&'a Tensor>,
    pub(crate) tail: Tail,
    pub(crate) isa: Isa,
    /// Its parameters; empty but for [`ops::reversible`](crate::ops::reversible).
    pub(crate) learned: Vec<Learned>,
    /// Whether the way back goes on from input 0.
    pub(crate) data_gradient: bool,
}

impl Site<'_> {
    /// The inputs as a shape rule takes them.
    pub(crate) fn described(&self) -> Vec<Option<Input<'_>>> {
        self.inputs
            .iter()
            .map(|o| o.as_ref().map(|o| Input { ty: o.ty.clone(), value: o.constant }))
            .collect()
    }

    /// Input `i`, if present.
    pub(crate) fn input(&self, i: usize) -> Option<&Operand<'_>> {
        self.inputs.get(i).and_then(Option::as_ref)
    }

    /// A layer's own bias plus that of the group, for `channels` outputs.
    ///
    /// The outer `None` is for a bias that a kernel cannot add: not one per channel, nor one for all.
    pub(crate) fn with_bias(&self, own: Option<Vec<f32>>, channels: usize) -> Option<Option<Vec<f32>>> {
        let Some(added) = self.bias.map(Tensor::to_f32) else { return Some(own) };
        let mut sum = own.unwrap_or_else(|| vec![0.0; channels]);
        match added[..] {
            [one] => sum.iter_mut().for_each(|b| *b += one),
            ref each if each.len() == channels => sum.iter_mut().zip(each).for_each(|(b, a)| *b += a),
            _ => return None,
        }
        Some(Some(sum))
    }

    /// Input `i` if it is f32 data known at run time only.
    pub(crate) fn data(&self, i: usize) -> Option<&Operand<'_>> {
        self.input(i).filter(|o| o.is_data())
    }
}

/// `run(inputs, scratch, output)`; inputs are those of [`Form::reads`], then the residual if the tail has one.
///
/// Where a batch is cut, slices may hold fewer rows (axis 0) than compiled for, but at least one, and the same in all
/// that have rows: what depends on the number of rows must be taken from the lengths.
pub(crate) type Run = Box<dyn Fn(&[&[f32]], &mut [f32], &mut [f32]) + Send + Sync>;

/// The fast form.
pub(crate) struct Form {
    /// Inputs read at run time (node input index) and the layout that each must have.
    pub(crate) reads: Vec<(usize, Layout)>,
    pub(crate) output: Layout,
    /// Values of scratch.
    pub(crate) scratch: usize,
    pub(crate) run: Run,
}

impl Form {
    /// A form without scratch that reads input 0.
    pub(crate) fn unary(layout: Layout, run: impl Fn(&[f32], &mut [f32]) + Send + Sync + 'static) -> Form {
        Form {
            reads: vec![(0, layout)],
            output: layout,
            scratch: 0,
            run: Box::new(move |inputs, _, output| run(inputs[0], output)),
        }
    }
}
