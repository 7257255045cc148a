//! Gradients of the operators by their plain twins: the slope of `evaluate`, and what PyTorch answers.

#[path = "../common/mod.rs"]
mod common;

mod cases;
mod goldens;
mod steps;

use cases::{Case, noise};
use lowbit_engine::{EvalError, evaluate, gradient};
use lowbit_graph::Op;
use lowbit_graph::ops::*;
use lowbit_tensor::{DType, Data, Tensor, Uniform};
use std::collections::BTreeSet;

/// Operators through which no gradient passes: their results are codes, integers, or made of codes.
const NOT_DIFFERENTIABLE: &[&str] = &[
    "BipolarQuant",
    "BitShift",
    "BitwiseAnd",
    "BitwiseOr",
    "DequantizeLinear",
    "IntQuant",
    "QuantizeLinear",
    "Shape",
];

/// Operators whose gradient is not the slope of their result.
const BY_AGREEMENT: &[&str] = &[
    "BitWindow",       // straight through: `steps.rs`
    "ConstantOfShape", // takes extents only
    "FakeLevels",      // straight through: `steps.rs`
    "FakeQuantize",    // straight through: `steps.rs`
];

/// Half the distance between the two points of a slope; for values of about 1 in f64.
const STEP: f64 = 1e-5;

/// Relative: the third derivatives of these functions are small, and rounding is 1e-16 / STEP.
const TOLERANCE: f64 = 1e-7;

/// A weight for each float output, so that one number depends on all of them in its own way.
fn weights(case: &Case) -> Vec<Option<Tensor>> {
    let outputs = evaluate(&case.op, &case.inputs()).unwrap();
    let weight = |(y, seed): (&Tensor, u64)| y.dtype().is_float().then(|| noise(y.shape(), seed));
    outputs.iter().zip(1000..).map(weight).collect()
}

fn loss(op: &Op, inputs: &[Option<&Tensor>], weights: &[Option<Tensor>]) -> f64 {
    let outputs = evaluate(op, inputs).unwrap();
    let dot = |y: &Tensor, w: &Tensor| y.to_f64().iter().zip(w.to_f64()).map(|(y, w)| y * w).sum::<f64>();
    outputs.iter().zip(weights).filter_map(|(y, w)| Some(dot(y, w.as_ref()?))).sum()
}

/// The gradient of [`loss`].
fn gradients(case: &Case, weights: &[Option<Tensor>]) -> Vec<Option<Tensor>> {
    let grads: Vec<Option<&Tensor>> = weights.iter().map(Option::as_ref).collect();
    gradient(&case.op, &case.inputs(), &grads).unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

#[test]
fn gradients_are_the_slopes_of_the_twins() {
    for case in cases::all() {
        let weights = weights(&case);
        let found = gradients(&case, &weights);
        assert_eq!(found.len(), case.inputs.len(), "{}", case.name);
        for (i, found) in found.iter().enumerate() {
            let Some(x) = case.inputs[i].as_ref().filter(|_| case.takes(i)) else {
                assert!(found.is_none(), "{}: input {i} takes no gradient", case.name);
                continue;
            };
            let found = found.as_ref().unwrap_or_else(|| panic!("{}: no gradient of input {i}", case.name));
            assert_eq!((found.shape(), found.dtype()), (x.shape(), x.dtype()), "{}", case.name);
            for (at, found) in found.to_f64().into_iter().enumerate() {
                let moved = |by: f64| {
                    let mut values = x.to_f64();
                    values[at] += by;
                    let x = Tensor::new(x.shape().to_vec(), Data::F64(values)).unwrap();
                    let mut inputs = case.inputs();
                    inputs[i] = Some(&x);
                    loss(&case.op, &inputs, &weights)
                };
                let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                let error = (found - slope).abs() / (1.0 + slope.abs());
                assert!(error < TOLERANCE, "{}: input {i}, element {at}: {found}, slope {slope}", case.name);
            }
        }
    }
}

#[test]
fn every_operator_has_a_case_or_a_reason_to_have_none() {
    let with_case: BTreeSet<&str> = cases::all().iter().map(|case| case.op.name()).collect();
    for &(_, name) in Op::ALL {
        let places =
            [with_case.contains(name), NOT_DIFFERENTIABLE.contains(&name), BY_AGREEMENT.contains(&name)];
        assert_eq!(places.into_iter().filter(|&p| p).count(), 1, "{name}: {places:?}");
    }
}

#[test]
fn floats_are_rounded_once() {
    for case in cases::all() {
        let shorten = |w: Option<Tensor>| w.map(|w| w.cast(DType::F32));
        let weights: Vec<Option<Tensor>> = weights(&case).into_iter().map(shorten).collect();
        let short = case.cast(DType::F32);
        let long = short.cast(DType::F64);
        for (short, long) in gradients(&short, &weights).into_iter().zip(gradients(&long, &weights)) {
            assert_eq!(short, long.map(|long| long.cast(DType::F32)), "{}", case.name);
        }
    }
}

#[test]
fn an_output_without_gradient_counts_as_zero() {
    for case in cases::all() {
        let weights = weights(&case);
        let none = gradient(&case.op, &case.inputs(), &vec![None; weights.len()]).unwrap();
        assert_eq!(none, vec![None; case.inputs.len()], "{}", case.name);
    }
    let x = Tensor::from_f32([3], vec![1., 2., 3.]);
    let (op, sizes) = (Op::from(Split { axis: 0, num_outputs: None }), Tensor::from_i64s(&[2, 1]));
    let dy = Tensor::from_f32([1], vec![5.]);
    let dx = gradient(&op, &[Some(&x), Some(&sizes)], &[None, Some(&dy)]).unwrap();
    assert_eq!(dx, [Some(Tensor::from_f32([3], vec![0., 0., 5.])), None]);
}

#[test]
fn at_kinks_the_flat_side_or_the_first_counts() {
    let slope = |op: Op, x: &[f32], rest: &[Tensor]| {
        let x = Tensor::from_f32([1, 1, x.len()], x.to_vec());
        let inputs: Vec<Option<&Tensor>> = std::iter::once(&x).chain(rest).map(Some).collect();
        let y = evaluate(&op, &inputs).unwrap().remove(0);
        let ones = Tensor::from_f32(y.shape(), vec![1.0; y.len()]);
        gradient(&op, &inputs, &[Some(&ones)]).unwrap()[0].as_ref().unwrap().to_f32()
    };
    assert_eq!(slope(Relu.into(), &[-1., 0., -0., 1.], &[]), [0., 0., 0., 1.]);
    assert_eq!(slope(LeakyRelu { alpha: 0.5 }.into(), &[0.], &[]), [0.5]);
    assert_eq!(slope(PRelu.into(), &[0.], &[Tensor::scalar(0.25)]), [0.25]);
    let limits = [Tensor::scalar(-1.0), Tensor::scalar(6.0)];
    assert_eq!(slope(Clip.into(), &[-2., -1., 0., 6., 7.], &limits), [0., 0., 1., 0., 0.]);
    let crossed = [Tensor::scalar(6.0), Tensor::scalar(-1.0)];
    assert_eq!(slope(Clip.into(), &[-2., 0., 7.], &crossed), [0., 0., 0.]);
    assert_eq!(slope(HardSwish.into(), &[-3., 3.], &[]), [0., 1.]);
    assert_eq!(slope(HardSigmoid { alpha: 0.25, beta: 0.5 }.into(), &[-2., 2.], &[]), [0., 0.]);
    let pool = MaxPool { kernel: vec![3], window: Window::default(), ceil: false };
    assert_eq!(slope(pool.into(), &[2., 2., 1., 2.], &[]), [1., 1., 0., 0.]);
}

#[test]
fn what_has_no_gradient_says_so() {
    let scale = Tensor::scalar(0.5);
    let refused = |op: Op, inputs: &[Option<&Tensor>]| {
        let dy: Vec<Tensor> = evaluate(&op, inputs)
            .unwrap()
            .iter()
            .map(|y| Tensor::zeros(DType::F32, y.shape().to_vec()).unwrap())
            .collect();
        let error = gradient(&op, inputs, &[Some(&dy[0])]).unwrap_err();
        assert_eq!(error, EvalError::NotDifferentiable { op: op.name() });
        op.name()
    };
    let (x, codes) =
        (Tensor::from_f32([2], vec![1.0, -1.0]), Tensor::new(vec![2], Data::U8(vec![1, 2])).unwrap());
    let bits = Tensor::scalar(4.0);
    let quant = IntQuant { signed: true, narrow: false, rounding: Rounding::HalfEven };
    let shift = cases::op("BitShift", &[("direction", lowbit_graph::Attribute::Text("LEFT".into()))]);
    let refusals = [
        refused(BipolarQuant.into(), &[Some(&x), Some(&scale)]),
        refused(shift, &[Some(&codes), Some(&codes)]),
        refused(BitwiseAnd.into(), &[Some(&codes), Some(&codes)]),
        refused(BitwiseOr.into(), &[Some(&codes), Some(&codes)]),
        refused(DequantizeLinear::default().into(), &[Some(&codes), Some(&scale)]),
        refused(quant.into(), &[Some(&x), Some(&scale), Some(&Tensor::scalar(0.0)), Some(&bits)]),
        refused(QuantizeLinear::default().into(), &[Some(&x), Some(&scale)]),
        refused(Shape::default().into(), &[Some(&x)]),
    ];
    assert_eq!(refusals, NOT_DIFFERENTIABLE);
    // Integers have none whatever the operator.
    refused(Add.into(), &[Some(&codes), Some(&codes)]);
    refused(Cast { to: DType::I32 }.into(), &[Some(&x)]);
}

#[test]
fn gradients_of_another_shape_or_type_are_refused() {
    let (x, wrong) = (Tensor::from_f32([2], vec![1., 2.]), Tensor::from_f32([1, 2], vec![1., 2.]));
    let refusal =
        |grads: &[Option<&Tensor>]| gradient(&Relu.into(), &[Some(&x)], grads).unwrap_err().to_string();
    assert_eq!(refusal(&[Some(&wrong)]), "gradient 0 is float32 [1, 2]; it must be float [2]");
    assert_eq!(
        refusal(&[Some(&Tensor::from_i64s(&[1, 2]))]),
        "gradient 0 is int64 [2]; it must be float [2]"
    );
    assert_eq!(refusal(&[Some(&x), Some(&x)]), "2 gradients for 1 outputs");
    let code = FakeQuantize { code: Uniform { axis: Some(3), ..Uniform::per_tensor(4, true, 1.0, 0) } };
    assert!(gradient(&code.into(), &[Some(&x)], &[Some(&x)]).is_err());
}

#[test]
fn inputs_that_do_not_fit_give_an_answer_or_an_error() {
    let mut answers = [0, 0];
    for case in cases::all() {
        let weights = weights(&case);
        for (i, x) in case.inputs.iter().enumerate() {
            let Some(x) = x else { continue };
            let shapes = [vec![x.len()], vec![1, x.len(), 1, 1], vec![0], vec![1], vec![], vec![2, 0, 3]];
            for shape in shapes {
                let mut inputs = case.inputs();
                let other = Tensor::zeros(x.dtype(), shape.clone()).unwrap();
                let same = x.clone().reshape(shape).unwrap_or(other);
                inputs[i] = Some(&same);
                // Gradients of what the operator gives now, if anything, and of what it gave before.
                let now = evaluate(&case.op, &inputs).unwrap_or_default();
                let before: Vec<Option<&Tensor>> = weights.iter().map(Option::as_ref).collect();
                for grads in [now.iter().map(Some).collect(), before] {
                    let answer = gradient(&case.op, &inputs, &grads);
                    answers[usize::from(answer.is_ok())] += 1;
                }
            }
        }
    }
    assert!(answers[0] > 500 && answers[1] > 500, "{answers:?}");
}
