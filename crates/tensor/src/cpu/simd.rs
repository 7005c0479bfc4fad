//! The choice of vector instructions.
//!
//! The best set that the machine has is used, unless [`use_microkernel`] chooses another one. AVX2, AVX-512 and NEON give the same
//! bits, because each element of a result is made by the same operations in the same order. The portable code rounds each
//! product before it is added, so its last bits differ.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::float32x4_t;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};
use std::sync::OnceLock;

use super::lanes::{LANES, Lanes};

/// The reason why a microkernel cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimdError {
    /// The name is none of the known ones.
    #[error("there is no microkernel {0:?}; use one of {known}", known = KNOWN.join(", "))]
    Unknown(String),
    /// The machine cannot run these instructions.
    #[error("the microkernel {0} needs instructions that this machine lacks; use {best}", best = Simd::best().name())]
    Unavailable(&'static str),
    /// Kernels have run already, with another one.
    #[error("the microkernel {0} is in use already; choose one before anything is computed")]
    InUse(&'static str),
}

/// Returns the name of the microkernel in use (`portable`, `avx2`, `avx512` or `neon`), for run records: results are reproduced to
/// the bit only by the same arithmetic.
pub fn microkernel() -> &'static str {
    Simd::chosen().name()
}

/// Uses the microkernel of this name instead of the best one, for the rest of the process.
///
/// # Errors
/// When the name is unknown, the machine cannot run the instructions, or another microkernel is in use already.
pub fn use_microkernel(name: &str) -> Result<(), SimdError> {
    let simd = Simd::requested(name)?;
    match *CHOSEN.get_or_init(|| simd) {
        chosen if chosen == simd => Ok(()),
        other => Err(SimdError::InUse(other.name())),
    }
}

/// The names of all sets, whatever the machine.
const KNOWN: [&str; 4] = ["portable", "avx2", "avx512", "neon"];

static CHOSEN: OnceLock<Simd> = OnceLock::new();

/// A set of vector instructions that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Simd {
    /// Whatever the compiler's target guarantees.
    Portable,
    /// Eight lanes and fused multiply-adds.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Sixteen lanes and twice the registers.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Four lanes, as many registers and fused multiply-adds.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Simd {
    /// All sets that this build knows, the best last.
    const ALL: &[Simd] = &[
        Simd::Portable,
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2,
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512,
        #[cfg(target_arch = "aarch64")]
        Simd::Neon,
    ];

    /// The set that this process uses.
    pub(crate) fn chosen() -> Simd {
        *CHOSEN.get_or_init(Simd::best)
    }

    /// The sets that this machine can run, the best last.
    pub(crate) fn available() -> impl Iterator<Item = Simd> {
        Self::ALL.iter().copied().filter(|simd| simd.is_available())
    }

    fn best() -> Simd {
        Self::available().last().unwrap_or(Simd::Portable)
    }

    fn is_available(self) -> bool {
        match self {
            Simd::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => Simd::Avx2.is_available() && is_x86_feature_detected!("avx512f"),
            // Every processor of this architecture has it.
            #[cfg(target_arch = "aarch64")]
            Simd::Neon => true,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Simd::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Simd::Neon => "neon",
        }
    }

    /// The set of this name.
    fn requested(name: &str) -> Result<Simd, SimdError> {
        let known = KNOWN.into_iter().find(|known| *known == name);
        let known = known.ok_or_else(|| SimdError::Unknown(name.to_owned()))?;
        Self::available().find(|simd| simd.name() == known).ok_or(SimdError::Unavailable(known))
    }
}

/// A loop over sixteen lanes at a time that is compiled for every set of instructions. Where they fuse they give the same
/// bits.
pub(crate) trait Routine {
    /// Implementations are inlined (`#[inline(always)]`), or they would not have the instructions.
    ///
    /// # Safety
    ///
    /// The machine has the instructions of `L`.
    unsafe fn run<L: Lanes>(self);
}

impl Simd {
    /// Runs a routine by these instructions.
    ///
    /// # Safety
    ///
    /// The machine can run them.
    pub(crate) unsafe fn run(self, routine: impl Routine) {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            match self {
                Simd::Portable => <[f32; LANES]>::run(routine),
                #[cfg(target_arch = "x86_64")]
                Simd::Avx2 => <[__m256; 2]>::run(routine),
                #[cfg(target_arch = "x86_64")]
                Simd::Avx512 => __m512::run(routine),
                #[cfg(target_arch = "aarch64")]
                Simd::Neon => <[float32x4_t; 4]>::run(routine),
            }
        }
    }
}

/// Runs `f` where the compiler may use the chosen vector instructions, so that the loops inside it become wide ones.
///
/// Only what is inlined into `f` profits: write `vectorised(#[inline(always)] || ...)`, inside a rayon job and not
/// around one. The result has the same bits with every choice, for the compiler neither reorders nor fuses
/// floating-point operations.
#[inline]
pub(crate) fn vectorised<R>(f: impl FnOnce() -> R) -> R {
    match Simd::chosen() {
        Simd::Portable => f(),
        // SAFETY: a set is chosen only where the machine has it.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { with_avx2(f) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { with_avx512(f) },
        // The compiler may always use these.
        #[cfg(target_arch = "aarch64")]
        Simd::Neon => f(),
    }
}

/// # Safety
///
/// The machine has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// # Safety
///
/// The machine has AVX-512F, AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn with_avx512<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let text = Simd::requested("sse9").unwrap_err().to_string();
        assert!(text.contains("\"sse9\"") && text.contains("portable, avx2, avx512, neon"), "{text}");
    }

    #[test]
    fn available_names_are_accepted() {
        for simd in Simd::available() {
            assert_eq!(Simd::requested(simd.name()), Ok(simd));
        }
    }

    #[test]
    fn unavailable_names_are_refused_with_a_remedy() {
        for name in ["avx2", "avx512", "neon"] {
            if Simd::available().all(|simd| simd.name() != name) {
                let text = Simd::requested(name).unwrap_err().to_string();
                assert!(text.contains("lacks") && text.contains(Simd::best().name()), "{text}");
            }
        }
    }

    #[test]
    fn vectorised_loops_give_the_same_bits_as_plain_ones() {
        let x: Vec<f32> = (0..103).map(|i| (i as f32).sin()).collect();
        let plain: Vec<f32> = x.iter().map(|v| v * 1.1 + v * v).collect();
        let wide: Vec<f32> = vectorised(
            #[inline(always)]
            || x.iter().map(|v| v * 1.1 + v * v).collect(),
        );
        assert_eq!(wide, plain);
    }
}
