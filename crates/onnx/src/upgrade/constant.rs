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
