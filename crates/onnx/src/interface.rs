//! Types of the graph's inputs and outputs, from the file's form and into it.

use crate::names::Names;
use crate::proto::{
    Dimension, DimensionValue, GraphProto, TensorShapeProto, TensorType, TypeProto, TypeValue, ValueInfoProto,
};
use crate::tensor;
use lowbit_graph::{Dim, Value};
use lowbit_tensor::DType;

/// The names of symbolic extents in use.
pub(crate) fn symbols(proto: &GraphProto) -> Names {
    let mut names = Names::default();
    let shapes = proto.input.iter().chain(&proto.output).filter_map(|v| tensor_type(v).ok()?.shape.as_ref());
    for dim in shapes.flat_map(|s| &s.dim) {
        if let Some(DimensionValue::Param(name)) = &dim.value {
            names.take(name);
        }
    }
    names
}

fn tensor_type(info: &ValueInfoProto) -> Result<&TensorType, String> {
    let other = match info.r#type.as_ref().and_then(|t| t.value.as_ref()) {
        Some(TypeValue::Tensor(tensor)) => return Ok(tensor),
        None => "no type is declared",
        Some(TypeValue::Sequence(_)) => "the type is a sequence",
        Some(TypeValue::Map(_)) => "the type is a map",
        Some(TypeValue::Optional(_)) => "the type is optional",
        Some(TypeValue::SparseTensor(_)) => "the type is a sparse tensor",
        Some(TypeValue::Opaque(_)) => "the type is opaque",
    };
    Err(format!("{other}; only tensors are supported"))
}

fn element_type(tensor: &TensorType) -> Result<DType, String> {
    let id = tensor.elem_type.unwrap_or(0);
    tensor::dtype(id).ok_or_else(|| format!("elements of type {} are not supported", tensor::type_name(id)))
}

/// Extents; those without a number or a name get a name of their own, made from the value's.
fn extents(name: &str, shape: &TensorShapeProto, symbols: &mut Names) -> Result<Vec<Dim>, String> {
    let extent = |(axis, dim): (usize, &Dimension)| match &dim.value {
        // Some exporters write -1 for an extent that they do not know.
        Some(DimensionValue::Value(d)) if *d >= 0 => usize::try_from(*d)
            .map(Dim::Known)
            .map_err(|_| format!("the extent {d} of axis {axis} is too large")),
        Some(DimensionValue::Param(symbol)) if !symbol.is_empty() => Ok(Dim::Symbol(symbol.clone())),
        _ => Ok(Dim::Symbol(symbols.fresh(&format!("{name}_{axis}")))),
    };
    shape.dim.iter().enumerate().map(extent).collect()
}

/// Element type and extents of an input, both required.
pub(crate) fn input_type(
    name: &str,
    info: &ValueInfoProto,
    symbols: &mut Names,
) -> Result<(DType, Vec<Dim>), String> {
    let tensor = tensor_type(info)?;
    let shape =
        tensor.shape.as_ref().ok_or("no shape is declared; inputs of unknown rank are not supported")?;
    Ok((element_type(tensor)?, extents(name, shape, symbols)?))
}

/// Element type and extents of an output, as far as declared.
pub(crate) fn output_type(
    name: &str,
    info: &ValueInfoProto,
    symbols: &mut Names,
) -> Result<(Option<DType>, Option<Vec<Dim>>), String> {
    if info.r#type.as_ref().is_none_or(|t| t.value.is_none()) {
        return Ok((None, None));
    }
    let tensor = tensor_type(info)?;
    let dtype = tensor.elem_type.is_some_and(|id| id != 0).then(|| element_type(tensor)).transpose()?;
    Ok((dtype, tensor.shape.as_ref().map(|s| extents(name, s, symbols)).transpose()?))
}

/// The declaration of a graph input or output of known element type.
pub(crate) fn write(value: &Value, dtype: DType) -> ValueInfoProto {
    let extent = |dim: &Dim| match dim {
        Dim::Known(d) => DimensionValue::Value(*d as i64),
        Dim::Symbol(name) => DimensionValue::Param(name.clone()),
    };
    let dims = |shape: &Vec<Dim>| TensorShapeProto {
        dim: shape.iter().map(|d| Dimension { value: Some(extent(d)), denotation: None }).collect(),
    };
    let tensor =
        TensorType { elem_type: Some(tensor::type_id(dtype)), shape: value.shape.as_ref().map(dims) };
    let ty = TypeProto { value: Some(TypeValue::Tensor(tensor)), denotation: None };
    ValueInfoProto { name: Some(value.name.clone()), r#type: Some(ty), ..ValueInfoProto::default() }
}
