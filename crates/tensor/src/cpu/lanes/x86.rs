//! The registers of x86-64.

use std::arch::x86_64::*;

use super::{Lanes, Vector};
use crate::cpu::microkernel::{Product, tile};
use crate::cpu::simd::Routine;

impl Vector for __m512 {
    const LEN: usize = 16;

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
}

impl Lanes for __m512 {
    type Part = Self;

    // 24 accumulators, two registers of B and one of A are 27 of the 32. More rows would have more offsets than there are
    // general registers.
    const ROWS: usize = 12;
    const PANELS: usize = 2;

    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn run<R: Routine>(routine: R) {
        // SAFETY: this frame has the instructions.
        unsafe { routine.run::<Self>() }
    }

    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn tile<const M: usize, const P: usize>(product: &Product, first: usize, panel: usize) {
        // SAFETY: the caller vouches for the product, and this frame has the instructions.
        unsafe { tile::<Self, M, P>(product, first, panel) }
    }
}

/// A mask of the first `count` lanes.
fn first_bits(count: usize) -> u16 {
    ((1u32 << count) - 1) as u16
}

impl Vector for __m256 {
    const LEN: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { _mm256_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for AVX2 and the pointer.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: as above; lanes outside the mask are not read.
        unsafe { _mm256_maskload_ps(from, first_mask(count)) }
    }

    #[inline(always)]
    unsafe fn broadcast(from: *const f32) -> Self {
        // SAFETY: the caller vouches for AVX2 and the pointer.
        unsafe { _mm256_broadcast_ss(&*from) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, x: Self, y: Self) -> Self {
        // SAFETY: the caller vouches for FMA.
        unsafe { _mm256_fmadd_ps(self, x, y) }
    }

    #[inline(always)]
    unsafe fn add(self, x: Self) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { _mm256_add_ps(self, x) }
    }

    #[inline(always)]
    unsafe fn sub(self, x: Self) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { _mm256_sub_ps(self, x) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for AVX2 and the pointer.
        unsafe { _mm256_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: as above; lanes outside the mask are not written.
        unsafe { _mm256_maskstore_ps(to, first_mask(count), self) }
    }
}

impl Lanes for [__m256; 2] {
    type Part = __m256;

    // 12 accumulators, two registers of B and one of A are 15 of the 16.
    const ROWS: usize = 6;
    const PANELS: usize = 1;

    #[target_feature(enable = "avx2,fma")]
    unsafe fn run<R: Routine>(routine: R) {
        // SAFETY: this frame has the instructions.
        unsafe { routine.run::<Self>() }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn tile<const M: usize, const P: usize>(product: &Product, first: usize, panel: usize) {
        // SAFETY: the caller vouches for the product, and this frame has the instructions.
        unsafe { tile::<Self, M, P>(product, first, panel) }
    }
}

/// A mask of the first `count` lanes.
///
/// # Safety
///
/// The machine has AVX2.
#[inline(always)]
unsafe fn first_mask(count: usize) -> __m256i {
    // SAFETY: the caller vouches for AVX2.
    unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
}
