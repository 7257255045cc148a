//! Seeded inputs for every differentiable operator, in f64 and away from kinks.

use crate::common;
use lowbit_graph::ops::*;
use lowbit_graph::{Attribute, Attributes, Op};
use lowbit_tensor::{DType, Data, Tensor};

/// An operator with inputs. Those in f64 take a gradient.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) op: Op,
    pub(crate) inputs: Vec<Option<Tensor>>,
    /// Inputs of a float type that nevertheless take no gradient.
    given: Vec<usize>,
}

impl Case {
    pub(crate) fn inputs(&self) -> Vec<Option<&Tensor>> {
        self.inputs.iter().map(Option::as_ref).collect()
    }

    /// Whether input `i` takes a gradient.
    pub(crate) fn takes(&self, i: usize) -> bool {
        let float = self.inputs[i].as_ref().is_some_and(|x| x.dtype().is_float());
        float && !self.given.contains(&i)
    }

    /// The case with floats of another type.
    pub(crate) fn cast(&self, to: DType) -> Case {
        let cast = |x: &Tensor| if x.dtype().is_float() { x.cast(to) } else { x.clone() };
        let inputs = self.inputs.iter().map(|x| x.as_ref().map(cast)).collect();
        Case { name: self.name.clone(), op: self.op.clone(), inputs, given: self.given.clone() }
    }
}

/// Numbers in [-1, 1) in f64.
pub(crate) fn noise(shape: &[usize], seed: u64) -> Tensor {
    common::tensor(shape, seed).cast(DType::F64)
}

/// The same in [lo, hi).
fn between(shape: &[usize], seed: u64, lo: f64, hi: f64) -> Tensor {
    let values = noise(shape, seed).to_f64().into_iter().map(|x| lo + (x + 1.0) / 2.0 * (hi - lo)).collect();
    Tensor::new(shape.to_vec(), Data::F64(values)).unwrap()
}

fn scalar(x: f64) -> Tensor {
    Tensor::new(vec![], Data::F64(vec![x])).unwrap()
}

fn list(values: &[i64]) -> Tensor {
    Tensor::from_i64s(values)
}

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

fn int(value: i64) -> Attribute {
    Attribute::Int(value)
}

fn float(value: f32) -> Attribute {
    Attribute::Float(value)
}

fn text(value: &str) -> Attribute {
    Attribute::Text(value.into())
}

pub(crate) fn op(name: &str, attributes: Attributed<'_>) -> Op {
    let map = attributes.iter().fold(Attributes::new(), |map, (name, value)| map.with(name, value.clone()));
    Op::read("", name, map).unwrap().unwrap()
}

/// Attributes by name.
type Attributed<'a> = &'a [(&'a str, Attribute)];

/// What is put together below.
#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, op: impl Into<Op>, what: &str, inputs: impl IntoIterator<Item = Tensor>) -> &mut Case {
        self.add_partly(op, what, inputs.into_iter().map(Some).collect())
    }

    fn add_partly(&mut self, op: impl Into<Op>, what: &str, inputs: Vec<Option<Tensor>>) -> &mut Case {
        let op = op.into();
        self.0.push(Case { name: format!("{} {what}", op.name()), op, inputs, given: vec![] });
        self.0.last_mut().expect("just added")
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Cases::default();
    of_one_element(&mut cases);
    of_two_operands(&mut cases);
    convolutions(&mut cases);
    products(&mut cases);
    pools(&mut cases);
    norms(&mut cases);
    moves(&mut cases);
    resizes(&mut cases);
    cases.0
}

fn of_one_element(cases: &mut Cases) {
    let wide = || [between(&[2, 3, 4], 1, -5.0, 5.0)];
    for name in
        ["Relu", "Sigmoid", "Tanh", "Erf", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Identity"]
    {
        cases.add(op(name, &[]), "", wide());
    }
    cases.add(op("Gelu", &[("approximate", text("tanh"))]), "by tanh", wide());
    cases.add(op("HardSigmoid", &[("alpha", float(0.3)), ("beta", float(-0.2))]), "moved", wide());
    cases.add(op("LeakyRelu", &[("alpha", float(-0.3))]), "falling", wide());
    cases.add(op("Relu", &[]), "of a scalar", [scalar(0.3)]);
    cases.add(op("Relu", &[]), "of nothing", [noise(&[2, 0], 1)]);
    cases.add(Sqrt, "", [between(&[2, 5], 2, 0.1, 3.0)]);
    cases.add(Clip, "", [wide()[0].clone(), scalar(-1.5), scalar(2.0)]).given = vec![1, 2];
    cases.add_partly(Clip, "from above", vec![Some(wide()[0].clone()), None, Some(scalar(0.5))]).given =
        vec![2];
    cases.add(Clip, "without limits", wide());
    cases.add(Dropout, "", wide());
    let codes = Tensor::new(vec![2], Data::I32(vec![1, -2])).unwrap();
    cases.add(Cast { to: DType::F64 }, "of floats", wide());
    cases.add(Cast { to: DType::F64 }, "of integers", [codes]);
}

fn of_two_operands(cases: &mut Cases) {
    let (positive, any) = (|shape: &[usize], seed| between(shape, seed, 0.3, 2.0), noise);
    let shapes: [(&str, &[usize], &[usize]); 6] = [
        ("alike", &[2, 3, 4], &[2, 3, 4]),
        ("with a channel", &[2, 3, 4], &[3, 1]),
        ("with a row before", &[4], &[2, 3, 4]),
        ("both ways", &[2, 1, 4], &[3, 1]),
        ("with a scalar", &[2, 3], &[]),
        ("of nothing", &[0, 3], &[1, 3]),
    ];
    for (what, a, b) in shapes {
        cases.add(Add, what, [any(a, 1), any(b, 2)]);
        cases.add(Sub, what, [any(a, 1), any(b, 2)]);
        cases.add(Mul, what, [any(a, 1), any(b, 2)]);
        cases.add(Div, what, [any(a, 1), positive(b, 2)]);
        cases.add(Pow, what, [positive(a, 1), any(b, 2)]);
    }
    cases.add(Pow, "to integers", [any(&[2, 3], 1), list(&[3, 0, 1])]);
    let exponent = scalar(3.0);
    cases.add(Pow, "of negatives to a whole number", [any(&[5], 1), exponent.cast(DType::I32)]);
    cases.add(PRelu, "alike", [any(&[2, 3], 1), any(&[2, 3], 2)]);
    cases.add(PRelu, "by channel", [any(&[2, 3, 2, 2], 1), any(&[3, 1, 1], 2)]);
    cases.add(PRelu, "with one slope", [any(&[2, 3], 1), any(&[1], 2)]);
}

fn convolutions(cases: &mut Cases) {
    let mut add = |kind: &str, what: &str, attributes: Attributed<'_>, x: &[usize], w: &[usize], bias| {
        let bias = (bias > 0).then(|| noise(&[bias], 3));
        cases.add(op(kind, attributes), what, [noise(x, 1), noise(w, 2)].into_iter().chain(bias));
    };
    let odd = [("strides", ints(&[2, 3])), ("pads", ints(&[0, 1, 2, 1])), ("dilations", ints(&[2, 1]))];
    let groups = |n: i64| [&odd[..], &[("group", int(n))]].concat();
    add("Conv", "plain", &[], &[2, 2, 4, 3], &[3, 2, 3, 2], 3);
    add("Conv", "without bias", &[], &[1, 2, 3, 3], &[2, 2, 2, 2], 0);
    add("Conv", "odd window", &odd, &[2, 2, 6, 5], &[2, 2, 3, 3], 2);
    add("Conv", "odd window, groups", &groups(2), &[1, 4, 6, 5], &[6, 2, 3, 3], 6);
    add("Conv", "depthwise", &groups(3), &[2, 3, 6, 5], &[3, 1, 3, 3], 3);
    add("Conv", "depthwise, two filters each", &groups(2), &[1, 2, 6, 5], &[4, 1, 3, 3], 0);
    add(
        "Conv",
        "padding beyond the kernel",
        &[("pads", ints(&[3, 3, 3, 3]))],
        &[1, 1, 2, 2],
        &[1, 1, 2, 2],
        1,
    );
    let same = [("auto_pad", text("SAME_LOWER")), ("strides", ints(&[2, 2]))];
    add("Conv", "same lower", &same, &[1, 2, 5, 4], &[2, 2, 2, 3], 2);
    add("Conv", "line", &[("pads", ints(&[1, 0])), ("strides", ints(&[2]))], &[2, 2, 7], &[3, 2, 3], 3);
    add("Conv", "volume", &[("pads", ints(&[1, 0, 0, 0, 1, 0]))], &[1, 2, 2, 3, 2], &[2, 2, 2, 2, 2], 2);
    add("Conv", "of no channels", &[], &[1, 0, 2, 2], &[2, 0, 1, 1], 2);
    let odd = [("strides", ints(&[2, 3])), ("pads", ints(&[1, 0, 0, 1])), ("dilations", ints(&[2, 1]))];
    let odd = [&odd[..], &[("output_padding", ints(&[1, 0]))]].concat();
    let groups = |n: i64| [&odd[..], &[("group", int(n))]].concat();
    add("ConvTranspose", "plain", &[], &[2, 2, 3, 2], &[2, 3, 2, 3], 3);
    add("ConvTranspose", "without bias", &[("strides", ints(&[2, 2]))], &[1, 2, 2, 2], &[2, 1, 2, 2], 0);
    add("ConvTranspose", "odd window", &odd, &[1, 2, 3, 2], &[2, 2, 3, 2], 2);
    add("ConvTranspose", "odd window, groups", &groups(2), &[2, 4, 3, 2], &[4, 3, 3, 2], 6);
    add("ConvTranspose", "depthwise", &groups(3), &[1, 3, 3, 2], &[3, 1, 3, 2], 3);
    add(
        "ConvTranspose",
        "line of a given length",
        &[("output_shape", ints(&[6])), ("strides", ints(&[2]))],
        &[1, 2, 3],
        &[2, 2, 3],
        2,
    );
}

fn products(cases: &mut Cases) {
    for (what, a, b) in [("", [2, 3], [3, 4]), ("of an empty sum", [2, 0], [0, 4])] {
        cases.add(MatMul, what, [noise(&a, 1), noise(&b, 2)]);
        cases.add(op("Gemm", &[]), what, [noise(&a, 1), noise(&b, 2)]);
    }
    let stacks: [(&str, &[usize], &[usize]); 5] = [
        ("of stacks", &[2, 2, 3], &[2, 3, 2]),
        ("of stacks that broadcast", &[2, 1, 2, 3], &[3, 3, 2]),
        ("of a stack and a matrix", &[2, 2, 2, 3], &[3, 4]),
        ("of a vector and a stack", &[3], &[2, 3, 2]),
        ("of vectors", &[3], &[3]),
    ];
    for (what, a, b) in stacks {
        cases.add(MatMul, what, [noise(a, 1), noise(b, 2)]);
    }
    let scaled = [("alpha", float(0.7)), ("beta", float(-1.3)), ("transA", int(1)), ("transB", int(1))];
    for (what, c) in
        [("transposed, a row", &[2][..]), ("transposed, a column", &[4, 1]), ("transposed, a scalar", &[])]
    {
        cases.add(op("Gemm", &scaled), what, [noise(&[3, 4], 1), noise(&[2, 3], 2), noise(c, 3)]);
    }
    cases.add(
        op("Gemm", &scaled[3..]),
        "as a linear layer",
        [noise(&[4, 3], 1), noise(&[2, 3], 2), noise(&[2], 3)],
    );
}

fn pools(cases: &mut Cases) {
    let ceil = [("strides", ints(&[2, 2])), ("ceil_mode", int(1)), ("pads", ints(&[1, 0, 0, 1]))];
    let forms: [(&str, &[i64], Attributed<'_>); 5] = [
        ("plain", &[2, 3], &[]),
        ("padded and rounded up", &[3, 2], &ceil),
        ("dilated", &[2, 2], &[("dilations", ints(&[2, 1])), ("pads", ints(&[0, 1, 1, 0]))]),
        ("overlapping", &[3, 3], &[("pads", ints(&[1, 1, 1, 1]))]),
        ("same upper", &[2, 2], &[("auto_pad", text("SAME_UPPER")), ("strides", ints(&[2, 2]))]),
    ];
    for (what, kernel, window) in forms {
        let attributes = [window, &[("kernel_shape", ints(kernel))]].concat();
        let x = || [noise(&[2, 2, 5, 4], 1)];
        cases.add(op("MaxPool", &attributes), what, x());
        cases.add(op("AveragePool", &attributes), what, x());
        let padded = [&attributes[..], &[("count_include_pad", int(1))]].concat();
        cases.add(op("AveragePool", &padded), &format!("{what}, padding counted"), x());
    }
    for name in ["MaxPool", "AveragePool"] {
        cases.add(op(name, &[("kernel_shape", ints(&[3]))]), "of a line", [noise(&[1, 2, 5], 1)]);
    }
    cases.add(GlobalAveragePool, "", [noise(&[2, 3, 2, 2], 1)]);
    cases.add(GlobalAveragePool, "of a line", [noise(&[1, 2, 3], 1)]);
    let mean = |keep: i64| op("ReduceMean", &[("keepdims", int(keep))]);
    let x = || noise(&[2, 3, 2, 2], 1);
    cases.add(mean(1), "of the last axes", [x(), list(&[-1, 2])]);
    cases.add(mean(0), "of apart axes", [x(), list(&[0, 2])]);
    cases.add(mean(0), "of all", [x()]);
    cases.add(op("ReduceMean", &[("noop_with_empty_axes", int(1))]), "of none", [x()]);
}

fn norms(cases: &mut Cases) {
    for axis in [-1, 1, 0] {
        cases.add(Softmax { axis }, &format!("along {axis}"), [between(&[2, 3, 4], 1, -3.0, 3.0)]);
    }
    let channels = |seed| noise(&[3], seed);
    for (what, shape) in [("of pictures", &[2, 3, 2, 2][..]), ("of rows", &[4, 3])] {
        let statistics = [channels(2), channels(3), channels(4), between(&[3], 5, 0.2, 2.0)];
        let inputs = std::iter::once(noise(shape, 1)).chain(statistics);
        cases.add(op("BatchNormalization", &[("epsilon", float(0.01))]), what, inputs);
    }
    let norm = |axis: i64| op("LayerNormalization", &[("axis", int(axis)), ("epsilon", float(0.01))]);
    let x = || noise(&[2, 3, 4], 1);
    cases.add(norm(-1), "of rows", [x(), noise(&[4], 2), noise(&[4], 3)]);
    cases.add(norm(1), "of the last two axes", [x(), noise(&[3, 4], 2), noise(&[3, 1], 3)]);
    cases.add(norm(-1), "without shift", [x(), noise(&[1], 2)]);
    cases.add(norm(0), "of everything, scaled by sample", [x(), noise(&[2, 1, 4], 2), noise(&[], 3)]);
    let lrn = |size: i64| {
        let factors = [("alpha", float(0.9)), ("beta", float(0.6)), ("bias", float(1.2))];
        op("LRN", &[&factors[..], &[("size", int(size))]].concat())
    };
    for size in [1, 2, 3, 9] {
        cases.add(lrn(size), &format!("of {size}"), [noise(&[2, 4, 2], 1)]);
    }
}

fn moves(cases: &mut Cases) {
    let x = || noise(&[2, 3, 4], 1);
    cases.add(op("Flatten", &[("axis", int(2))]), "", [x()]);
    cases.add(Reshape::default(), "", [x(), list(&[4, -1])]);
    cases.add(Squeeze, "", [noise(&[1, 2, 1], 1), list(&[0])]);
    cases.add(Unsqueeze, "", [x(), list(&[-1, 0])]);
    cases.add(op("Transpose", &[]), "reversed", [x()]);
    cases.add(op("Transpose", &[("perm", ints(&[1, 2, 0]))]), "turned", [x()]);
    cases.add(Slice, "", [x(), list(&[1, -1]), list(&[i64::MAX, i64::MIN]), list(&[1, 2]), list(&[1, -2])]);
    cases.add(Slice, "that is empty", [x(), list(&[2]), list(&[1])]);
    cases.add(Gather { axis: 1 }, "with repeats", [x(), list(&[2, -1, 0, 2])]);
    cases.add(Gather { axis: 0 }, "of one", [x(), list(&[1]).reshape(vec![]).unwrap()]);
    cases.add(Expand, "", [noise(&[3, 1], 1), list(&[2, 1, 4])]);
    cases.add(Concat { axis: 1 }, "", [x(), noise(&[2, 0, 4], 2), noise(&[2, 1, 4], 3)]);
    cases.add(Split { axis: 1, num_outputs: Some(2) }, "by number", [x()]);
    cases.add(Split { axis: -1, num_outputs: None }, "by sizes", [x(), list(&[1, 0, 3])]);
    for mode in [PadMode::Constant, PadMode::Edge, PadMode::Reflect, PadMode::Wrap] {
        let pads = || list(&[0, 2, -1, 1, 0, 5]);
        cases.add(Pad { mode }, &format!("{mode:?}"), [x(), pads()]);
    }
    cases.add(Pad::default(), "with a value", [x(), list(&[1, 0, 2, 0]), scalar(0.7), list(&[0, 2])]);
}

fn resizes(cases: &mut Cases) {
    let sizes = |interpolation, coordinates| Resize {
        interpolation,
        coordinates,
        axes: vec![2, 3],
        aspect: Aspect::Stretch,
    };
    let mut add = |op: Resize, to: &[i64]| {
        let what = format!("{:?} {:?} to {to:?}", op.interpolation, op.coordinates);
        let x = noise(&[1, 2, 3, 4], 1);
        cases.add_partly(op, &what, vec![Some(x), None, None, Some(list(to))]);
    };
    for coordinates in [
        Coordinates::HalfPixel,
        Coordinates::PytorchHalfPixel,
        Coordinates::AlignCorners,
        Coordinates::Asymmetric,
        Coordinates::HalfPixelSymmetric,
    ] {
        for to in [[6, 7], [2, 1], [3, 9]] {
            add(sizes(Interpolation::Linear, coordinates), &to);
        }
    }
    for nearest in [Nearest::PreferFloor, Nearest::PreferCeil, Nearest::Floor, Nearest::Ceil] {
        add(sizes(Interpolation::Nearest(nearest), Coordinates::HalfPixel), &[5, 3]);
    }
    add(sizes(Interpolation::Nearest(Nearest::Floor), Coordinates::Asymmetric), &[6, 8]);
    let scales = Tensor::from_f32([2], vec![1.7, 0.6]);
    let linear = sizes(Interpolation::Linear, Coordinates::HalfPixel);
    let case = cases.add_partly(linear, "by scales", vec![Some(noise(&[1, 2, 3, 4], 1)), None, Some(scales)]);
    case.given = vec![2];
}
