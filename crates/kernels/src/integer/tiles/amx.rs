//! AMX-INT8 in assembly, its intrinsics being unstable, and whether we may use it.

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, _xgetbv};

use super::{CODES, LANES, Tiles, WEIGHTS};

/// Proof that this CPU has AMX-INT8 and the kernel lets us use it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amx(());

impl Amx {
    /// # Safety
    /// [`allowed`] said so.
    pub(crate) unsafe fn new() -> Amx {
        Amx(())
    }
}

/// Whether the CPU has AMX-INT8, the kernel saves its registers, and gives us leave: since tiles are 8 KiB of state per
/// thread, Linux wants to be asked, once for the process.
pub(super) fn allowed() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const AMX_TILE: u32 = 1 << 24;
    const AMX_INT8: u32 = 1 << 25;
    const TILE_STATE: u64 = 1 << 17 | 1 << 18;
    let has = |register: u32, bits: u32| register & bits == bits;
    if __cpuid_count(0, 0).eax < 7
        || !has(__cpuid_count(1, 0).ecx, OSXSAVE)
        || !has(__cpuid_count(7, 0).edx, AMX_TILE | AMX_INT8)
    {
        return false;
    }
    // SAFETY: OSXSAVE says that the instruction is there.
    let enabled = unsafe { enabled_state() };
    enabled & TILE_STATE == TILE_STATE && request_tiles()
}

#[target_feature(enable = "xsave")]
fn enabled_state() -> u64 {
    // SAFETY: register 0 always exists.
    unsafe { _xgetbv(0) }
}

/// `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA)`.
fn request_tiles() -> bool {
    const ARCH_PRCTL: isize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XTILE_DATA: usize = 18;
    let mut result = ARCH_PRCTL;
    // SAFETY: the system call takes two numbers, touches no memory of ours, and spoils the two registers named.
    unsafe {
        asm!(
            "syscall",
            inout("rax") result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XTILE_DATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

// The compiler uses no tile registers of its own, so that they keep their contents between the statements below.
impl Tiles for Amx {
    #[inline(always)]
    fn configure(&mut self, pixels: usize, quads: usize) {
        assert!((1..=super::ROWS).contains(&pixels) && (1..=LANES).contains(&quads), "{pixels} × {quads}");
        let mut config =
            Config { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        for tile in 0..8 {
            let is_codes = (CODES..WEIGHTS).contains(&tile);
            config.row_bytes[tile] = 4 * if is_codes { quads } else { LANES } as u16;
            config.rows[tile] = if tile < WEIGHTS { pixels } else { quads } as u8;
        }
        // SAFETY: `self` exists only where tiles may be used; the configuration is a valid one of palette 1.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const config, options(readonly, nostack, preserves_flags));
        }
    }

    #[inline(always)]
    unsafe fn load<const TILE: usize>(&mut self, from: *const u8, stride: usize) {
        // SAFETY: the tiles are configured, and the caller gives readable rows.
        unsafe {
            asm!(
                "tileloadd tmm{tile}, [{from} + {stride}]",
                tile = const TILE,
                from = in(reg) from,
                stride = in(reg) stride,
                options(readonly, nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    unsafe fn store<const TILE: usize>(&mut self, to: *mut u8, stride: usize) {
        // SAFETY: the tiles are configured, and the caller gives writable rows.
        unsafe {
            asm!(
                "tilestored [{to} + {stride}], tmm{tile}",
                tile = const TILE,
                to = in(reg) to,
                stride = in(reg) stride,
                options(nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    unsafe fn dot<const SUMS: usize, const CODES: usize, const WEIGHTS: usize>(&mut self) {
        // SAFETY: the tiles are configured, with shapes that match.
        unsafe {
            asm!(
                "tdpbusd tmm{sums}, tmm{codes}, tmm{weights}",
                sums = const SUMS,
                codes = const CODES,
                weights = const WEIGHTS,
                options(nomem, nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    fn release(&mut self) {
        // SAFETY: `self` exists only where tiles may be used.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) }
    }
}
