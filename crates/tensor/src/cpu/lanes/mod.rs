//! Numbers in registers, and sixteen of them: one register of AVX-512, two of AVX2, four of NEON, or an array that the
//! compiler spreads over what it has.

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::microkernel::{Product, tile};
use super::simd::Routine;

/// The number of elements of a [`Lanes`]: the width of a tile and of a packed panel.
pub(crate) const LANES: usize = 16;

/// Numbers in one register or in several.
pub(crate) trait Vector: Copy {
    /// How many there are.
    const LEN: usize;

    /// # Safety
    ///
    /// The machine has the instructions of this type. This holds for every method; those with a pointer also need it
    /// to be good for the elements named.
    unsafe fn zero() -> Self;

    /// Reads numbers.
    unsafe fn load(from: *const f32) -> Self;

    /// Reads the first `count <= LEN` numbers and touches no memory after them; the other lanes are zero.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;

    /// Copies of one number.
    unsafe fn broadcast(from: *const f32) -> Self;

    /// `self * x + y`, rounded once where the instructions can.
    unsafe fn mul_add(self, x: Self, y: Self) -> Self;

    /// `self + x`.
    unsafe fn add(self, x: Self) -> Self;

    /// `self - x`.
    unsafe fn sub(self, x: Self) -> Self;

    /// Writes the numbers.
    unsafe fn store(self, to: *mut f32);

    /// Writes the first `count <= LEN` numbers and touches no memory after them.
    unsafe fn store_first(self, to: *mut f32, count: usize);
}

/// Sixteen numbers in registers, and the tile of the microkernel compiled for the instructions that handle them.
pub(crate) trait Lanes: Vector {
    /// A part of them, for code that holds so many vectors at once that whole ones would not stay in registers.
    type Part: Vector;

    /// The tallest tile whose accumulators stay in registers.
    const ROWS: usize;

    /// The number of panels, one or two, that such a tile has.
    const PANELS: usize;

    /// Runs a routine in a frame that has these instructions.
    ///
    /// # Safety
    ///
    /// The machine has the instructions.
    unsafe fn run<R: Routine>(routine: R);

    /// [`tile`] of rows `first..first + M` and of `P` panels from `panel` on, compiled for these instructions.
    ///
    /// # Safety
    ///
    /// As [`Product::run`].
    unsafe fn tile<const M: usize, const P: usize>(product: &Product, first: usize, panel: usize);
}

/// Vectors one after another. The methods are plain loops, because the closure of an iterator would not have the
/// instructions where it is not inlined.
impl<V: Vector, const N: usize> Vector for [V; N] {
    const LEN: usize = N * V::LEN;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for the instructions.
        [unsafe { V::zero() }; N]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for the instructions and the pointer.
        unsafe {
            let mut all = Self::zero();
            for (i, part) in all.iter_mut().enumerate() {
                *part = V::load(from.add(i * V::LEN));
            }
            all
        }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: as above. Addresses past the numbers named are not read, so they may lie anywhere.
        unsafe {
            let mut all = Self::zero();
            for (i, part) in all.iter_mut().enumerate() {
                *part = V::load_first(from.wrapping_add(i * V::LEN), within::<V>(count, i));
            }
            all
        }
    }

    #[inline(always)]
    unsafe fn broadcast(from: *const f32) -> Self {
        // SAFETY: the caller vouches for the instructions and the pointer.
        [unsafe { V::broadcast(from) }; N]
    }

    #[inline(always)]
    unsafe fn mul_add(mut self, x: Self, y: Self) -> Self {
        for i in 0..N {
            // SAFETY: the caller vouches for the instructions.
            self[i] = unsafe { self[i].mul_add(x[i], y[i]) };
        }
        self
    }

    #[inline(always)]
    unsafe fn add(mut self, x: Self) -> Self {
        for i in 0..N {
            // SAFETY: the caller vouches for the instructions.
            self[i] = unsafe { self[i].add(x[i]) };
        }
        self
    }

    #[inline(always)]
    unsafe fn sub(mut self, x: Self) -> Self {
        for i in 0..N {
            // SAFETY: the caller vouches for the instructions.
            self[i] = unsafe { self[i].sub(x[i]) };
        }
        self
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        for (i, part) in self.into_iter().enumerate() {
            // SAFETY: the caller vouches for the instructions and the pointer.
            unsafe { part.store(to.add(i * V::LEN)) };
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        for (i, part) in self.into_iter().enumerate() {
            // SAFETY: as above. Addresses past the numbers named are not written, so they may lie anywhere.
            unsafe { part.store_first(to.wrapping_add(i * V::LEN), within::<V>(count, i)) };
        }
    }
}

/// Returns how many of the first `count` numbers are in vector `i`.
#[inline(always)]
fn within<V: Vector>(count: usize, i: usize) -> usize {
    count.saturating_sub(i * V::LEN).min(V::LEN)
}

/// One number, for arrays that the compiler spreads over registers.
impl Vector for f32 {
    const LEN: usize = 1;

    #[inline(always)]
    unsafe fn zero() -> Self {
        0.0
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for the pointer.
        unsafe { *from }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: the caller vouches for the pointer if the number is wanted.
        if count == 1 { unsafe { *from } } else { 0.0 }
    }

    #[inline(always)]
    unsafe fn broadcast(from: *const f32) -> Self {
        // SAFETY: the caller vouches for the pointer.
        unsafe { *from }
    }

    #[inline(always)]
    unsafe fn mul_add(self, x: Self, y: Self) -> Self {
        // A fused operation would be a slow library call where the target does not guarantee the instruction.
        self * x + y
    }

    #[inline(always)]
    unsafe fn add(self, x: Self) -> Self {
        self + x
    }

    #[inline(always)]
    unsafe fn sub(self, x: Self) -> Self {
        self - x
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for the pointer.
        unsafe { *to = self }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        if count == 1 {
            // SAFETY: the caller vouches for the pointer.
            unsafe { *to = self }
        }
    }
}

impl Lanes for [f32; LANES] {
    type Part = [f32; 4];

    // x86-64 guarantees 16 registers of four lanes, most other targets have 32.
    const ROWS: usize = if cfg!(target_arch = "x86_64") { 2 } else { 6 };
    const PANELS: usize = 1;

    unsafe fn run<R: Routine>(routine: R) {
        // SAFETY: these instructions are always there.
        unsafe { routine.run::<Self>() }
    }

    unsafe fn tile<const M: usize, const P: usize>(product: &Product, first: usize, panel: usize) {
        // SAFETY: the caller vouches for the product, and these instructions are always there.
        unsafe { tile::<Self, M, P>(product, first, panel) }
    }
}
