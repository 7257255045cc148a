//! `Resize`: another number of cells along some axes, by nearest or linear interpolation.
//!
//! Cubic interpolation, antialiasing and cropping (`tf_crop_and_resize`) are refused.

use super::support::words::{Words, meaning, word};
use super::*;
use crate::mismatch;
use crate::shape::{Inputs, axis};

/// Y = X sampled on another grid. Inputs: `X`, `roi` (for cropping, ignored), and one of the constants `scales`
/// (float, output cells per input cell) and `sizes` (integer, output cells), one entry per axis in `axes`.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// How a sample is made of cells.
    pub interpolation: Interpolation,
    /// Where output cells lie on the input axis.
    pub coordinates: Coordinates,
    /// Axes that `scales` and `sizes` speak of, from the end if negative; all if empty.
    pub axes: Vec<i64>,
    /// What `sizes` mean for the proportions.
    pub aspect: Aspect,
}

/// How a sample is made of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// One cell.
    Nearest(Nearest),
    /// The two cells beside the coordinate on each axis, weighted by closeness.
    Linear,
}

/// Which cell is nearest to a coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nearest {
    /// The nearest, ties down.
    PreferFloor,
    /// The nearest, ties up.
    PreferCeil,
    /// The next below.
    Floor,
    /// The next above.
    Ceil,
}

/// Coordinate `x` on the input axis of output cell `i`; `scale` is output cells per input cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinates {
    /// Cell centres match: x = (i + ½) / scale − ½.
    HalfPixel,
    /// The same, moved so that samples lie symmetrically when `scale` times the input extent is no integer.
    HalfPixelSymmetric,
    /// As `HalfPixel`, but x = 0 if there is a single output cell.
    PytorchHalfPixel,
    /// First and last cell centres match: x = i · (input − 1) / (output − 1).
    AlignCorners,
    /// First cell edges match: x = i / scale.
    Asymmetric,
}

/// What `sizes` mean for the proportions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// Each axis gets the size given.
    Stretch,
    /// One scale for all axes, the largest that exceeds no size.
    NotLarger,
    /// One scale for all axes, the smallest that falls short of no size.
    NotSmaller,
}

/// What happens to one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rescale {
    /// Output cells.
    pub output: usize,
    /// Output cells per input cell, as the coordinates count; exactly 1 for an axis that is not resized.
    pub scale: f32,
}

const NEAREST: &Words<Nearest> = &[
    ("round_prefer_floor", Nearest::PreferFloor),
    ("round_prefer_ceil", Nearest::PreferCeil),
    ("floor", Nearest::Floor),
    ("ceil", Nearest::Ceil),
];
const COORDINATES: &Words<Coordinates> = &[
    ("half_pixel", Coordinates::HalfPixel),
    ("half_pixel_symmetric", Coordinates::HalfPixelSymmetric),
    ("pytorch_half_pixel", Coordinates::PytorchHalfPixel),
    ("align_corners", Coordinates::AlignCorners),
    ("asymmetric", Coordinates::Asymmetric),
];
const ASPECTS: &Words<Aspect> =
    &[("stretch", Aspect::Stretch), ("not_larger", Aspect::NotLarger), ("not_smaller", Aspect::NotSmaller)];

impl Resize {
    /// What happens to each axis of the input.
    ///
    /// # Errors
    /// When not exactly one of `scales` and `sizes` is given as a constant of the right length, a scale is not positive
    /// and finite, or the size of an axis changes from or to 0.
    pub fn resolve(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<Rescale>, ShapeError> {
        let x = &inputs.required(0, "X")?.ty.shape;
        let axes: Vec<usize> = match self.axes.as_slice() {
            [] => (0..x.len()).collect(),
            axes => axes.iter().map(|&a| axis(a, x.len())).collect::<Result<_, _>>()?,
        };
        // An empty tensor stands for an absent one, as opset 11 had to write it.
        let given = |i: usize| inputs.optional(i).filter(|input| !input.ty.is_empty());
        let rescales: Vec<Rescale> = match (given(2), given(3)) {
            (Some(scales), None) => {
                let scales = scales.value.ok_or(ShapeError::NotConstant(2, "scales"))?.to_f32();
                // Sizes in f32, as the runtimes compute them: 3 · 1.6666666 is 5, not 4.99….
                let size =
                    |(&a, &scale): (&usize, &f32)| Rescale { output: (x[a] as f32 * scale) as usize, scale };
                per_axis("scales", &axes, &scales)?.map(size).collect()
            }
            (None, Some(_)) => {
                let sizes = inputs.integers(3, "sizes")?.unwrap_or_default();
                if let Some(size) = sizes.iter().find(|&&size| size < 0) {
                    return Err(mismatch!("sizes must not be negative, found {size}"));
                }
                let sizes: Vec<usize> = sizes.into_iter().map(|s| s as usize).collect();
                let ratio =
                    |(&a, &output): (&usize, &usize)| Rescale { output, scale: output as f32 / x[a] as f32 };
                self.keep_aspect(per_axis("sizes", &axes, &sizes)?.map(ratio).collect(), &axes, x)
            }
            _ => return Err(mismatch!("exactly one of the inputs `scales` and `sizes` must be given")),
        };
        let mut all: Vec<Rescale> = x.iter().map(|&output| Rescale { output, scale: 1.0 }).collect();
        for (a, mut rescale) in axes.into_iter().zip(rescales) {
            if x[a] == 0 && rescale.output == 0 {
                rescale.scale = 1.0;
            }
            if !(rescale.scale.is_finite() && rescale.scale > 0.0) {
                return Err(mismatch!("axis {a} of {} cells cannot be scaled by {}", x[a], rescale.scale));
            }
            all[a] = rescale;
        }
        Ok(all)
    }

    /// One scale for all axes, where the proportions are to be kept.
    fn keep_aspect(&self, rescales: Vec<Rescale>, axes: &[usize], x: &[usize]) -> Vec<Rescale> {
        let scales = rescales.iter().map(|r| r.scale);
        let scale = match self.aspect {
            Aspect::Stretch => return rescales,
            Aspect::NotLarger => scales.fold(f32::INFINITY, f32::min),
            Aspect::NotSmaller => scales.fold(0.0, f32::max),
        };
        axes.iter().map(|&a| Rescale { output: (x[a] as f32 * scale).round() as usize, scale }).collect()
    }
}

/// Pairs the axes with their entries of `list`.
fn per_axis<'a, T>(
    name: &str,
    axes: &'a [usize],
    list: &'a [T],
) -> Result<impl Iterator<Item = (&'a usize, &'a T)>, ShapeError> {
    if axes.len() != list.len() {
        return Err(mismatch!("`{name}` has {} entries for {} axes", list.len(), axes.len()));
    }
    Ok(axes.iter().zip(list))
}

impl OpSpec for Resize {
    const NAME: &'static str = "Resize";

    fn read(attributes: &mut Attributes) -> Result<Resize, AttributeError> {
        // Exporters write these two whatever the mode; they mean something only for cubic and for cropping.
        attributes.float("cubic_coeff_a")?;
        attributes.float("extrapolation_value")?;
        for name in ["antialias", "exclude_outside"] {
            if attributes.flag(name, false)? {
                return Err(AttributeError::Value { name, found: "1".into(), accepted: "0" });
            }
        }
        let accepted = "round_prefer_floor, round_prefer_ceil, floor, ceil";
        let nearest =
            meaning(NEAREST, "nearest_mode", attributes.text("nearest_mode")?.as_deref(), accepted)?;
        let interpolation = match attributes.text("mode")?.as_deref() {
            None | Some("nearest") => Interpolation::Nearest(nearest),
            Some("linear") => Interpolation::Linear,
            Some(other) => {
                return Err(AttributeError::Value {
                    name: "mode",
                    found: other.into(),
                    accepted: "nearest, linear",
                });
            }
        };
        let name = "coordinate_transformation_mode";
        let (interpolation, coordinates) = match (attributes.text(name)?.as_deref(), interpolation) {
            // Of opsets 11 and 12: floor((i + ½) / scale), which is the nearest by `HalfPixel`, ties up.
            (Some("tf_half_pixel_for_nn"), Interpolation::Nearest(Nearest::Floor)) => {
                (Interpolation::Nearest(Nearest::PreferCeil), Coordinates::HalfPixel)
            }
            (found, interpolation) => {
                let accepted =
                    "half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners, asymmetric";
                (interpolation, meaning(COORDINATES, name, found, accepted)?)
            }
        };
        let name = "keep_aspect_ratio_policy";
        let aspect =
            meaning(ASPECTS, name, attributes.text(name)?.as_deref(), "stretch, not_larger, not_smaller")?;
        Ok(Resize { interpolation, coordinates, axes: attributes.ints("axes")?.unwrap_or_default(), aspect })
    }

    fn write(&self) -> Attributes {
        let mut attributes =
            Attributes::new().with("coordinate_transformation_mode", word(COORDINATES, &self.coordinates));
        match &self.interpolation {
            Interpolation::Nearest(nearest) => attributes.set("nearest_mode", word(NEAREST, nearest)),
            Interpolation::Linear => attributes.set("mode", Attribute::Text("linear".into())),
        }
        if !self.axes.is_empty() {
            attributes.set("axes", Attribute::Ints(self.axes.clone()));
        }
        if self.aspect != Aspect::Stretch {
            attributes.set("keep_aspect_ratio_policy", word(ASPECTS, &self.aspect));
        }
        attributes
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let extents = self.resolve(inputs)?.into_iter().map(|r| r.output);
        Ok(vec![TensorType::new(inputs.required(0, "X")?.ty.dtype, extents.collect::<Vec<_>>())])
    }

    fn since(&self) -> u64 {
        match self {
            op if op.coordinates == Coordinates::HalfPixelSymmetric => 19,
            op if !op.axes.is_empty() || op.aspect != Aspect::Stretch => 18,
            // `roi` and `scales` may be absent since 13.
            _ => 13,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{float, known, read};
    use super::*;
    use lowbit_tensor::Tensor;

    fn text(pairs: &[(&str, &str)]) -> Attributes {
        pairs.iter().fold(Attributes::new(), |a, (name, v)| a.with(name, Attribute::Text((*v).to_owned())))
    }

    #[test]
    fn every_word_survives_writing() {
        for mode in COORDINATES {
            for nearest in NEAREST {
                let op: Resize =
                    read(text(&[("coordinate_transformation_mode", mode.0), ("nearest_mode", nearest.0)]));
                assert_eq!((op.coordinates, op.interpolation), (mode.1, Interpolation::Nearest(nearest.1)));
            }
        }
        for aspect in ASPECTS {
            assert_eq!(read::<Resize>(text(&[("keep_aspect_ratio_policy", aspect.0)])).aspect, aspect.1);
        }
        assert_eq!(read::<Resize>(text(&[("mode", "linear")])).interpolation, Interpolation::Linear);
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        assert!(Resize::read(&mut text(&[("mode", "cubic")])).is_err());
        assert!(
            Resize::read(&mut text(&[("coordinate_transformation_mode", "tf_crop_and_resize")])).is_err()
        );
        assert!(Resize::read(&mut Attributes::new().with("antialias", Attribute::Int(1))).is_err());
    }

    #[test]
    fn scales_round_down_and_sizes_count() {
        let op: Resize = read(Attributes::new().with("axes", Attribute::Ints(vec![-1])));
        let (scales, sizes) = (Tensor::from_f32([1], vec![2.5]), Tensor::from_i64s(&[4]));
        let by_scale = op.infer(&[float(&[1, 2, 3]), None, known(&scales)]).unwrap();
        let by_size = op.infer(&[float(&[1, 2, 3]), None, None, known(&sizes)]).unwrap();
        assert_eq!((&*by_scale[0].shape, &*by_size[0].shape), (&[1, 2, 7][..], &[1, 2, 4][..]));
        assert!(op.infer(&[float(&[1, 2, 3]), None, known(&scales), known(&sizes)]).is_err());
        assert!(op.infer(&[float(&[1, 2, 3]), None, float(&[1])]).is_err(), "scales are not constant");
        assert!(op.infer(&[float(&[1, 2, 0]), None, None, known(&sizes)]).is_err(), "nothing to sample");
        let negative = Tensor::from_f32([1], vec![-1.0]);
        assert!(op.infer(&[float(&[1, 2, 3]), None, known(&negative)]).is_err());
    }

    #[test]
    fn proportions_are_kept_by_one_scale() {
        let sizes = Tensor::from_i64s(&[7, 8]);
        let shape = |policy| {
            let op: Resize = read(text(&[("keep_aspect_ratio_policy", policy)]));
            op.infer(&[float(&[4, 4]), None, None, known(&sizes)]).unwrap().remove(0).shape
        };
        assert_eq!((shape("not_larger"), shape("not_smaller")), (vec![7, 7], vec![8, 8]));
    }
}
