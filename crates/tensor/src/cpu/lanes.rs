//! Sixteen `f32` in registers: one of AVX-512, two of AVX2, or an array that the compiler spreads over what it has.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::array;

use super::microkernel::{Product, tile};
use super::simd::Routine;

/// The number of elements of a [`Lanes`]: the width of a tile and of a packed panel.
pub(crate) const LANES: usize = 16;

/// Sixteen numbers in registers, and the tile of the microkernel compiled for the instructions that handle them.
pub(crate) trait Lanes: Copy {
    /// The tallest tile whose accumulators stay in registers.
    const ROWS: usize;

    /// # Safety
    ///
    /// The machine has the instructions of this type. This holds for every method; those with a pointer also need it
    /// to be good for the elements named.
    unsafe fn zero() -> Self;

    /// Reads sixteen numbers.
    unsafe fn load(from: *const f32) -> Self;

    /// Reads `count <= 16` numbers and touches no memory after them; the other lanes are zero.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;

    /// Sixteen copies of one number.
    unsafe fn broadcast(from: *const f32) -> Self;

    /// `self * x + y`, rounded once where the instructions can.
    unsafe fn mul_add(self, x: Self, y: Self) -> Self;

    /// `self + x`.
    unsafe fn add(self, x: Self) -> Self;

    /// `self - x`.
    unsafe fn sub(self, x: Self) -> Self;

    /// Writes sixteen numbers.
    unsafe fn store(self, to: *mut f32);

    /// Writes the first `count <= 16` numbers and touches no memory after them.
    unsafe fn store_first(self, to: *mut f32, count: usize);

    /// Runs a routine in a frame that has these instructions.
    unsafe fn run<R: Routine>(routine: R);

    /// [`tile`] of rows `first..first + M`, compiled for these instructions, under the conditions of [`Product::run`].
    unsafe fn tile<const M: usize>(product: &Product, first: usize);
}

#[cfg(target_arch = "x86_64")]
impl Lanes for __m512 {
    // Eight accumulators hide the latency of two multiply-adds a cycle. More of them read B less often, until the
    // offsets of the rows no longer fit the general registers.
    const ROWS: usize = 12;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for AVX-512F.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for AVX-512F and the pointer.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: as above; lanes outside the mask are not read.
        unsafe { _mm512_maskz_loadu_ps(first_bits(count), from) }
    }

    #[inline(always)]
    unsafe fn broadcast(from: *const f32) -> Self {
        // SAFETY: the caller vouches for AVX-512F and the pointer.
        unsafe { _mm512_set1_ps(*from) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, x: Self, y: Self) -> Self {
        // SAFETY: the caller vouches for AVX-512F.
        unsafe { _mm512_fmadd_ps(self, x, y) }
    }

    #[inline(always)]
    unsafe fn add(self, x: Self) -> Self {
        // SAFETY: the caller vouches for AVX-512F.
        unsafe { _mm512_add_ps(self, x) }
    }

    #[inline(always)]
    unsafe fn sub(self, x: Self) -> Self {
        // SAFETY: the caller vouches for AVX-512F.
        unsafe { _mm512_sub_ps(self, x) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for AVX-512F and the pointer.
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: as above; lanes outside the mask are not written.
        unsafe { _mm512_mask_storeu_ps(to, first_bits(count), self) }
    }

    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn run<R: Routine>(routine: R) {
        // SAFETY: this frame has the instructions.
        unsafe { routine.run::<Self>() }
    }

    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn tile<const M: usize>(product: &Product, first: usize) {
        // SAFETY: the caller vouches for the product, and this frame has the instructions.
        unsafe { tile::<Self, M>(product, first) }
    }
}

/// A mask of the first `count` lanes.
#[cfg(target_arch = "x86_64")]
fn first_bits(count: usize) -> u16 {
    ((1u32 << count) - 1) as u16
}

#[cfg(target_arch = "x86_64")]
impl Lanes for [__m256; 2] {
    // 12 accumulators, two registers of B and one of A are 15 of the 16.
    const ROWS: usize = 6;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { [_mm256_setzero_ps(); 2] }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for AVX2 and the pointer.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: as above; lanes outside the masks are not read, so the second address may lie past the array.
        unsafe {
            let [low, high] = first_masks(count);
            [_mm256_maskload_ps(from, low), _mm256_maskload_ps(from.wrapping_add(8), high)]
        }
    }

    #[inline(always)]
    unsafe fn broadcast(from: *const f32) -> Self {
        // SAFETY: the caller vouches for AVX2 and the pointer.
        unsafe { [_mm256_broadcast_ss(&*from); 2] }
    }

    #[inline(always)]
    unsafe fn mul_add(self, x: Self, y: Self) -> Self {
        // SAFETY: the caller vouches for FMA.
        unsafe { [_mm256_fmadd_ps(self[0], x[0], y[0]), _mm256_fmadd_ps(self[1], x[1], y[1])] }
    }

    #[inline(always)]
    unsafe fn add(self, x: Self) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { [_mm256_add_ps(self[0], x[0]), _mm256_add_ps(self[1], x[1])] }
    }

    #[inline(always)]
    unsafe fn sub(self, x: Self) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { [_mm256_sub_ps(self[0], x[0]), _mm256_sub_ps(self[1], x[1])] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for AVX2 and the pointer.
        unsafe {
            _mm256_storeu_ps(to, self[0]);
            _mm256_storeu_ps(to.add(8), self[1]);
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: as above; lanes outside the masks are not written, so the second address may lie past the array.
        unsafe {
            let [low, high] = first_masks(count);
            _mm256_maskstore_ps(to, low, self[0]);
            _mm256_maskstore_ps(to.wrapping_add(8), high, self[1]);
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn run<R: Routine>(routine: R) {
        // SAFETY: this frame has the instructions.
        unsafe { routine.run::<Self>() }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn tile<const M: usize>(product: &Product, first: usize) {
        // SAFETY: the caller vouches for the product, and this frame has the instructions.
        unsafe { tile::<Self, M>(product, first) }
    }
}

/// Masks of the first `count` lanes in two registers.
///
/// # Safety
///
/// The machine has AVX2.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn first_masks(count: usize) -> [__m256i; 2] {
    // SAFETY: the caller vouches for AVX2.
    unsafe {
        let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let before = |end: i32| _mm256_cmpgt_epi32(_mm256_set1_epi32(end), lane);
        [before(count as i32), before(count as i32 - 8)]
    }
}

impl Lanes for [f32; LANES] {
    // x86-64 guarantees 16 registers of four lanes, most other targets have 32.
    const ROWS: usize = if cfg!(target_arch = "x86_64") { 2 } else { 6 };

    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for the pointer; an array needs no more alignment than its elements.
        unsafe { *from.cast() }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0; LANES];
        // SAFETY: the caller vouches for `count` elements, and `lanes` holds sixteen.
        unsafe { lanes.as_mut_ptr().copy_from_nonoverlapping(from, count) };
        lanes
    }

    #[inline(always)]
    unsafe fn broadcast(from: *const f32) -> Self {
        // SAFETY: the caller vouches for the pointer.
        [unsafe { *from }; LANES]
    }

    #[inline(always)]
    unsafe fn mul_add(self, x: Self, y: Self) -> Self {
        // A fused operation would be a slow library call where the target does not guarantee the instruction.
        array::from_fn(|i| self[i] * x[i] + y[i])
    }

    #[inline(always)]
    unsafe fn add(self, x: Self) -> Self {
        array::from_fn(|i| self[i] + x[i])
    }

    #[inline(always)]
    unsafe fn sub(self, x: Self) -> Self {
        array::from_fn(|i| self[i] - x[i])
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for the pointer; an array needs no more alignment than its elements.
        unsafe { *to.cast() = self }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: the caller vouches for `count` elements, and `self` holds sixteen.
        unsafe { to.copy_from_nonoverlapping(self.as_ptr(), count) }
    }

    unsafe fn run<R: Routine>(routine: R) {
        // SAFETY: these instructions are always there.
        unsafe { routine.run::<Self>() }
    }

    unsafe fn tile<const M: usize>(product: &Product, first: usize) {
        // SAFETY: the caller vouches for the product, and these instructions are always there.
        unsafe { tile::<Self, M>(product, first) }
    }
}
