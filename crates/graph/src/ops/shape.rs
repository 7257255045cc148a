//! `Shape`: the extents of a tensor, as data.

use super::*;
use crate::shape::Inputs;
use lowbit_tensor::{DType, Tensor};

/// Extents `start..end` of the input, as int64; ends count from the end if negative and clamp to the rank.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// First axis.
    pub start: i64,
    /// One past the last axis; the rank if absent.
    pub end: Option<i64>,
}

impl Shape {
    /// What the operator gives for an input of that shape: known without its data.
    pub fn of(&self, shape: &[usize]) -> Tensor {
        let rank = shape.len() as i64;
        let clamp = |i: i64| (if i < 0 { i.saturating_add(rank) } else { i }).clamp(0, rank) as usize;
        let (start, end) = (clamp(self.start), clamp(self.end.unwrap_or(rank)));
        let extents: Vec<i64> = shape[start..end.max(start)].iter().map(|&d| d as i64).collect();
        Tensor::from_i64s(&extents)
    }
}

impl OpSpec for Shape {
    const NAME: &'static str = "Shape";

    fn read(attributes: &mut Attributes) -> Result<Shape, AttributeError> {
        Ok(Shape { start: attributes.int("start")?.unwrap_or(0), end: attributes.int("end")? })
    }

    fn write(&self) -> Attributes {
        let mut attributes = Attributes::new();
        if self.start != 0 {
            attributes.set("start", Attribute::Int(self.start));
        }
        if let Some(end) = self.end {
            attributes.set("end", Attribute::Int(end));
        }
        attributes
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let extents = self.of(&inputs.required(0, "data")?.ty.shape);
        Ok(vec![TensorType::new(DType::I64, extents.shape())])
    }

    fn since(&self) -> u64 {
        if *self == Shape::default() { 7 } else { 15 }
    }

    fn role(&self, _: usize) -> Role {
        Role::Parameter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{round_trips, shapes};

    #[test]
    fn ends_count_from_the_end_and_clamp() {
        let of = |start, end| Shape { start, end }.of(&[2, 3, 4, 5]).to_i64().unwrap();
        assert_eq!(of(0, None), [2, 3, 4, 5]);
        assert_eq!(of(-3, Some(-1)), [3, 4]);
        assert_eq!(of(-9, Some(9)), [2, 3, 4, 5]);
        assert_eq!(of(3, Some(1)), []);
        assert_eq!(of(i64::MIN, Some(i64::MAX)), [2, 3, 4, 5]);
        assert_eq!(shapes(&Shape { start: 1, end: None }, &[2, 3, 4], &[]), Ok(vec![vec![2]]));
    }

    #[test]
    fn attributes_round_trip() {
        round_trips(Shape::default());
        round_trips(Shape { start: -3, end: Some(0) });
    }
}
