//! JPEG to the very bytes of libjpeg-turbo, the decoder behind Pillow, OpenCV and torchvision.
//!
//! The standard leaves to the decoder how chroma is widened and how sums are rounded. Between decoders that is up to
//! 5 of 255 in a pixel and 0.3 on average, enough to move the accuracy of a network by 0.1 %: it was trained on
//! the pixels of one of them. Hence the decoder that agrees with that one in every bit, at its defaults: exact
//! integer transform, triangle-filtered chroma, 16-bit fixed-point colours.
//!
//! A damaged image is refused where libjpeg-turbo would warn and show grey.

use libjpeg_turbo_rs::{ComponentInfo, DecodeLimits, Decoder, FrameHeader, JpegError, PixelFormat};

use super::{Pixels, limit, whole};
use crate::error::Fault;

/// Scans of a progressive image: ten are usual, and each may cost a pass over all pixels for a handful of bytes.
const MAX_SCANS: usize = 100;

/// Decodes gray to 1 channel; RGB, YCbCr, CMYK and YCCK to 3.
///
/// Exact but for YCCK with halved chroma, whose chroma is repeated instead of filtered.
pub(super) fn decode(bytes: &[u8]) -> Result<Pixels<u8>, Fault> {
    let limits = DecodeLimits { max_scans: MAX_SCANS, ..DecodeLimits::default() };
    let mut decoder = Decoder::new_with_limits(bytes, limits).map_err(broken)?;
    let (width, height) = (usize::from(decoder.header().width), usize::from(decoder.header().height));
    limit(width, height)?;
    let (format, channels) = format(decoder.header())?;
    if last(bytes, END_OF_IMAGE) < last(bytes, START_OF_SCAN) {
        // The decoder notices a scan that is cut, not that later scans are missing.
        return Err(refuse("ends before its end-of-image marker"));
    }
    decoder.set_output_format(format);
    let data = decoder.decode_image().map_err(broken)?.data;
    whole(Pixels { height, width, channels, data })
}

/// What to ask of the decoder, and its bytes per pixel.
fn format(frame: &FrameHeader) -> Result<(PixelFormat, usize), Fault> {
    if frame.precision != 8 {
        return Err(refuse(format!("samples of {} bits, 8 expected", frame.precision)));
    }
    match frame.components.as_slice() {
        [_] => Ok((PixelFormat::Grayscale, 1)),
        [_, _, _] => Ok((PixelFormat::Rgb, 3)),
        // With any other sampling the decoder panics or mixes rows up.
        [y, cb, cr, k] if sampling(y) == sampling(k) && sampling(cb) == sampling(cr) => {
            match (sampling(y), sampling(cb)) {
                (ink, chroma) if chroma == ink || chroma == (1, 1) => Ok((PixelFormat::Rgb, 3)),
                (ink, chroma) => Err(refuse(format!("chroma sampled {chroma:?} beside ink sampled {ink:?}"))),
            }
        }
        [_, _, _, _] => Err(refuse("four components of unrelated sampling")),
        other => Err(refuse(format!("{} components, 1, 3 or 4 expected", other.len()))),
    }
}

/// Samples per block of the image's coarsest grid: across, down.
fn sampling(component: &ComponentInfo) -> (u8, u8) {
    (component.horizontal_sampling, component.vertical_sampling)
}

const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// Where a marker occurs last: embedded thumbnails have markers of their own, further up.
fn last(bytes: &[u8], marker: u8) -> Option<usize> {
    bytes.windows(2).rposition(|pair| pair == [0xff, marker])
}

fn broken(error: JpegError) -> Fault {
    refuse(error.to_string())
}

fn refuse(problem: impl Into<String>) -> Fault {
    Fault::Undecodable(format!("JPEG: {}", problem.into()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::MAX_PIXELS;

    /// The JPEG files of `tests/golden/jpeg` by name; beside each lies a PNG of the pixels Pillow decodes.
    fn goldens() -> Vec<(PathBuf, Vec<u8>)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/jpeg");
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "jpg"));
        paths.sort();
        assert!(paths.len() > 10, "{} goldens", paths.len());
        paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    fn golden(name: &str) -> Vec<u8> {
        goldens().into_iter().find(|(path, _)| path.file_stem().unwrap() == name).unwrap().1
    }

    /// Where the frame header's marker begins.
    fn frame_at(bytes: &[u8]) -> usize {
        bytes.windows(2).position(|pair| matches!(pair, [0xff, 0xc0 | 0xc2])).unwrap()
    }

    #[test]
    fn pixels_are_those_of_pillow_bit_for_bit() {
        for (path, bytes) in goldens() {
            let pillow = crate::decode::decode(&fs::read(path.with_extension("png")).unwrap()).unwrap();
            assert!(decode(&bytes).unwrap() == pillow, "{}", path.display());
        }
    }

    #[test]
    fn an_image_cut_anywhere_is_refused() {
        for (path, bytes) in goldens() {
            for end in 2..bytes.len() - 1 {
                let cut = decode(&bytes[..end]);
                assert!(matches!(cut, Err(Fault::Undecodable(_))), "{} cut at {end}", path.display());
            }
        }
    }

    #[test]
    fn stray_bytes_that_every_viewer_skips_change_nothing() {
        let clean = golden("ycc-420-odd");
        let pixels = decode(&clean);
        let mut trailing = clean.clone();
        trailing.extend([0, 1, 2]);
        assert_eq!(decode(&trailing), pixels);
        let mut before_end = clean.clone();
        before_end.splice(clean.len() - 2..clean.len() - 2, [7, 0, 9]);
        assert_eq!(decode(&before_end), pixels);
        let mut before_frame = clean.clone();
        before_frame.splice(frame_at(&clean)..frame_at(&clean), [7, 0, 9]);
        assert_eq!(decode(&before_frame), pixels);
    }

    #[test]
    fn a_bomb_is_refused_by_its_header() {
        for name in ["ycc-420-odd", "ycc-420-progressive"] {
            let mut bomb = golden(name);
            let at = frame_at(&bomb) + 5;
            bomb[at..at + 4].copy_from_slice(&[0xff, 0xd0, 0xff, 0xd0]);
            let (found, limit) = (0xffd0 * 0xffd0, MAX_PIXELS as u64);
            assert_eq!(decode(&bomb), Err(Fault::TooLarge { found, unit: "pixels", limit }));
            bomb[at..at + 4].copy_from_slice(&[0, 0, 0, 8]);
            assert!(matches!(decode(&bomb), Err(Fault::Undecodable(_))));
        }
    }

    #[test]
    fn frames_that_no_pixel_format_fits_are_refused() {
        let refused = |at: usize, value: u8| {
            let mut bytes = golden("cmyk-odd");
            let frame = frame_at(&bytes);
            bytes[frame + at] = value;
            decode(&bytes).unwrap_err().to_string()
        };
        assert_eq!(refused(4, 12), "cannot be decoded: JPEG: samples of 12 bits, 8 expected");
        let unrelated = "cannot be decoded: JPEG: four components of unrelated sampling";
        for component in 0..4 {
            assert_eq!(refused(11 + 3 * component, 0x31), unrelated);
        }
    }

    #[test]
    fn damage_is_refused_or_decoded_but_never_a_panic() {
        let mut state = 7u64;
        let mut draw = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        for (_, bytes) in goldens() {
            for _ in 0..300 {
                let mut damaged = bytes.clone();
                for _ in 0..=draw(3) {
                    let at = 2 + draw(damaged.len() - 2);
                    damaged[at] = draw(256) as u8;
                }
                let _ = decode(&damaged);
            }
        }
    }
}
