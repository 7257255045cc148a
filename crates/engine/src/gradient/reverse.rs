//! The fast backward form of a node: the vector-Jacobian product over plain buffers, beside its forward [`Form`].
//!
//! An operator file offers `backward(op, &Site) -> Option<Reverse>` for its `forward`; layers whose weights may change
//! offer both at once as a [`Reversible`], since the two share packed weights. Without either, the plain twins run.

use crate::form::{Form, Tail};
use lowbit_kernels::elementwise::{self, Kept};
use lowbit_kernels::{Binary, Isa, Unary};

/// Where the gradient of one input goes.
pub(crate) struct Sink<'a> {
    /// As many values as the input has.
    pub(crate) grad: &'a mut [f32],
    /// Whether another consumer has put its part there already: then it is added to, else overwritten.
    pub(crate) add: bool,
}

impl Sink<'_> {
    /// Adds or stores.
    pub(crate) fn put(&mut self, isa: Isa, values: &[f32]) {
        if self.add {
            elementwise::binary_in_place(isa, Binary::Add, self.grad, values);
        } else {
            self.grad.copy_from_slice(values);
        }
    }
}

/// What a backward form is given, and where it leaves its results.
pub(crate) struct Pull<'a, 'b> {
    /// The inputs as the forward form read them: those of [`Form::reads`], then the residual.
    pub(crate) inputs: &'a [&'a [f32]],
    /// What the forward form wrote.
    pub(crate) output: &'a [f32],
    /// Gradient of the output; may be used as working memory.
    pub(crate) grad: &'a mut [f32],
    /// In the order of `inputs`; `None` where no gradient is wanted.
    pub(crate) sinks: &'a mut [Option<Sink<'b>>],
    /// Sums of the gradients of the node's parameters, in the order of [`Site::learned`](crate::form::Site), in whatever
    /// order of elements [`Learns`] says: added to.
    pub(crate) parameters: &'a mut [&'b mut [f32]],
    pub(crate) scratch: &'a mut [f32],
}

impl Pull<'_, '_> {
    /// Takes the gradient back through the tail of a layer (but for rounding, which is a node of its own here): the
    /// activation, then the addition.
    pub(crate) fn through_tail(&mut self, isa: Isa, tail: &Tail) {
        if let Some(activation) = tail.activation {
            // Clips and ReLUs are told from their output alone, which is why only they are fused.
            elementwise::unary_backward(isa, activation, self.output, self.grad);
        }
        if tail.residual
            && let Some(Some(sink)) = self.sinks.last_mut()
        {
            sink.put(isa, self.grad);
        }
    }
}

/// `run(pull)`.
pub(crate) type RunBack = Box<dyn Fn(&mut Pull<'_, '_>) + Send + Sync>;

/// The backward form.
pub(crate) struct Reverse {
    /// Values of scratch.
    pub(crate) scratch: usize,
    pub(crate) run: RunBack,
}

impl Reverse {
    /// Without scratch.
    pub(crate) fn new(run: impl Fn(&mut Pull<'_, '_>) + Send + Sync + 'static) -> Reverse {
        Reverse { scratch: 0, run: Box::new(run) }
    }

    /// Of an operation that maps each element of input 0 by itself.
    pub(crate) fn unary(isa: Isa, op: Unary) -> Reverse {
        Reverse::new(move |pull| {
            let kept = match op.kept() {
                Kept::Input => pull.inputs[0],
                Kept::Output => pull.output,
            };
            elementwise::unary_backward(isa, op, kept, pull.grad);
            if let Some(sink) = &mut pull.sinks[0] {
                sink.put(isa, pull.grad);
            }
        })
    }

    /// Of an operation that hands its one input on, in the same order: all inputs get the gradient as it is.
    pub(crate) fn copy(isa: Isa) -> Reverse {
        Reverse::new(move |pull| {
            for sink in pull.sinks.iter_mut().flatten() {
                sink.put(isa, pull.grad);
            }
        })
    }
}

/// Takes new values for a parameter of the node, named by its position among the node's parameters.
pub(crate) type Update = Box<dyn Fn(usize, &[f32]) + Send + Sync>;

/// Brings the sums of a parameter, named likewise, into the parameter's own order: `unpack(nth, sums, gradient)`.
pub(crate) type Unpack = Box<dyn Fn(usize, &[f32], &mut [f32]) + Send + Sync>;

/// How a node's parameters change, and how their gradients are added up.
pub(crate) struct Learns {
    pub(crate) update: Update,
    /// Values of the sums of each parameter.
    pub(crate) sums: Vec<usize>,
    pub(crate) unpack: Unpack,
}

impl Learns {
    /// Of parameters whose sums have their own order, `lens` values each.
    pub(crate) fn plainly(
        lens: Vec<usize>,
        update: impl Fn(usize, &[f32]) + Send + Sync + 'static,
    ) -> Learns {
        let unpack = |_, sums: &[f32], gradient: &mut [f32]| gradient.copy_from_slice(sums);
        Learns { update: Box::new(update), sums: lens, unpack: Box::new(unpack) }
    }
}

/// A node forward and backward.
pub(crate) struct Reversible {
    pub(crate) form: Form,
    pub(crate) reverse: Reverse,
    /// Present where parameters are.
    pub(crate) learns: Option<Learns>,
}
