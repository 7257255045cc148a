//! `FakeQuantize`.

use super::support::required;
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use lowbit_graph::ops::FakeQuantize;
use lowbit_kernels::{FakeQuant, fake_quant};
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &FakeQuantize, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let x = required(inputs, 0, "X")?;
    let mut values = x.to_f32();
    op.code.fake_quantize(&mut values, x.shape());
    Ok(vec![Tensor::from_f32(x.shape(), values).cast(x.dtype())])
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
