//! The tile registers of AMX: eight matrices of up to 16 rows of 64 bytes, and one instruction that multiplies them.
//!
//! Few machines have them, so what runs on tiles is generic over [`Tiles`] and its [`Twin`] in plain Rust is an
//! implementation too: packing and loops are tested on any machine, and the hardware is a few lines of assembly, which
//! check themselves against the twin before they are offered ([`Units::hardware`]).

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
mod amx;
mod twin;

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
pub(crate) use amx::Amx;
pub(crate) use twin::Twin;

/// Most rows of a tile.
pub(crate) const ROWS: usize = 16;
/// i32 values, or fours of codes or weights, in the longest row of a tile.
pub(crate) const LANES: usize = 16;

/// Which tile a register is: 2 × 2 sums, the codes of two blocks of pixels, the weights of two vectors of channels.
pub(crate) const SUMS: usize = 0;
pub(crate) const CODES: usize = 4;
pub(crate) const WEIGHTS: usize = 6;

/// Whose tiles to use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Units {
    /// Plain Rust's: for tests.
    #[allow(dead_code, reason = "tests")]
    Twin,
    /// The CPU's.
    #[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
    Amx(Amx),
}

impl Units {
    /// Those of this CPU, if it has any and its kernel gives us leave: asked and tried once.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "no other processor is asked"))]
    pub(crate) fn hardware() -> Option<Units> {
        #[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
        {
            static WORKING: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
            let working = WORKING.get_or_init(|| {
                // SAFETY: made only where the CPU has tiles and the kernel has allowed them.
                amx::allowed() && probe(unsafe { Amx::new() }) == probe(Twin::default())
            });
            // SAFETY: as above.
            return working.then(|| Units::Amx(unsafe { Amx::new() }));
        }
        #[allow(unreachable_code, reason = "the only answer elsewhere")]
        None
    }
}

/// Eight tile registers: four of sums `[pixel][lane]` (i32), two of codes `[pixel][4·quads]` (u8), and two of weights
/// `[quad][lane][4]` (i8).
pub(crate) trait Tiles {
    /// Shapes all tiles for `pixels` pixels and sums of `quads` fours, and zeroes them.
    fn configure(&mut self, pixels: usize, quads: usize);

    /// Loads rows that lie `stride` bytes apart.
    ///
    /// # Safety
    /// The tiles are configured, and every row of the tile is readable.
    unsafe fn load<const TILE: usize>(&mut self, from: *const u8, stride: usize);

    /// Stores rows `stride` bytes apart.
    ///
    /// # Safety
    /// The tiles are configured, and every row of the tile is writable.
    unsafe fn store<const TILE: usize>(&mut self, to: *mut u8, stride: usize);

    /// Adds the products of codes and weights to sums.
    ///
    /// # Safety
    /// The tiles are configured.
    unsafe fn dot<const SUMS: usize, const CODES: usize, const WEIGHTS: usize>(&mut self);

    /// Gives the registers back.
    fn release(&mut self);
}

/// A product of everything there is: all registers, short and full rows, rows that overlap, both signs, sums that wrap.
fn probe<T: Tiles>(mut tiles: T) -> Vec<i32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let codes: Vec<u8> = (0..2 * ROWS * 64).map(|_| next()).collect();
    let weights: Vec<u8> = (0..2 * LANES * 64).map(|_| next()).collect();
    let offsets = [i32::MAX - 5; LANES];
    let mut all = Vec::new();
    for (pixels, quads) in [(16, 16), (7, 12), (1, 1), (16, 3), (13, 16)] {
        let mut sums = vec![0i32; 4 * ROWS * LANES];
        tiles.configure(pixels, quads);
        // SAFETY: the tiles are configured; codes hold 16 rows of 64 bytes 48 apart from either start, weights 16
        // rows of 64 bytes from either, the offsets one row, and the sums four tiles.
        unsafe {
            tiles.load::<SUMS>(offsets.as_ptr().cast(), 0);
            tiles.load::<CODES>(codes.as_ptr(), 48);
            tiles.load::<{ CODES + 1 }>(codes.as_ptr().add(ROWS * 64), 48);
            tiles.load::<WEIGHTS>(weights.as_ptr(), 64);
            tiles.load::<{ WEIGHTS + 1 }>(weights.as_ptr().add(LANES * 64), 64);
            for _ in 0..3 {
                tiles.dot::<SUMS, CODES, WEIGHTS>();
                tiles.dot::<{ SUMS + 1 }, CODES, { WEIGHTS + 1 }>();
                tiles.dot::<{ SUMS + 2 }, { CODES + 1 }, WEIGHTS>();
                tiles.dot::<{ SUMS + 3 }, { CODES + 1 }, { WEIGHTS + 1 }>();
            }
            let to = sums.as_mut_ptr().cast::<u8>();
            tiles.store::<SUMS>(to, 4 * LANES);
            tiles.store::<{ SUMS + 1 }>(to.add(4 * ROWS * LANES), 4 * LANES);
            tiles.store::<{ SUMS + 2 }>(to.add(8 * ROWS * LANES), 4 * LANES);
            tiles.store::<{ SUMS + 3 }>(to.add(12 * ROWS * LANES), 4 * LANES);
        }
        tiles.release();
        all.append(&mut sums);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_of_tiles_is_the_sum_over_quads_and_wraps() {
        let sums = probe(Twin::default());
        // One pixel, one quad: the third shape. Codes and weights as `probe` draws them.
        let third = &sums[2 * 4 * ROWS * LANES..][..4 * ROWS * LANES];
        let mut state = 1u32;
        let bytes: Vec<u8> = (0..4 * ROWS * 64)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let (codes, weights) = bytes.split_at(2 * ROWS * 64);
        for lane in 0..LANES {
            let product = |i: usize| 3 * i32::from(codes[i]) * i32::from(weights[4 * lane + i] as i8);
            let want = (0..4).fold(i32::MAX - 5, |sum, i| sum.wrapping_add(product(i)));
            assert_eq!(third[lane], want, "lane {lane}");
        }
        assert_eq!(third[LANES..ROWS * LANES], [0; (ROWS - 1) * LANES], "rows that are not there");
    }
}
