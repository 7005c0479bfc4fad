//! The registers of ARM's NEON, which every 64-bit ARM processor has.

use std::arch::aarch64::*;

use super::{Lanes, Vector};
use crate::cpu::microkernel::{Product, tile};
use crate::cpu::simd::Routine;

impl Vector for float32x4_t {
    const LEN: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for NEON.
        unsafe { vdupq_n_f32(0.0) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for NEON and the pointer.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0; Self::LEN];
        // SAFETY: the caller vouches for NEON and `count` elements, and `lanes` holds four.
        unsafe {
            lanes.as_mut_ptr().copy_from_nonoverlapping(from, count);
            vld1q_f32(lanes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn broadcast(from: *const f32) -> Self {
        // SAFETY: the caller vouches for NEON and the pointer.
        unsafe { vld1q_dup_f32(from) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, x: Self, y: Self) -> Self {
        // SAFETY: the caller vouches for NEON.
        unsafe { vfmaq_f32(y, self, x) }
    }

    #[inline(always)]
    unsafe fn add(self, x: Self) -> Self {
        // SAFETY: the caller vouches for NEON.
        unsafe { vaddq_f32(self, x) }
    }

    #[inline(always)]
    unsafe fn sub(self, x: Self) -> Self {
        // SAFETY: the caller vouches for NEON.
        unsafe { vsubq_f32(self, x) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for NEON and the pointer.
        unsafe { vst1q_f32(to, self) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        let mut lanes = [0.0; Self::LEN];
        // SAFETY: the caller vouches for NEON and `count` elements, and `lanes` holds four.
        unsafe {
            vst1q_f32(lanes.as_mut_ptr(), self);
            to.copy_from_nonoverlapping(lanes.as_ptr(), count);
        }
    }
}

impl Lanes for [float32x4_t; 4] {
    type Part = float32x4_t;

    // 24 accumulators, four registers of B and one of A are 29 of the 32.
    const ROWS: usize = 6;
    const PANELS: usize = 1;

    #[target_feature(enable = "neon")]
    unsafe fn run<R: Routine>(routine: R) {
        // SAFETY: this frame has the instructions.
        unsafe { routine.run::<Self>() }
    }

    #[target_feature(enable = "neon")]
    unsafe fn tile<const M: usize, const P: usize>(product: &Product, first: usize, panel: usize) {
        // SAFETY: the caller vouches for the product, and this frame has the instructions.
        unsafe { tile::<Self, M, P>(product, first, panel) }
    }
}
