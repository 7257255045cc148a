//! `AttributeProto` to [`Attribute`] and back.

use crate::proto::{AttributeProto, attribute_type as kind};
use crate::tensor;
use lowbit_graph::{Attribute, Attributes};
use std::sync::Arc;

/// The attributes of a node; the error names the attribute.
///
/// External data in attributes is refused: no exporter writes it, and the runtimes refuse it too.
pub(crate) fn read(protos: Vec<AttributeProto>) -> Result<Attributes, String> {
    let mut attributes = Attributes::new();
    for proto in protos {
        let name = proto.name.clone().unwrap_or_default();
        let value = read_one(proto).map_err(|problem| format!("attribute `{name}` {problem}"))?;
        if attributes.get(&name).is_some() {
            return Err(format!("attribute `{name}` is given twice"));
        }
        attributes.set(&name, value);
    }
    Ok(attributes)
}

fn read_one(mut proto: AttributeProto) -> Result<Attribute, String> {
    if proto.ref_attr_name.is_some() {
        return Err("refers to an attribute of a function".into());
    }
    let found = proto.r#type.filter(|&t| t != kind::UNDEFINED).unwrap_or_else(|| guess(&proto));
    // An absent scalar is a zero: proto3 writers leave zeros out.
    Ok(match found {
        kind::FLOAT => Attribute::Float(proto.f.unwrap_or_default()),
        kind::INT => Attribute::Int(proto.i.unwrap_or_default()),
        kind::STRING => Attribute::Text(text(proto.s.unwrap_or_default())?),
        kind::TENSOR => {
            let tensor = proto.t.as_mut().ok_or("holds no tensor")?;
            Attribute::Tensor(Arc::new(tensor::read(tensor, None).map_err(|e| e.to_string())?))
        }
        kind::FLOATS => Attribute::Floats(proto.floats),
        kind::INTS => Attribute::Ints(proto.ints),
        kind::STRINGS => Attribute::Texts(proto.strings.into_iter().map(text).collect::<Result<_, _>>()?),
        kind::GRAPH | kind::GRAPHS => return Err("is a graph, which is not supported".into()),
        kind::SPARSE_TENSOR | kind::SPARSE_TENSORS => {
            return Err("is a sparse tensor, which is not supported".into());
        }
        kind::TENSORS => return Err("is a list of tensors, which is not supported".into()),
        kind::TYPE_PROTO | kind::TYPE_PROTOS => return Err("is a type, which is not supported".into()),
        other => return Err(format!("is of unknown kind {other}")),
    })
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".into())
}

/// The kind of an attribute that does not say it (files of IR version 1): the one field that is set.
fn guess(proto: &AttributeProto) -> i32 {
    let candidates = [
        (proto.f.is_some(), kind::FLOAT),
        (proto.i.is_some(), kind::INT),
        (proto.s.is_some(), kind::STRING),
        (proto.t.is_some(), kind::TENSOR),
        (proto.g.is_some(), kind::GRAPH),
        (proto.sparse_tensor.is_some(), kind::SPARSE_TENSOR),
        (!proto.floats.is_empty(), kind::FLOATS),
        (!proto.ints.is_empty(), kind::INTS),
        (!proto.strings.is_empty(), kind::STRINGS),
    ];
    candidates.iter().find(|(set, _)| *set).map_or(kind::UNDEFINED, |(_, kind)| *kind)
}

/// The messages for `attributes`, in name order.
pub(crate) fn write(attributes: &Attributes) -> Vec<AttributeProto> {
    attributes.iter().map(|(name, value)| write_one(name, value)).collect()
}

fn write_one(name: &str, value: &Attribute) -> AttributeProto {
    let mut proto = AttributeProto { name: Some(name.to_owned()), ..AttributeProto::default() };
    proto.r#type = Some(match value {
        Attribute::Int(i) => {
            proto.i = Some(*i);
            kind::INT
        }
        Attribute::Float(f) => {
            proto.f = Some(*f);
            kind::FLOAT
        }
        Attribute::Text(s) => {
            proto.s = Some(s.clone().into_bytes());
            kind::STRING
        }
        Attribute::Ints(ints) => {
            proto.ints.clone_from(ints);
            kind::INTS
        }
        Attribute::Floats(floats) => {
            proto.floats.clone_from(floats);
            kind::FLOATS
        }
        Attribute::Texts(texts) => {
            proto.strings = texts.iter().map(|s| s.clone().into_bytes()).collect();
            kind::STRINGS
        }
        Attribute::Tensor(tensor) => {
            proto.t = Some(tensor::write("", tensor));
            kind::TENSOR
        }
    });
    proto
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::Tensor;

    #[test]
    fn every_kind_survives_writing_and_reading() {
        let all = Attributes::new()
            .with("int", Attribute::Int(-1))
            .with("float", Attribute::Float(0.5))
            .with("text", Attribute::Text("é".into()))
            .with("ints", Attribute::Ints(vec![]))
            .with("floats", Attribute::Floats(vec![1.0, 2.0]))
            .with("texts", Attribute::Texts(vec!["a".into()]))
            .with("tensor", Attribute::Tensor(Arc::new(Tensor::from_i64s(&[4]))));
        assert_eq!(read(write(&all)).unwrap(), all);
    }

    #[test]
    fn zeros_that_were_left_out_and_kinds_that_were_not_said_are_understood() {
        let named = |p| AttributeProto { name: Some("a".into()), ..p };
        let zero = named(AttributeProto { r#type: Some(kind::INT), ..AttributeProto::default() });
        assert_eq!(read(vec![zero.clone()]).unwrap().get("a"), Some(&Attribute::Int(0)));
        let silent = named(AttributeProto { ints: vec![3], ..AttributeProto::default() });
        assert_eq!(read(vec![silent]).unwrap().get("a"), Some(&Attribute::Ints(vec![3])));
        assert_eq!(read(vec![zero.clone(), zero]).unwrap_err(), "attribute `a` is given twice");
    }

    #[test]
    fn kinds_without_a_place_here_are_named() {
        let graph = AttributeProto {
            name: Some("body".into()),
            r#type: Some(kind::GRAPH),
            ..AttributeProto::default()
        };
        assert_eq!(read(vec![graph]).unwrap_err(), "attribute `body` is a graph, which is not supported");
    }
}
