//! `FakeQuantize`.

use super::support::gradient::{self, InputGradients};
use super::support::{around, from_f64, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use crate::gradient::reverse::{Learns, Reverse, Reversible};
use lowbit_graph::TensorType;
use lowbit_graph::ops::FakeQuantize;
use lowbit_kernels::{FakeQuant, fake_quant};
use lowbit_tensor::Tensor;
use lowbit_tensor::number::encode;
use std::sync::{Arc, PoisonError, RwLock};

pub(super) fn reference(op: &FakeQuantize, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let x = required(inputs, 0, "X")?;
    let mut values = x.to_f32();
    op.code.fake_quantize(&mut values, x.shape());
    Ok(vec![Tensor::from_f32(x.shape(), values).cast(x.dtype())])
}

/// Straight through: rounding counts as the identity, so that the gradient passes where the code before the clamp lies
/// in the range, its ends included. A channel of 0 bits is a constant.
pub(super) fn gradient(
    op: &FakeQuantize,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let x = required(inputs, 0, "X")?;
    let passes = |cell: &Cell| cell.moves && cell.rounded == cell.code;
    let dx = cells(op, x).zip(dy.to_f64()).map(|(cell, dy)| if passes(&cell) { dy } else { 0.0 });
    Ok(vec![gradient::of(inputs, 0, dx.collect())?])
}

/// See [`super::step_gradient`].
pub(super) fn step_gradient(op: &FakeQuantize, x: &Tensor, dy: &Tensor) -> Result<Tensor, EvalError> {
    let mut sums = vec![0.0; op.code.scale.len()];
    for (cell, dy) in cells(op, x).zip(dy.to_f64()).filter(|(cell, _)| cell.moves) {
        let level = f64::from(cell.code) - f64::from(op.code.zero_point[cell.channel]);
        let within = cell.rounded == cell.code;
        sums[cell.channel] += dy * if within { level - cell.steps } else { level };
    }
    from_f64(&TensorType::new(x.dtype(), [sums.len()]), sums)
}

/// What becomes of one element.
struct Cell {
    channel: usize,
    /// x / scale.
    steps: f64,
    /// The code before the clamp, and after it.
    rounded: i32,
    code: i32,
    /// Whether the channel has any bits.
    moves: bool,
}

fn cells(op: &FakeQuantize, x: &Tensor) -> impl Iterator<Item = Cell> {
    let (code, shape) = (&op.code, x.shape());
    let [_, channels, inner] = code.axis.map_or([1, 1, x.len()], |axis| around(shape, axis));
    x.to_f32().into_iter().enumerate().map(move |(i, x)| {
        let channel = i / inner % channels;
        let (scale, zero_point) = (code.scale[channel], code.zero_point[channel]);
        Cell {
            channel,
            steps: f64::from(x) / f64::from(scale),
            rounded: encode(x, scale, zero_point, [i32::MIN, i32::MAX]),
            code: code.encode(x, channel),
            moves: code.bits[channel] > 0,
        }
    })
}

/// The kernel's form of a code, if it has one scale over the whole tensor.
pub(super) fn per_tensor(op: &FakeQuantize) -> Option<FakeQuant> {
    let code = &op.code;
    let [lo, hi] = code.range(0);
    (code.axis.is_none() && code.shift.is_none()).then(|| FakeQuant {
        scale: code.scale[0],
        zero_point: code.zero_point[0],
        lo,
        hi,
    })
}

/// Per tensor in whatever layout the data has, per channel (axis 1) on channels-last data.
pub(super) fn forward(op: &FakeQuantize, site: &Site<'_>) -> Option<Form> {
    let (isa, layout) = (site.isa, site.data(0)?.layout);
    if let Some(quant) = per_tensor(op) {
        return Some(Form::unary(layout, move |x, y| fake_quant::fake_quant(isa, &quant, x, y)));
    }
    let code = op.code.clone();
    let alike = code.bits.iter().all(|&b| b == code.bits[0] && b > 0);
    if code.axis != Some(1) || code.shift.is_some() || !alike || site.output.shape.len() < 3 {
        return None;
    }
    let range = code.range(0);
    Some(Form::unary(Layout::ChannelsLast, move |x, y| {
        y.copy_from_slice(x);
        fake_quant::fake_quant_channel_in_place(isa, &code.scale, &code.zero_point, range, y);
    }))
}

/// Per tensor, straight-through; the step may be a parameter.
pub(super) fn reversible(op: &FakeQuantize, site: &Site<'_>) -> Option<Reversible> {
    let (isa, layout) = (site.isa, site.data(0)?.layout);
    let shared = Arc::new(RwLock::new(per_tensor(op)?));
    let (run, reverse, update) = (shared.clone(), shared.clone(), shared);
    let now = |shared: &RwLock<FakeQuant>| *shared.read().unwrap_or_else(PoisonError::into_inner);
    Some(Reversible {
        form: Form::unary(layout, move |x, y| fake_quant::fake_quant(isa, &now(&run), x, y)),
        reverse: Reverse::new(move |pull| {
            let step = fake_quant::backward_in_place(isa, &now(&reverse), pull.inputs[0], pull.grad);
            if let Some(gradient) = pull.parameters.first_mut() {
                gradient[0] += step as f32;
            }
            if let Some(sink) = &mut pull.sinks[0] {
                sink.put(isa, pull.grad);
            }
        }),
        learns: Some(Learns::plainly(vec![1; site.learned.len()], move |_, values| {
            update.write().unwrap_or_else(PoisonError::into_inner).scale = values[0];
        })),
    })
}
