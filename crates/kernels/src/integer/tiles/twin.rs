//! Tiles in plain Rust: what the instructions mean.

use super::{LANES, ROWS, Tiles};

type Tile = [[u8; 4 * LANES]; ROWS];

/// Eight registers, and the shape that all of them have been given.
#[derive(Default)]
pub(crate) struct Twin {
    tiles: [Option<Box<Tile>>; 8],
    pixels: usize,
    quads: usize,
}

impl Twin {
    /// `(rows, bytes of a row)` of a tile.
    fn shape(&self, tile: usize) -> (usize, usize) {
        match tile {
            super::SUMS..super::CODES => (self.pixels, 4 * LANES),
            super::CODES..super::WEIGHTS => (self.pixels, 4 * self.quads),
            _ => (self.quads, 4 * LANES),
        }
    }

    fn tile(&mut self, tile: usize) -> &mut Tile {
        self.tiles[tile].get_or_insert_with(|| Box::new([[0; 4 * LANES]; ROWS]))
    }
}

impl Tiles for Twin {
    fn configure(&mut self, pixels: usize, quads: usize) {
        assert!((1..=ROWS).contains(&pixels) && (1..=LANES).contains(&quads), "tiles of {pixels} × {quads}");
        *self = Twin { pixels, quads, ..Twin::default() };
    }

    unsafe fn load<const TILE: usize>(&mut self, from: *const u8, stride: usize) {
        let (rows, bytes) = self.shape(TILE);
        for (row, to) in self.tile(TILE).iter_mut().enumerate() {
            *to = [0; 4 * LANES];
            if row < rows {
                // SAFETY: the caller gives readable rows.
                unsafe { from.add(row * stride).copy_to_nonoverlapping(to.as_mut_ptr(), bytes) }
            }
        }
    }

    unsafe fn store<const TILE: usize>(&mut self, to: *mut u8, stride: usize) {
        let (rows, bytes) = self.shape(TILE);
        for (row, from) in self.tile(TILE).iter().enumerate().take(rows) {
            // SAFETY: the caller gives writable rows.
            unsafe { to.add(row * stride).copy_from_nonoverlapping(from.as_ptr(), bytes) }
        }
    }

    unsafe fn dot<const SUMS: usize, const CODES: usize, const WEIGHTS: usize>(&mut self) {
        let (codes, weights) = (*self.tile(CODES), *self.tile(WEIGHTS));
        let (pixels, quads) = (self.pixels, self.quads);
        for (sums, codes) in self.tile(SUMS).iter_mut().zip(&codes).take(pixels) {
            for (lane, sum) in sums.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let mut total = i32::from_le_bytes(*sum);
                for (codes, weights) in codes.as_chunks::<4>().0.iter().zip(&weights).take(quads) {
                    for (&code, &weight) in codes.iter().zip(&weights[4 * lane..]) {
                        total = total.wrapping_add(i32::from(code) * i32::from(weight.cast_signed()));
                    }
                }
                *sum = total.to_le_bytes();
            }
        }
    }

    fn release(&mut self) {
        *self = Twin::default();
    }
}
