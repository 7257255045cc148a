//! The operators: one file each, and this list.
//!
//! An operator file says its attributes (to and from the neutral map), its shape rule, what each input means for
//! quantization, and its multiply-accumulate count. Adding one = one file and one line here; the exhaustive matches
//! in the engine then name what is missing there.
//!
//! Operators are held in one canonical form, that of opset 21 (axes and limits as inputs). The file reader brings
//! older forms into it, the writer asks [`OpSpec::since`] for the oldest opset that allows the form.

mod support;

pub use int_quant::Rounding;
pub use matmul::MatMulShape;
pub use pad::PadMode;
pub use resize::{Aspect, Coordinates, Interpolation, Nearest, Rescale};
pub use slice::StridedRange;
pub use support::element_type::{dtype_number, numbered_dtype};
pub use support::granularity::Granularity;
pub use support::window::{Padding, Resolved, Window};

use crate::{Attribute, AttributeError, Attributes, Input, ShapeError, TensorType};

/// What an input means for quantization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Data that flows through the network.
    Activation,
    /// A trained multiplier, with the axis of its output channels.
    Weight {
        /// Axis of output channels, for a per-channel scale; from the end if negative ([`crate::shape::axis`]).
        channel_axis: i64,
    },
    /// A trained addend at accumulator precision.
    Bias,
    /// Anything else: shapes, axes, limits, statistics.
    Parameter,
}

/// What every operator file provides.
pub trait OpSpec: Sized {
    /// Name in the ONNX specification.
    const NAME: &'static str;
    /// ONNX domain; empty for the default one.
    const DOMAIN: &'static str = "";

    /// Takes the operator's attributes (in canonical form) from the map.
    ///
    /// # Errors
    /// When one is missing, of another kind, or outside the accepted values.
    fn read(attributes: &mut Attributes) -> Result<Self, AttributeError>;

    /// The attributes, as [`OpSpec::read`] takes them.
    fn write(&self) -> Attributes {
        Attributes::new()
    }

    /// Types of the outputs for concrete input types.
    ///
    /// # Errors
    /// When the inputs do not fit together, or the shape depends on data that is not constant.
    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError>;

    /// Oldest opset of the operator's domain in which this form is legal.
    fn since(&self) -> u64 {
        7
    }

    /// Meaning of input `i` for quantization.
    fn role(&self, input: usize) -> Role {
        if input == 0 { Role::Activation } else { Role::Parameter }
    }

    /// Multiply-accumulates for these inputs and outputs; 0 for operators that do none to speak of.
    fn macs(&self, _inputs: &[Option<Input<'_>>], _outputs: &[TensorType]) -> u64 {
        0
    }
}

macro_rules! ops {
    ($($module:ident $name:ident),* $(,)?) => {
        $(mod $module; pub use $module::$name;)*

        /// An operator with its attributes.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "one variant per operator type, documented there")]
        pub enum Op { $($name($name)),* }

        $(impl From<$name> for Op { fn from(op: $name) -> Op { Op::$name(op) } })*

        impl Op {
            /// (domain, name) of every operator, in alphabetical order.
            pub const ALL: &'static [(&'static str, &'static str)] =
                &[$(($name::DOMAIN, $name::NAME)),*];

            /// The operator of that domain and name with these attributes; `None` when there is no such operator.
            pub fn read(domain: &str, name: &str, mut attributes: Attributes) -> Option<Result<Op, AttributeError>> {
                let domain = if domain == "ai.onnx" { "" } else { domain };
                let op = match (domain, name) {
                    $(($name::DOMAIN, $name::NAME) => $name::read(&mut attributes).map(Op::$name),)*
                    _ => return None,
                };
                Some(op.and_then(|op| attributes.finish().map(|()| op)))
            }

            /// Name in the ONNX specification.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$name(_) => $name::NAME),* }
            }

            /// ONNX domain; empty for the default one.
            pub fn domain(&self) -> &'static str {
                match self { $(Op::$name(_) => $name::DOMAIN),* }
            }

            /// See [`OpSpec::write`].
            pub fn write(&self) -> Attributes {
                match self { $(Op::$name(op) => op.write()),* }
            }

            /// See [`OpSpec::infer`].
            ///
            /// # Errors
            /// As there.
            pub fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
                match self { $(Op::$name(op) => op.infer(inputs)),* }
            }

            /// See [`OpSpec::since`].
            pub fn since(&self) -> u64 {
                match self { $(Op::$name(op) => op.since()),* }
            }

            /// See [`OpSpec::role`].
            pub fn role(&self, input: usize) -> Role {
                match self { $(Op::$name(op) => op.role(input)),* }
            }

            /// See [`OpSpec::macs`].
            pub fn macs(&self, inputs: &[Option<Input<'_>>], outputs: &[TensorType]) -> u64 {
                match self { $(Op::$name(op) => op.macs(inputs, outputs)),* }
            }
        }
    };
}

impl Op {
    /// Whether it stands for what a value is rounded to: inserted by simulation, with an output of the type of input 0.
    pub fn is_rounding(&self) -> bool {
        matches!(self, Op::FakeQuantize(_) | Op::FakeLevels(_) | Op::BitWindow(_))
    }
}

ops! {
    add Add,
    average_pool AveragePool,
    batch_normalization BatchNormalization,
    bipolar_quant BipolarQuant,
    bit_shift BitShift,
    bit_window BitWindow,
    bitwise_and BitwiseAnd,
    bitwise_or BitwiseOr,
    cast Cast,
    clip Clip,
    concat Concat,
    constant_of_shape ConstantOfShape,
    conv Conv,
    conv_transpose ConvTranspose,
    dequantize_linear DequantizeLinear,
    div Div,
    dropout Dropout,
    erf Erf,
    expand Expand,
    fake_levels FakeLevels,
    fake_quantize FakeQuantize,
    flatten Flatten,
    gather Gather,
    gelu Gelu,
    gemm Gemm,
    global_average_pool GlobalAveragePool,
    hard_sigmoid HardSigmoid,
    hard_swish HardSwish,
    identity Identity,
    int_quant IntQuant,
    layer_normalization LayerNormalization,
    leaky_relu LeakyRelu,
    lrn Lrn,
    matmul MatMul,
    max_pool MaxPool,
    mul Mul,
    pad Pad,
    pow Pow,
    prelu PRelu,
    quantize_linear QuantizeLinear,
    reduce_mean ReduceMean,
    relu Relu,
    reshape Reshape,
    resize Resize,
    shape Shape,
    sigmoid Sigmoid,
    slice Slice,
    softmax Softmax,
    split Split,
    sqrt Sqrt,
    squeeze Squeeze,
    sub Sub,
    tanh Tanh,
    transpose Transpose,
    unsqueeze Unsqueeze,
}
