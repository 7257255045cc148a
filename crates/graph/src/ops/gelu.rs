//! `Gelu`: x weighted by the normal distribution function.

use super::*;

/// x·Φ(x), elementwise; Φ is the distribution function of the standard normal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gelu {
    /// Whether Φ is approximated as (1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2.
    pub tanh: bool,
}

impl OpSpec for Gelu {
    const NAME: &'static str = "Gelu";

    fn read(attributes: &mut Attributes) -> Result<Gelu, AttributeError> {
        match attributes.text("approximate")?.as_deref() {
            None | Some("none") => Ok(Gelu { tanh: false }),
            Some("tanh") => Ok(Gelu { tanh: true }),
            Some(other) => Err(AttributeError::Value {
                name: "approximate",
                found: other.into(),
                accepted: "none, tanh",
            }),
        }
    }

    fn write(&self) -> Attributes {
        let approximate = if self.tanh { "tanh" } else { "none" };
        Attributes::new().with("approximate", Attribute::Text(approximate.into()))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        support::like_x(inputs)
    }

    fn since(&self) -> u64 {
        20
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{infer, read};
    use super::*;

    #[test]
    fn both_forms_are_read_and_no_other() {
        let with = |text: &str| Attributes::new().with("approximate", Attribute::Text(text.into()));
        assert!(read::<Gelu>(with("tanh")).tanh && !read::<Gelu>(with("none")).tanh);
        assert!(Gelu::read(&mut with("sigmoid")).is_err());
        assert_eq!(infer(&Gelu::default(), &[&[2, 3]]), Ok(vec![2, 3]));
    }
}
