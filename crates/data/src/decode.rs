//! One encoded image to bytes, with the size checked before the pixels are asked for.

mod jpeg;

use std::io::Cursor;

use crate::MAX_PIXELS;
use crate::error::Fault;

/// An image, `[height, width, channels]` row-major.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pixels<T> {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    pub(crate) data: Vec<T>,
}

/// Decodes a JPEG or PNG, told apart by their first bytes, to 1 or 3 channels.
pub(crate) fn decode(bytes: &[u8]) -> Result<Pixels<u8>, Fault> {
    match bytes {
        [0xff, 0xd8, ..] => jpeg::decode(bytes),
        [0x89, b'P', b'N', b'G', ..] => png(bytes),
        [] => Err(Fault::Undecodable("the file is empty".into())),
        _ => {
            let head = &bytes[..bytes.len().min(4)];
            Err(Fault::Undecodable(format!("begins with {head:02x?}, neither JPEG nor PNG")))
        }
    }
}

fn png(bytes: &[u8]) -> Result<Pixels<u8>, Fault> {
    let refuse = |error: png::DecodingError| Fault::Undecodable(format!("PNG: {error}"));
    // Room for the widest pixel; what else a PNG carries (profiles, text) must fit beside the image.
    let limits = png::Limits { bytes: 8 * MAX_PIXELS };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(refuse)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    limit(width, height)?;
    let stored = reader.output_color_type().0.samples();
    let mut data = vec![0; width * height * stored];
    reader.next_frame(&mut data).map_err(refuse)?;
    let channels = if stored < 3 { 1 } else { 3 };
    if channels < stored {
        data = data.chunks_exact(stored).flat_map(|pixel| &pixel[..channels]).copied().collect();
    }
    whole(Pixels { height, width, channels, data })
}

fn limit(width: usize, height: usize) -> Result<(), Fault> {
    match width.saturating_mul(height) {
        0 => Err(Fault::Undecodable("it has no pixels".into())),
        pixels if pixels <= MAX_PIXELS => Ok(()),
        pixels => Err(Fault::TooLarge { found: pixels as u64, unit: "pixels", limit: MAX_PIXELS as u64 }),
    }
}

fn whole(pixels: Pixels<u8>) -> Result<Pixels<u8>, Fault> {
    let expected = pixels.height * pixels.width * pixels.channels;
    if pixels.data.len() == expected {
        return Ok(pixels);
    }
    Err(Fault::Undecodable(format!("{} bytes of pixels, {expected} expected", pixels.data.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode_png(
        color: png::ColorType,
        depth: png::BitDepth,
        [width, height]: [u32; 2],
        data: &[u8],
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    #[test]
    fn alpha_is_dropped_and_deep_samples_are_cut_to_a_byte() {
        let rgba = encode_png(png::ColorType::Rgba, png::BitDepth::Eight, [1, 1], &[1, 2, 3, 128]);
        assert_eq!(decode(&rgba).unwrap().data, [1, 2, 3]);
        let deep =
            encode_png(png::ColorType::GrayscaleAlpha, png::BitDepth::Sixteen, [1, 1], &[200, 255, 0, 0]);
        assert_eq!(decode(&deep).unwrap(), Pixels { height: 1, width: 1, channels: 1, data: vec![200] });
    }

    #[test]
    fn a_bomb_is_refused_by_its_header() {
        let mut bomb = encode_png(png::ColorType::Grayscale, png::BitDepth::Eight, [1, 1], &[0]);
        bomb[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
        let crc = crc32(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&crc.to_be_bytes());
        let limit = MAX_PIXELS as u64;
        assert_eq!(decode(&bomb), Err(Fault::TooLarge { found: 65535 * 65535, unit: "pixels", limit }));
    }

    #[test]
    fn cut_and_foreign_bytes_are_refused() {
        let whole = encode_png(png::ColorType::Rgb, png::BitDepth::Eight, [4, 4], &[9; 48]);
        for end in 0..whole.len() - 12 {
            assert!(matches!(decode(&whole[..end]), Err(Fault::Undecodable(_))), "cut at {end}");
        }
        let gif = decode(b"GIF89a").unwrap_err().to_string();
        assert_eq!(gif, "cannot be decoded: begins with [47, 49, 46, 38], neither JPEG nor PNG");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }
}
