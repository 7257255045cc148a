//! Between channels first (ONNX) and channels last (these kernels).

/// `[n, c, h·w]` to `[n, h·w, c]`.
///
/// # Panics
/// The lengths are not equal multiples of `channels · pixels`.
pub fn nchw_to_nhwc(channels: usize, pixels: usize, nchw: &[f32], nhwc: &mut [f32]) {
    transpose_each(channels, pixels, nchw, nhwc);
}

/// `[n, h·w, c]` to `[n, c, h·w]`.
///
/// # Panics
/// The lengths are not equal multiples of `channels · pixels`.
pub fn nhwc_to_nchw(channels: usize, pixels: usize, nhwc: &[f32], nchw: &mut [f32]) {
    transpose_each(pixels, channels, nhwc, nchw);
}

fn transpose_each(rows: usize, columns: usize, from: &[f32], to: &mut [f32]) {
    let size = rows * columns;
    assert_eq!(from.len(), to.len(), "lengths of input and output");
    assert!(size > 0 && from.len().is_multiple_of(size), "{} values in images of {size}", from.len());
    for (from, to) in from.chunks_exact(size).zip(to.chunks_exact_mut(size)) {
        transpose(rows, columns, from, to);
    }
}

/// Transposes `from: [rows, columns]`, in squares that stay in the first-level cache.
///
/// # Panics
/// A slice does not hold `rows · columns` values.
pub fn transpose(rows: usize, columns: usize, from: &[f32], to: &mut [f32]) {
    const SQUARE: usize = 16;
    assert_eq!([from.len(), to.len()], [rows * columns; 2], "a matrix of {rows} × {columns}");
    for row in (0..rows).step_by(SQUARE) {
        for column in (0..columns).step_by(SQUARE) {
            for c in column..(column + SQUARE).min(columns) {
                let height = SQUARE.min(rows - row);
                for (r, to) in to[c * rows + row..][..height].iter_mut().enumerate() {
                    *to = from[(row + r) * columns + c];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_keeps_its_channels() {
        let (channels, pixels) = (3, 37);
        let nchw: Vec<f32> = (0..2 * channels * pixels).map(|i| i as f32).collect();
        let mut nhwc = vec![0.0; nchw.len()];
        nchw_to_nhwc(channels, pixels, &nchw, &mut nhwc);
        for (i, &x) in nchw.iter().enumerate() {
            let (n, c, p) = (i / pixels / channels, i / pixels % channels, i % pixels);
            assert_eq!(nhwc[(n * pixels + p) * channels + c], x);
        }
        let mut back = vec![0.0; nchw.len()];
        nhwc_to_nchw(channels, pixels, &nhwc, &mut back);
        assert_eq!(back, nchw);
    }
}
