//! An edge as a file has it: rounding by `QuantizeLinear` → `Clip` below 8 bits → `DequantizeLinear`, or `IntQuant`. Levels go
//! through a table in place of the `Clip`; QONNX has no node of its own for them.

use super::Flavour;
use super::builder::Builder;
use super::levels;
use crate::simulate::EdgeCode;
use crate::site::ActivationSite;
use lowbit_graph::ops::Rounding::HalfEven;
use lowbit_graph::ops::{Cast, Clip, DequantizeLinear, Gather, IntQuant, QuantizeLinear};
use lowbit_graph::{Op, ValueId};
use lowbit_tensor::number::code_range;
use lowbit_tensor::{DType, Data, Levels, Tensor};

/// One rounding of an edge, its constants made.
#[derive(Clone, Copy)]
pub(super) struct Rounding {
    axis: Option<usize>,
    bits: u8,
    scale: ValueId,
    zero_point: ValueId,
    /// Whether codes are UINT4.
    nibble: bool,
    /// What codes become: `[256]` of uint8.
    table: Option<ValueId>,
}

/// The roundings that make an edge what its code says: one, or two where channels differ in bits.
///
/// No operator clips each channel at its own code. But uint8 saturates at both ends: the first rounding, with the code's
/// own zero point, ends channels below, the second, with zero points moved up so that each highest code is 255, ends
/// them above. What lies between is a level already, and stays.
pub(super) fn roundings(
    b: &mut Builder,
    site: &ActivationSite,
    code: &EdgeCode<'_>,
    flavour: Flavour,
) -> Vec<Rounding> {
    let name = &site.name;
    let code = match code {
        EdgeCode::Uniform(code) => code,
        EdgeCode::Levels(code) => return vec![of_levels(b, name, code)],
    };
    let mut shape = if code.axis.is_some() { vec![code.scale.len()] } else { vec![] };
    if let (Some(axis), Flavour::Qonnx) = (code.axis, flavour) {
        // `IntQuant` broadcasts, where `QuantizeLinear` has an axis.
        shape.resize(site.rank - axis, 1);
    }
    let scale = b.constant(format!("{name}.scale"), Tensor::from_f32(shape.clone(), code.scale.clone()));
    let alike = code.bits.iter().all(|&w| w == code.bits[0]);
    let nibble = flavour == Flavour::Textbook && alike && code.bits[0] == 4;
    let mut rounding = |zero_points: Vec<i32>, bits: u8| {
        let zero = match flavour {
            Flavour::Qonnx => {
                Tensor::from_f32(shape.clone(), zero_points.iter().map(|&z| z as f32).collect())
            }
            _ => {
                let codes = Data::U8(zero_points.iter().map(|&z| z as u8).collect());
                let zero = Tensor::new(shape.clone(), codes).expect("one per scale");
                if nibble { zero.cast(DType::U4) } else { zero }
            }
        };
        let zero_point = b.constant(format!("{name}.zero_point"), zero);
        Rounding { axis: code.axis, bits, scale, zero_point, nibble, table: None }
    };
    if alike && code.bits[0] > 0 {
        return vec![rounding(code.zero_point.clone(), code.bits[0])];
    }
    let raised = code.zero_point.iter().enumerate().map(|(c, &z)| z + 255 - code.range(c)[1]).collect();
    vec![rounding(code.zero_point.clone(), 8), rounding(raised, 8)]
}

/// Rounding to the grid, and a table from its codes to levels.
fn of_levels(b: &mut Builder, name: &str, code: &Levels) -> Rounding {
    let grid = &code.grid;
    let shape = if grid.axis.is_some() { vec![grid.scale.len()] } else { vec![] };
    let scale = b.constant(format!("{name}.scale"), Tensor::from_f32(shape.clone(), grid.scale.clone()));
    let zeros = levels::tensor(grid, grid.zero_point.iter().copied(), shape);
    let zero_point = b.constant(format!("{name}.zero_point"), zeros);
    let mut table = code.table();
    // Negative indices count from the end.
    if grid.signed {
        table.rotate_left(128);
    }
    let table = levels::tensor(grid, table.into_iter(), vec![256]);
    let table = Some(b.constant(format!("{name}.levels"), table));
    Rounding { axis: grid.axis, bits: 8, scale, zero_point, nibble: false, table }
}

/// The value of `source` after a rounding.
pub(super) fn rounded(
    b: &mut Builder,
    name: &str,
    rounding: &Rounding,
    source: ValueId,
    flavour: Flavour,
) -> ValueId {
    let &Rounding { axis, bits, scale, zero_point, nibble, table } = rounding;
    if flavour == Flavour::Qonnx && table.is_none() {
        let width = b.scalar(format!("{name}.bits"), f32::from(bits));
        let op = Op::IntQuant(IntQuant { signed: false, narrow: false, rounding: HalfEven });
        return b.node(format!("{name}.quantized"), op, &[source, scale, zero_point, width]);
    }
    let axis = axis.map_or(1, |a| a as i64);
    let quantize = Op::QuantizeLinear(QuantizeLinear { axis, ..QuantizeLinear::default() });
    let mut codes = b.node(format!("{name}.codes"), quantize, &[source, scale, zero_point]);
    if bits < 8 && !nibble {
        let [lo, hi] = code_range(bits, false);
        let limit = |q: i32| Tensor::new(vec![], Data::U8(vec![q as u8])).expect("a scalar");
        let least = b.shared(&format!("lowbit.u8.{lo}"), || limit(lo));
        let most = b.shared(&format!("lowbit.u8.{hi}"), || limit(hi));
        codes = b.node(format!("{name}.clipped"), Op::Clip(Clip), &[codes, least, most]);
    }
    if let Some(table) = table {
        let index = b.node(format!("{name}.index"), Op::Cast(Cast { to: DType::I32 }), &[codes]);
        codes = b.node(format!("{name}.level"), Op::Gather(Gather { axis: 0 }), &[table, index]);
    }
    let dequantize = Op::DequantizeLinear(DequantizeLinear { axis, ..DequantizeLinear::default() });
    b.node(format!("{name}.quantized"), dequantize, &[codes, scale, zero_point])
}
