//! What happens between a stored pixel and the number a network sees, as plain data.
//!
//! Always in this order: colour, resize, centre crop, `(value / divide - mean) / std`, layout. Each value is
//! computed in double precision and rounded to `f32` once.
//!
//! Resizing weighs every source pixel under the (scaled) filter, as Pillow and torchvision do, but is not Pillow
//! bit for bit. Measured on bytes: bilinear differs by at most one step of 255 (0.03 on average); bicubic and
//! Lanczos by 0.06 and 0.12 on average, more where overshoot at hard edges is clipped between the two passes.

use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// From stored samples to network input; [`Preprocess::default`] changes nothing.
///
/// In TOML every key is optional, unknown keys are refused, and `preset = "imagenet"` starts from a preset:
///
/// ```
/// # use lowbit_data::{Preprocess, Resize};
/// let preprocess = Preprocess::from_toml("preset = 'imagenet'\nresize = [224, 224]\ncolor = 'bgr'")?;
/// assert_eq!(preprocess.resize, Some(Resize::Exact([224, 224])));
/// assert_eq!(preprocess.divide, 255.0);
/// # Ok::<(), lowbit_data::PreprocessError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocess {
    /// Channels of the result.
    pub color: Color,
    /// Resize to this, unless already of this size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
    /// Filter of `resize`.
    pub filter: Filter,
    /// Height and width cut from the centre; a single number in TOML is a square.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "square_or_pair")]
    pub crop: Option<[usize; 2]>,
    /// Divides stored values before `mean` and `std`, in stored units: 255 maps bytes to `0..=1`.
    pub divide: f64,
    /// Subtracted, one per channel of the result in its order, or one for all, or none.
    pub mean: Vec<f64>,
    /// Divides last, one per channel of the result in its order, or one for all, or none.
    pub std: Vec<f64>,
    /// Order of axes of the result.
    pub layout: Layout,
}

/// Channels of the result. Alpha is always dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    /// As stored; all samples must have as many channels as the first.
    #[default]
    Stored,
    /// Three channels; grey is repeated.
    Rgb,
    /// Three channels, blue first; grey is repeated.
    Bgr,
    /// One channel, ITU-R 601 luma: `0.299 R + 0.587 G + 0.114 B`.
    Gray,
}

/// Target of resizing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number (length of the shorter side) or `[height, width]`")]
pub enum Resize {
    /// The shorter side gets this length, the longer one follows in proportion, rounded down.
    ShorterSide(usize),
    /// Height and width; proportions may change.
    Exact([usize; 2]),
}

/// Interpolation, widened when shrinking (antialiased), except `Nearest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// The pixel that holds the centre.
    Nearest,
    /// Triangle, the default of torchvision.
    #[default]
    Bilinear,
    /// Cubic, a = -0.5 as in Pillow.
    Bicubic,
    /// Lanczos, three lobes.
    Lanczos,
}

/// Order of axes of a batch of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[N, channels, height, width]`.
    #[default]
    Nchw,
    /// `[N, height, width, channels]`.
    Nhwc,
}

/// Why a preprocessing is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreprocessError {
    /// A key no preprocessing has.
    #[error("preprocessing has no key `{key}`{}; keys are {}", did_you_mean(.nearest), KEYS.join(", "))]
    UnknownKey {
        /// Key found.
        key: String,
        /// Known key that looks most alike, if any does.
        nearest: Option<&'static str>,
    },
    /// A preset nobody defined.
    #[error(
        "no preprocessing preset `{name}`{}; presets are {}",
        did_you_mean(.nearest),
        Preprocess::PRESETS.join(", ")
    )]
    UnknownPreset {
        /// Name found.
        name: String,
        /// Known preset that looks most alike, if any does.
        nearest: Option<&'static str>,
    },
    /// Not TOML, or a value of the wrong type.
    #[error("preprocessing: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value outside its range.
    #[error("preprocessing `{key}`: {found}, expected {expected}")]
    Value {
        /// Key of the value.
        key: &'static str,
        /// Value found.
        found: String,
        /// Values accepted.
        expected: &'static str,
    },
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// File given.
        path: std::path::PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

const KEYS: [&str; 9] = ["preset", "color", "resize", "filter", "crop", "divide", "mean", "std", "layout"];
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];
/// Sides beyond this are a mistake, and would be a bomb.
const MAX_SIDE: usize = 1 << 14;

impl Default for Preprocess {
    fn default() -> Self {
        Preprocess {
            color: Color::Stored,
            resize: None,
            filter: Filter::Bilinear,
            crop: None,
            divide: 1.0,
            mean: Vec::new(),
            std: Vec::new(),
            layout: Layout::Nchw,
        }
    }
}

impl Preprocess {
    /// Names [`Preprocess::preset`] knows.
    pub const PRESETS: [&'static str; 6] =
        ["none", "imagenet", "imagenet-no-resize", "cifar10", "mnist", "digits"];

    /// A preprocessing by name:
    ///
    /// | name | meaning |
    /// |---|---|
    /// | `none` | values as stored |
    /// | `imagenet` | RGB, shorter side 256, centre 224×224, `/255`, ImageNet mean and std |
    /// | `imagenet-no-resize` | the same for images that already have their size |
    /// | `cifar10` | RGB, 32×32, `/255`, ImageNet mean and std |
    /// | `mnist` | grey, `/255`, mean 0.1307, std 0.3081 |
    /// | `digits` | grey, `/16`: the 8×8 handwritten digits |
    pub fn preset(name: &str) -> Result<Preprocess, PreprocessError> {
        let none = Preprocess::default();
        let gray = Preprocess { color: Color::Gray, ..none.clone() };
        let imagenet = Preprocess {
            color: Color::Rgb,
            divide: 255.0,
            mean: IMAGENET_MEAN.into(),
            std: IMAGENET_STD.into(),
            ..none.clone()
        };
        Ok(match name {
            "none" => none,
            "imagenet" => {
                Preprocess { resize: Some(Resize::ShorterSide(256)), crop: Some([224, 224]), ..imagenet }
            }
            "imagenet-no-resize" => imagenet,
            "cifar10" => Preprocess { resize: Some(Resize::Exact([32, 32])), ..imagenet },
            "mnist" => Preprocess { divide: 255.0, mean: vec![0.1307], std: vec![0.3081], ..gray },
            "digits" => Preprocess { divide: 16.0, ..gray },
            _ => {
                let nearest = nearest(name, &Self::PRESETS);
                return Err(PreprocessError::UnknownPreset { name: name.into(), nearest });
            }
        })
    }

    /// The preset of this name, or else the TOML file at this path.
    pub fn load(name_or_path: &str) -> Result<Preprocess, PreprocessError> {
        match Self::preset(name_or_path) {
            Err(unknown) if !name_or_path.ends_with(".toml") && !Path::new(name_or_path).is_file() => {
                Err(unknown)
            }
            Err(_) => {
                let text = std::fs::read_to_string(name_or_path)
                    .map_err(|source| PreprocessError::Io { path: name_or_path.into(), source })?;
                Self::from_toml(&text)
            }
            found => found,
        }
    }

    /// Reads TOML; keys not given come from `preset`, or else change nothing.
    pub fn from_toml(text: &str) -> Result<Preprocess, PreprocessError> {
        let given: toml::Table = text.parse()?;
        if let Some(key) = given.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(PreprocessError::UnknownKey { key: key.clone(), nearest: nearest(key, &KEYS) });
        }
        let name = match given.get("preset") {
            None => "none",
            Some(toml::Value::String(name)) => name,
            Some(other) => return Err(refuse("preset", other, "the name of a preset")),
        };
        // Nearly always a forgotten `divide`: bytes less 0.5 are bytes.
        let small = |key| given.get(key).and_then(|v| v.as_array()).is_some_and(|of| of.iter().all(is_small));
        if name == "none" && !given.contains_key("divide") && (small("mean") || small("std")) {
            return Err(refuse(
                "divide",
                "not given, though `mean` and `std` are small",
                "255 where bytes become 0 to 1 first (1 where stored values are as small)",
            ));
        }
        let mut merged = toml::Table::try_from(Self::preset(name)?).map_err(toml::de::Error::custom)?;
        merged.extend(given.iter().filter(|(key, _)| *key != "preset").map(|(k, v)| (k.clone(), v.clone())));
        let read: Preprocess = merged.try_into()?;
        read.check()?;
        Ok(read)
    }

    /// Refuses values outside their range: sides in `1..=16384`, finite numbers, nonzero divisors.
    pub fn check(&self) -> Result<(), PreprocessError> {
        let sides = match self.resize {
            None => vec![],
            Some(Resize::ShorterSide(side)) => vec![("resize", side)],
            Some(Resize::Exact(sides)) => vec![("resize", sides[0]), ("resize", sides[1])],
        };
        let crops = self.crop.into_iter().flatten().map(|side| ("crop", side));
        if let Some((key, side)) = sides.into_iter().chain(crops).find(|(_, s)| !(1..=MAX_SIDE).contains(s)) {
            return Err(refuse(key, side, "1..=16384 pixels"));
        }
        let divisors = std::iter::once(("divide", self.divide)).chain(self.std.iter().map(|&s| ("std", s)));
        // Subnormal divisors would overflow, and nobody means them.
        if let Some((key, value)) = divisors.into_iter().find(|(_, v)| !v.is_normal()) {
            return Err(refuse(key, value, "a finite number other than 0"));
        }
        if let Some(mean) = self.mean.iter().find(|mean| !mean.is_finite()) {
            return Err(refuse("mean", mean, "finite numbers"));
        }
        Ok(())
    }

    /// Whether nothing is asked for but the order of axes.
    pub(crate) fn keeps_values(&self) -> bool {
        *self == Preprocess { layout: self.layout, ..Preprocess::default() }
    }
}

pub(crate) fn refuse(
    key: &'static str,
    found: impl std::fmt::Display,
    expected: &'static str,
) -> PreprocessError {
    PreprocessError::Value { key, found: found.to_string(), expected }
}

/// Whether a mean or deviation is of numbers about 0 to 1, not of bytes.
fn is_small(value: &toml::Value) -> bool {
    let number = value.as_float().or_else(|| value.as_integer().map(|n| n as f64));
    number.is_some_and(|n| n != 0.0 && n.abs() < 2.0)
}

fn nearest(found: &str, known: &[&'static str]) -> Option<&'static str> {
    let distance = |name: &&'static str| strsim::damerau_levenshtein(found, name);
    known.iter().copied().min_by_key(distance).filter(|name| distance(name) <= 1 + name.len() / 3)
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(", did you mean `{name}`?"))
}

fn square_or_pair<'de, D: Deserializer<'de>>(from: D) -> Result<Option<[usize; 2]>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number (side of a square) or `[height, width]`")]
    enum Side {
        Square(usize),
        Pair([usize; 2]),
    }
    let side = Option::<Side>::deserialize(from)?;
    Ok(side.map(|side| match side {
        Side::Square(side) => [side, side],
        Side::Pair(pair) => pair,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_survives_toml_and_json() {
        for name in Preprocess::PRESETS {
            let preset = Preprocess::preset(name).unwrap();
            preset.check().unwrap();
            assert_eq!(Preprocess::from_toml(&toml::to_string(&preset).unwrap()).unwrap(), preset);
            assert_eq!(
                serde_json::from_str::<Preprocess>(&serde_json::to_string(&preset).unwrap()).unwrap(),
                preset
            );
        }
    }

    #[test]
    fn a_key_given_overrides_its_preset_even_with_the_default() {
        let read = Preprocess::from_toml("preset = 'imagenet'\ndivide = 1\ncrop = 200\nmean = []").unwrap();
        assert_eq!((read.divide, read.crop), (1.0, Some([200, 200])));
        assert!(read.mean.is_empty());
        assert_eq!(read.std, IMAGENET_STD);
    }

    #[test]
    fn a_forgotten_division_is_refused() {
        let refused = Preprocess::from_toml("mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]").unwrap_err();
        assert!(refused.to_string().starts_with("preprocessing `divide`: not given"), "{refused}");
        for fine in
            ["divide = 1\nmean = [0.5]", "mean = [127.5]\nstd = [127.5]", "preset = 'mnist'\nmean = [0.5]"]
        {
            Preprocess::from_toml(fine).unwrap();
        }
    }

    #[test]
    fn refusals_name_the_key_and_the_nearest_known_one() {
        let refusal = |text| Preprocess::from_toml(text).unwrap_err().to_string();
        assert!(
            refusal("colour = 'rgb'").starts_with("preprocessing has no key `colour`, did you mean `color`?")
        );
        assert!(refusal("xyzzy = 1").starts_with("preprocessing has no key `xyzzy`; keys are preset"));
        assert!(refusal("preset = 'imgnet'").contains("`imgnet`, did you mean `imagenet`?"));
        assert!(
            refusal("resize = 'big'").contains("a number (length of the shorter side) or `[height, width]`")
        );
        assert!(refusal("color = 'rbg'").contains("expected one of `stored`, `rgb`, `bgr`, `gray`"));
        assert!(refusal("std = [0.2, 0.0, 0.2]").contains("`std`: 0, expected a finite number other than 0"));
        assert!(refusal("crop = 0").contains("`crop`: 0, expected 1..=16384"));
    }

    #[test]
    fn a_name_that_is_neither_preset_nor_file_is_refused_as_a_preset() {
        assert!(Preprocess::load("cifar").unwrap_err().to_string().contains("did you mean `cifar10`?"));
        assert!(matches!(Preprocess::load("absent.toml"), Err(PreprocessError::Io { .. })));
    }
}
