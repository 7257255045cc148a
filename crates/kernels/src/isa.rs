//! Which instruction set the kernels use: one visible list, chosen once, passed as a value.
//!
//! An [`Isa`] is a proof: values exist only for instruction sets this CPU has, so every kernel that takes
//! one is safe to call. Nothing here is global except the cached answer of [`Isa::from_env`].

use std::fmt;
use std::sync::OnceLock;

use crate::integer::bytes::{self, ByteKernel, ByteSimd};
use crate::integer::tiles::Units;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Generic, Kernel, Simd};

/// Name of the environment variable that forces one instruction set.
pub const ISA_VARIABLE: &str = "LOWBIT_ISA";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// AVX-512 VNNI, and dense products on tiles.
    #[cfg(target_arch = "x86_64")]
    Amx,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Dot products of codes and weights as they are.
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    NeonI8mm,
    /// Dot products of signed bytes.
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    NeonDot,
    Generic,
}

/// Every instruction set this build knows, fastest first; the last is always supported.
const ALL: &[Kind] = &[
    #[cfg(target_arch = "x86_64")]
    Kind::Amx,
    #[cfg(target_arch = "x86_64")]
    Kind::Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Kind::Avx512,
    #[cfg(target_arch = "x86_64")]
    Kind::AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Kind::Avx2,
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    Kind::NeonI8mm,
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    Kind::NeonDot,
    Kind::Generic,
];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Kind::Amx => "amx",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::AvxVnni => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(all(target_arch = "aarch64", not(miri)))]
            Kind::NeonI8mm => "neon-i8mm",
            #[cfg(all(target_arch = "aarch64", not(miri)))]
            Kind::NeonDot => "neon-dotprod",
            Kind::Generic => "generic",
        }
    }

    fn supported(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Kind::Amx => Kind::Avx512Vnni.supported() && Units::hardware().is_some(),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni => {
                Kind::Avx512.supported()
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => Kind::Avx2.supported() && is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "x86_64")]
            Kind::AvxVnni => Kind::Avx2.supported() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(all(target_arch = "aarch64", not(miri)))]
            Kind::NeonI8mm => std::arch::is_aarch64_feature_detected!("i8mm"),
            #[cfg(all(target_arch = "aarch64", not(miri)))]
            Kind::NeonDot => std::arch::is_aarch64_feature_detected!("dotprod"),
            Kind::Generic => true,
        }
    }
}

/// An instruction set that this CPU supports.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Isa(Kind);

/// `LOWBIT_ISA` asks for something this CPU or this build does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{ISA_VARIABLE} is `{found}`; this CPU accepts {accepted}")]
pub struct IsaError {
    /// What was asked for.
    pub found: String,
    /// The names accepted here, fastest first, comma-separated.
    pub accepted: String,
}

impl Isa {
    /// The instruction sets of this CPU, fastest first. Never empty: `generic` is the last.
    pub fn supported() -> impl Iterator<Item = Isa> {
        ALL.iter().copied().filter(|kind| kind.supported()).map(Isa)
    }

    /// The fastest instruction set of this CPU.
    pub fn best() -> Isa {
        Isa::supported().next().unwrap_or(Isa(Kind::Generic))
    }

    /// The instruction set called `name`: `amx`, `avx512-vnni`, `avx512`, `avx-vnni`, `avx2`; `neon-i8mm`,
    /// `neon-dotprod`; `generic`.
    ///
    /// # Errors
    /// The name is unknown, or this CPU lacks it.
    pub fn named(name: &str) -> Result<Isa, IsaError> {
        Isa::supported().find(|isa| isa.name() == name).ok_or_else(|| IsaError {
            found: name.to_owned(),
            accepted: Isa::supported().map(Isa::name).collect::<Vec<_>>().join(", "),
        })
    }

    /// What `LOWBIT_ISA` names, or the fastest if it is unset or empty. Read once per process.
    ///
    /// # Errors
    /// The variable holds a name that [`Isa::named`] refuses.
    pub fn from_env() -> Result<Isa, IsaError> {
        static CHOSEN: OnceLock<Result<Isa, IsaError>> = OnceLock::new();
        CHOSEN
            .get_or_init(|| match std::env::var_os(ISA_VARIABLE) {
                Some(name) if !name.is_empty() => Isa::named(&name.to_string_lossy()),
                _ => Ok(Isa::best()),
            })
            .clone()
    }

    /// The name that [`Isa::named`] accepts.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Runs `kernel` compiled for this instruction set; where it names integer instructions, for the float ones that
    /// it implies.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Isa` exists only if `supported` found avx512f on this CPU.
            Kind::Amx | Kind::Avx512Vnni | Kind::Avx512 => unsafe { Avx512::new() }.call(kernel),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Isa` exists only if `supported` found avx2 and fma on this CPU.
            Kind::AvxVnni | Kind::Avx2 => unsafe { Avx2::new() }.call(kernel),
            // Plain arrays become NEON by themselves there: it is part of the architecture.
            #[cfg(all(target_arch = "aarch64", not(miri)))]
            Kind::NeonI8mm | Kind::NeonDot => Generic.call(kernel),
            Kind::Generic => Generic.call(kernel),
        }
    }

    /// Whether kernels may use AVX2 with FMA.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_avx2(self) -> bool {
        !matches!(self.0, Kind::Generic)
    }

    /// Whether kernels may use AVX-512 VBMI too, a look-up of 128 bytes: next to VNNI, where the CPU has it.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_vbmi(self) -> bool {
        matches!(self.0, Kind::Amx | Kind::Avx512Vnni) && is_x86_feature_detected!("avx512vbmi")
    }

    /// Its tile registers, if it has any.
    pub(crate) fn tiles(self) -> Option<Units> {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Amx => Units::hardware(),
            _ => None,
        }
    }

    /// Runs `kernel`, which takes vectors of bytes, compiled for this instruction set.
    pub(crate) fn run_bytes<K: ByteKernel>(self, kernel: K) -> K::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Isa` exists only if `supported` found the four features of AVX-512 VNNI on this CPU.
            Kind::Amx | Kind::Avx512Vnni => unsafe { bytes::Avx512Vnni::<64>::new() }.call(kernel),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Isa` exists only if `supported` found avx2 and avxvnni on this CPU.
            Kind::AvxVnni => unsafe { bytes::AvxVnni::<32>::new() }.call(kernel),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Isa` exists only if `supported` found avx2 on this CPU.
            Kind::Avx512 | Kind::Avx2 => unsafe { bytes::Avx2::<32>::new() }.call(kernel),
            #[cfg(all(target_arch = "aarch64", not(miri)))]
            // SAFETY: an `Isa` exists only if `supported` found i8mm on this CPU.
            Kind::NeonI8mm => unsafe { bytes::NeonI8mm::new() }.call(kernel),
            #[cfg(all(target_arch = "aarch64", not(miri)))]
            // SAFETY: an `Isa` exists only if `supported` found dotprod on this CPU.
            Kind::NeonDot => unsafe { bytes::NeonDot::new() }.call(kernel),
            Kind::Generic => bytes::Generic::<4>.call(kernel),
        }
    }

    /// The same where no sum of two neighbouring products leaves 16 bits, which some instruction sets are faster with.
    pub(crate) fn run_paired<K: ByteKernel>(self, kernel: K) -> K::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Isa` exists only if `supported` found avx2 on this CPU.
            Kind::Avx512 | Kind::Avx2 => unsafe { bytes::Avx2Paired::<32>::new() }.call(kernel),
            _ => self.run_bytes(kernel),
        }
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_always_supported_and_last() {
        assert_eq!(Isa::supported().last(), Some(Isa(Kind::Generic)));
    }

    #[test]
    fn every_supported_name_is_accepted() {
        for isa in Isa::supported() {
            assert_eq!(Isa::named(isa.name()), Ok(isa));
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_accepted_ones() {
        let refusal = Isa::named("sse9").unwrap_err().to_string();
        assert!(refusal.contains("`sse9`") && refusal.contains("generic"), "{refusal}");
    }
}
