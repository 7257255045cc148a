//! `Constant`: a node that is a value. It becomes one, in all its forms.

use super::UpgradeError;
use lowbit_graph::Attributes;
use lowbit_tensor::{Data, Tensor};
use std::sync::Arc;

/// The value that the attributes of a `Constant` node hold.
pub(crate) fn value(mut attributes: Attributes) -> Result<Arc<Tensor>, UpgradeError> {
    let mut found = Vec::new();
    found.extend(attributes.tensor("value")?);
    found.extend(attributes.float("value_float")?.map(|v| Arc::new(Tensor::scalar(v))));
    found.extend(attributes.floats("value_floats")?.map(|v| Arc::new(Tensor::from_f32([v.len()], v))));
    if let Some(v) = attributes.int("value_int")? {
        let scalar = Tensor::new(Vec::new(), Data::I64(vec![v])).map_err(|e| e.to_string())?;
        found.push(Arc::new(scalar));
    }
    found.extend(attributes.ints("value_ints")?.map(|v| Arc::new(Tensor::from_i64s(&v))));
    for name in ["value_string", "value_strings"] {
        if attributes.take(name).is_some() {
            return Err(format!("attribute `{name}`: constants of strings are not supported").into());
        }
    }
    attributes.finish()?;
    match (found.pop(), found.is_empty()) {
        (Some(value), true) => Ok(value),
        (None, _) => Err("none of the attributes that may hold the value is there".to_owned().into()),
        (Some(_), false) => Err("several attributes hold a value".to_owned().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_graph::Attribute;

    fn of(name: &str, attribute: Attribute) -> Result<Arc<Tensor>, String> {
        value(Attributes::new().with(name, attribute)).map_err(|e| match e {
            UpgradeError::Attribute(e) => e.to_string(),
            UpgradeError::Other(e) => e,
        })
    }

    #[test]
    fn every_numeric_form_is_a_value() {
        let scalar = of("value_int", Attribute::Int(3)).unwrap();
        assert_eq!((scalar.shape(), scalar.data()), (&[][..], &Data::I64(vec![3])));
        assert_eq!(
            of("value_floats", Attribute::Floats(vec![1.0, 2.0])).unwrap().as_f32(),
            Some(&[1.0, 2.0][..])
        );
        assert_eq!(of("value_ints", Attribute::Ints(vec![])).unwrap().shape(), [0]);
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(of("value_string", Attribute::Text("a".into())).unwrap_err().contains("strings"));
        assert!(of("typo", Attribute::Int(1)).unwrap_err().contains("unknown attribute"));
        assert!(value(Attributes::new()).is_err());
        let both =
            Attributes::new().with("value_int", Attribute::Int(1)).with("value_float", Attribute::Float(1.0));
        assert!(value(both).is_err());
    }
}
