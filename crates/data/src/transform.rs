//! A [`Preprocess`] made ready for one source: tables for bytes, the shape of a sample, and the application.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::MAX_PIXELS;
use crate::decode::Pixels;
use crate::error::Fault;
use crate::preprocess::{Color, Filter, Layout, Preprocess, PreprocessError, Resize, refuse};

/// Stored pixel to network input for images of one shape after preprocessing.
pub(crate) struct Transform {
    spec: Preprocess,
    /// Channels stored, where they are kept; 0 where any are converted.
    stored: usize,
    /// Height, width, channels of the result.
    size: [usize; 3],
    scales: Vec<Scale>,
}

/// `(value / divide - mean) / std` of one channel, and its value for every byte.
pub(crate) struct Scale {
    divide: f64,
    mean: f64,
    std: f64,
    bytes: [f32; 256],
}

impl Scale {
    fn new(divide: f64, mean: f64, std: f64) -> Scale {
        let mut scale = Scale { divide, mean, std, bytes: [0.0; 256] };
        scale.bytes = std::array::from_fn(|byte| scale.apply(byte as f32));
        scale
    }

    fn apply(&self, value: f32) -> f32 {
        ((f64::from(value) / self.divide - self.mean) / self.std) as f32
    }
}

/// Numbers pixels are stored in.
pub(crate) trait Sample: bytemuck::Pod + Default {
    /// Types of one, two, three and four channels.
    const TYPES: [PixelType; 4];
    fn luma(red: Self, green: Self, blue: Self) -> Self;
    fn scaled(self, scale: &Scale) -> f32;
}

impl Sample for u8 {
    const TYPES: [PixelType; 4] = [PixelType::U8, PixelType::U8x2, PixelType::U8x3, PixelType::U8x4];
    fn luma(red: u8, green: u8, blue: u8) -> u8 {
        // Fixed point with 16 bits, rounded: the same bytes as Pillow.
        ((u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + (1 << 15)) >> 16) as u8
    }
    fn scaled(self, scale: &Scale) -> f32 {
        scale.bytes[usize::from(self)]
    }
}

impl Sample for f32 {
    const TYPES: [PixelType; 4] = [PixelType::F32, PixelType::F32x2, PixelType::F32x3, PixelType::F32x4];
    fn luma(red: f32, green: f32, blue: f32) -> f32 {
        0.299 * red + 0.587 * green + 0.114 * blue
    }
    fn scaled(self, scale: &Scale) -> f32 {
        scale.apply(self)
    }
}

impl Transform {
    /// For a source whose first sample is `[height, width, channels]`.
    ///
    /// The inner error is a fault of that sample: too small for the crop, channels that cannot be converted.
    pub(crate) fn new(
        spec: &Preprocess,
        [height, width, channels]: [usize; 3],
    ) -> Result<Result<Transform, Fault>, PreprocessError> {
        spec.check()?;
        let (stored, made) = match spec.color {
            Color::Stored => (channels, channels),
            Color::Rgb | Color::Bgr => (0, 3),
            Color::Gray => (0, 1),
        };
        let per_channel = |key: &'static str, values: &[f64], neutral: f64| match values {
            [] => Ok(vec![neutral; made]),
            &[one] => Ok(vec![one; made]),
            all if all.len() == made => Ok(all.to_vec()),
            all => {
                let found = format!("{} values for {made} channels", all.len());
                Err(refuse(key, found, "one per channel, one, or none"))
            }
        };
        let (mean, std) = (per_channel("mean", &spec.mean, 0.0)?, per_channel("std", &spec.std, 1.0)?);
        let scales = mean.iter().zip(&std).map(|(&mean, &std)| Scale::new(spec.divide, mean, std)).collect();
        let mut transform = Transform { spec: spec.clone(), stored, size: [0, 0, made], scales };
        Ok(transform.convertible(channels).and_then(|()| transform.cut([height, width])).map(
            |[height, width]| {
                transform.size = [height, width, made];
                transform
            },
        ))
    }

    /// Shape of one sample in the layout asked for.
    pub(crate) fn shape(&self) -> Vec<usize> {
        let [height, width, channels] = self.size;
        match self.spec.layout {
            Layout::Nchw => vec![channels, height, width],
            Layout::Nhwc => vec![height, width, channels],
        }
    }

    /// Writes one sample; `out` has the elements of [`Transform::shape`].
    pub(crate) fn apply<T: Sample>(
        &self,
        image: Pixels<T>,
        resizer: &mut Resizer,
        out: &mut [f32],
    ) -> Result<(), Fault> {
        self.convertible(image.channels)?;
        let image = self.resize(self.recolor(image), resizer)?;
        let [height, width, channels] = self.size;
        let found = self.cut([image.height, image.width])?;
        if found != [height, width] {
            return Err(Fault::Size { found, expected: [height, width] });
        }
        let (top, left) = (centre(image.height, height), centre(image.width, width));
        for row in 0..height {
            let start = ((top + row) * image.width + left) * channels;
            let pixels = image.data[start..start + width * channels].chunks_exact(channels);
            match self.spec.layout {
                Layout::Nhwc => {
                    let out = out[row * width * channels..][..width * channels].chunks_exact_mut(channels);
                    for (out, pixel) in out.zip(pixels) {
                        for ((out, value), scale) in out.iter_mut().zip(pixel).zip(&self.scales) {
                            *out = value.scaled(scale);
                        }
                    }
                }
                Layout::Nchw => {
                    for (channel, scale) in self.scales.iter().enumerate() {
                        let out = &mut out[(channel * height + row) * width..][..width];
                        for (out, pixel) in out.iter_mut().zip(pixels.clone()) {
                            *out = pixel[channel].scaled(scale);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn convertible(&self, channels: usize) -> Result<(), Fault> {
        let expected = match self.stored {
            0 if [1, 3].contains(&channels) => return Ok(()),
            0 => format!("1 or 3 expected to make `color = \"{:?}\"`", self.spec.color).to_lowercase(),
            stored if stored == channels => return Ok(()),
            stored => format!("{stored} like the first sample expected: set `color` to `rgb` or `gray`"),
        };
        Err(Fault::Channels { found: channels, expected })
    }

    fn recolor<T: Sample>(&self, image: Pixels<T>) -> Pixels<T> {
        let data = match (self.spec.color, image.channels) {
            (Color::Rgb | Color::Bgr, 1) => image.data.iter().flat_map(|&gray| [gray; 3]).collect(),
            (Color::Bgr, 3) => image.data.as_chunks().0.iter().flat_map(|&[r, g, b]| [b, g, r]).collect(),
            (Color::Gray, 3) => image.data.as_chunks().0.iter().map(|&[r, g, b]| T::luma(r, g, b)).collect(),
            _ => image.data,
        };
        Pixels { data, channels: self.size[2], ..image }
    }

    fn resize<T: Sample>(&self, image: Pixels<T>, resizer: &mut Resizer) -> Result<Pixels<T>, Fault> {
        let [height, width] = self.resized([image.height, image.width])?;
        if [height, width] == [image.height, image.width] {
            return Ok(image);
        }
        let expected = || "at most 4 expected to resize".to_string();
        let channels = image.channels;
        let kind = *T::TYPES
            .get(channels.wrapping_sub(1))
            .ok_or_else(|| Fault::Channels { found: channels, expected: expected() })?;
        let filter = match self.spec.filter {
            Filter::Nearest => ResizeAlg::Nearest,
            Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
            Filter::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
            Filter::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
        };
        let options = ResizeOptions::new().resize_alg(filter).use_alpha(false);
        let mut data = vec![T::default(); height * width * channels];
        let fail = |error: String| Fault::Undecodable(format!("resizing: {error}"));
        let from =
            ImageRef::new(image.width as u32, image.height as u32, bytemuck::cast_slice(&image.data), kind)
                .map_err(|error| fail(error.to_string()))?;
        let mut to =
            Image::from_slice_u8(width as u32, height as u32, bytemuck::cast_slice_mut(&mut data), kind)
                .map_err(|error| fail(error.to_string()))?;
        resizer.resize(&from, &mut to, &options).map_err(|error| fail(error.to_string()))?;
        Ok(Pixels { height, width, channels, data })
    }

    /// Height and width after resizing.
    fn resized(&self, [height, width]: [usize; 2]) -> Result<[usize; 2], Fault> {
        let target = match self.spec.resize {
            None => [height, width],
            Some(Resize::Exact(exact)) => exact,
            Some(Resize::ShorterSide(side)) if height <= width => [side, side * width / height.max(1)],
            Some(Resize::ShorterSide(side)) => [side * height / width.max(1), side],
        };
        match target[0].saturating_mul(target[1]) {
            pixels if pixels <= MAX_PIXELS => Ok(target),
            pixels => Err(Fault::TooLarge { found: pixels as u64, unit: "pixels", limit: MAX_PIXELS as u64 }),
        }
    }

    /// Height and width after resizing and cropping.
    fn cut(&self, size: [usize; 2]) -> Result<[usize; 2], Fault> {
        // Idempotent: a size that was already resized stays.
        let found = self.resized(size)?;
        match self.spec.crop {
            Some(crop) if crop[0] > found[0] || crop[1] > found[1] => Err(Fault::Crop { found, crop }),
            Some(crop) => Ok(crop),
            None => Ok(found),
        }
    }
}

/// First index of a centred cut, halves to even, as torchvision rounds.
fn centre(whole: usize, part: usize) -> usize {
    let slack = whole - part;
    slack / 2 + usize::from(slack % 4 == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply<T: Sample>(spec: &Preprocess, image: Pixels<T>) -> Result<(Vec<usize>, Vec<f32>), Fault> {
        let transform = Transform::new(spec, [image.height, image.width, image.channels]).unwrap()?;
        let mut out = vec![0.0; transform.shape().iter().product()];
        transform.apply(image, &mut Resizer::new(), &mut out)?;
        Ok((transform.shape(), out))
    }

    fn image(height: usize, width: usize, channels: usize) -> Pixels<u8> {
        Pixels { height, width, channels, data: (0..(height * width * channels) as u8).collect() }
    }

    #[test]
    fn layouts_hold_the_same_values_in_their_order() {
        let (shape, planes) = apply(&Preprocess::default(), image(1, 2, 3)).unwrap();
        assert_eq!((shape, planes), (vec![3, 1, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        let nhwc = Preprocess { layout: Layout::Nhwc, ..Preprocess::default() };
        let (shape, pixels) = apply(&nhwc, image(1, 2, 3)).unwrap();
        assert_eq!((shape, pixels), (vec![1, 2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
    }

    #[test]
    fn bytes_and_floats_are_scaled_alike() {
        let spec = Preprocess { resize: None, ..Preprocess::preset("cifar10").unwrap() };
        let bytes = image(2, 2, 3);
        let floats = Pixels {
            height: 2,
            width: 2,
            channels: 3,
            data: bytes.data.iter().map(|&byte| f32::from(byte)).collect(),
        };
        let (_, scaled) = apply(&spec, bytes).unwrap();
        assert_eq!(scaled, apply(&spec, floats).unwrap().1);
        assert_eq!(scaled[0], (-0.485f64 / 0.229) as f32);
    }

    #[test]
    fn colors_convert_and_swap() {
        let color = |color, channels| {
            apply(&Preprocess { color, ..Preprocess::default() }, image(1, 1, channels))
                .map(|(_, values)| values)
        };
        assert_eq!(color(Color::Bgr, 3).unwrap(), [2.0, 1.0, 0.0]);
        assert_eq!(color(Color::Rgb, 1).unwrap(), [0.0; 3]);
        assert_eq!(color(Color::Gray, 3).unwrap(), [1.0]);
        let refused = color(Color::Rgb, 2).unwrap_err().to_string();
        assert_eq!(refused, "2 channels, 1 or 3 expected to make `color = \"rgb\"`");
    }

    #[test]
    fn the_shorter_side_is_resized_and_the_centre_cut() {
        let spec = Preprocess {
            resize: Some(Resize::ShorterSide(4)),
            crop: Some([4, 4]),
            filter: Filter::Nearest,
            ..Preprocess::default()
        };
        let (shape, values) = apply(&spec, image(2, 4, 1)).unwrap();
        assert_eq!(shape, [1, 4, 4]);
        assert_eq!(values[..4], [1.0, 1.0, 2.0, 2.0]);
    }

    #[test]
    fn a_flat_image_stays_flat_under_every_filter() {
        for filter in [Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            let spec = Preprocess { resize: Some(Resize::Exact([5, 3])), filter, ..Preprocess::default() };
            let flat = Pixels { height: 9, width: 8, channels: 3, data: vec![77u8; 216] };
            assert!(apply(&spec, flat).unwrap().1.iter().all(|&value| value == 77.0), "{filter:?}");
            let flat = Pixels { height: 9, width: 8, channels: 1, data: vec![0.5f32; 72] };
            assert!(
                apply(&spec, flat).unwrap().1.iter().all(|&value| (value - 0.5).abs() < 1e-6),
                "{filter:?}"
            );
        }
    }

    #[test]
    fn centres_round_halves_to_even() {
        assert_eq!([0, 1, 2, 3, 4, 5].map(|slack| centre(10 + slack, 10)), [0, 0, 1, 2, 2, 2]);
    }

    #[test]
    fn a_sliver_cannot_be_blown_up() {
        let spec = Preprocess { resize: Some(Resize::ShorterSide(16384)), ..Preprocess::default() };
        assert!(matches!(Transform::new(&spec, [1, 60000, 1]).unwrap(), Err(Fault::TooLarge { .. })));
        let spec = Preprocess { crop: Some([9, 9]), ..Preprocess::default() };
        assert!(matches!(Transform::new(&spec, [8, 9, 1]).unwrap(), Err(Fault::Crop { found: [8, 9], .. })));
    }
}
