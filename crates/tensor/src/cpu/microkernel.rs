//! The one register tile behind the convolutions and the matrix products: a batch-reduce product.
//!
//! ```text
//! C[r][0..32]  (+)=  sum over the terms (a, b), sum over p < depth of  A[a + row r + p * a_step] * B[b + p * b_step ..][0..32]
//! ```
//!
//! An element of C is one chain of multiply-adds in the order of the sum above, whatever the height of the tile, so all
//! instructions that fuse give the same bits. Every row of A and C has its own offset, which lets a tile straddle
//! pixels, images of a batch and kernel taps. The columns are one panel of sixteen, or two; the panels of B may lie apart.
//!
//! A step of a tile of M rows loads M numbers of A and a panel of B for M multiply-adds of a panel. Where a panel is one
//! register, tall tiles would load more often than they multiply, so both panels are in one tile there.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::float32x4_t;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};

pub(crate) use super::lanes::LANES;
use super::lanes::{Lanes, Vector};
use super::simd::Simd;

/// The largest number of columns of one call: two panels.
pub(crate) const WIDE: usize = 2 * LANES;

/// The longest reduction of one call that callers should ask for: 16 lanes of B are then 16 KiB, half of a usual first
/// level cache, and stay there for all rows.
pub(crate) const DEPTH: usize = 256;

/// One term of the sum: the offsets of the first element of A (to which the offset of a row is added) and of B.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    pub(crate) a: usize,
    pub(crate) b: usize,
}

/// One batch-reduce product; see the formula at the top of the file.
pub(crate) struct Product<'a> {
    pub(crate) terms: &'a [Term],
    pub(crate) depth: usize,
    pub(crate) a: *const f32,
    pub(crate) a_rows: &'a [usize],
    pub(crate) a_step: usize,
    pub(crate) b: *const f32,
    pub(crate) b_step: usize,
    /// The distance from the first panel of B to the second, if there is one.
    pub(crate) b_panel: usize,
    pub(crate) c: *mut f32,
    pub(crate) c_rows: &'a [usize],
    /// The number of columns of C that exist, at most [`WIDE`]. B has all sixteen of each panel.
    pub(crate) columns: usize,
    /// Whether the sum is added to C rather than stored over it.
    pub(crate) accumulate: bool,
}

impl Product<'_> {
    /// Computes all rows, in tiles of nearly equal height. Where a tile has six rows at most, 7 rows are 4 + 3 and not
    /// 6 + 1, because a tile of one row waits on each of its multiply-adds.
    ///
    /// # Safety
    ///
    /// The machine can run `simd`; every offset named by the formula at the top of the file lies inside the array that
    /// its pointer is good for; and nobody else uses the elements of C meanwhile.
    pub(crate) unsafe fn run(&self, simd: Simd) {
        assert_eq!(self.a_rows.len(), self.c_rows.len(), "rows of A and of C");
        assert!(self.columns <= WIDE, "{} columns in two panels of {LANES}", self.columns);
        // SAFETY: the caller vouches for the instructions and the product.
        unsafe {
            match simd {
                Simd::Portable => self.tiles::<[f32; LANES]>(),
                #[cfg(target_arch = "x86_64")]
                Simd::Avx2 => self.tiles::<[__m256; 2]>(),
                #[cfg(target_arch = "x86_64")]
                Simd::Avx512 => self.tiles::<__m512>(),
                #[cfg(target_arch = "aarch64")]
                Simd::Neon => self.tiles::<[float32x4_t; 4]>(),
            }
        }
    }

    /// # Safety
    ///
    /// As [`Product::run`].
    unsafe fn tiles<L: Lanes>(&self) {
        // SAFETY: the caller vouches for the instructions and for all rows and columns.
        unsafe {
            if L::PANELS == 2 && self.columns > LANES {
                self.panels::<L, 2>(0);
            } else {
                // A panel of B stays in the first-level cache for all rows.
                for panel in 0..self.columns.div_ceil(LANES) {
                    self.panels::<L, 1>(panel);
                }
            }
        }
    }

    /// Computes `P` panels from this one on.
    ///
    /// # Safety
    ///
    /// As [`Product::run`], and the product has these panels.
    unsafe fn panels<L: Lanes, const P: usize>(&self, panel: usize) {
        let rows = self.c_rows.len();
        let tiles = rows.div_ceil(L::ROWS);
        for t in 0..tiles {
            let (first, end) = (rows * t / tiles, rows * (t + 1) / tiles);
            // A type has only the tiles that its registers can hold, so the guards are constants.
            macro_rules! tile_of {
                ($($height:literal)*) => {
                    match end - first {
                        // SAFETY: the caller vouches for the instructions and for all rows and panels.
                        $($height if L::ROWS >= $height => unsafe { L::tile::<$height, P>(self, first, panel) },)*
                        height => unreachable!("a tile of {height} rows where {} fit", L::ROWS),
                    }
                };
            }
            tile_of!(1 2 3 4 5 6 7 8 9 10 11 12);
        }
    }
}

/// The tile of rows `first..first + M` and of `P` panels from `panel` on. It is compiled inside a frame that has the
/// instructions of `L`.
///
/// # Safety
///
/// As [`Product::run`], and the product has these rows and panels.
#[inline(always)]
pub(super) unsafe fn tile<L: Lanes, const M: usize, const P: usize>(product: &Product, first: usize, panel: usize) {
    let a_rows: &[usize; M] = product.a_rows[first..].first_chunk().expect("M rows of A");
    let c_rows: &[usize; M] = product.c_rows[first..].first_chunk().expect("M rows of C");
    let columns = product.columns - panel * LANES;
    let full = columns >= P * LANES;
    // SAFETY: the caller vouches for the instructions and every offset.
    unsafe {
        let mut sums = [[L::zero(); P]; M];
        if product.accumulate {
            for i in 0..M {
                let c = product.c.add(c_rows[i] + panel * LANES);
                sums[i] = if full { Vector::load(c) } else { Vector::load_first(c, columns) };
            }
        }
        for term in product.terms {
            let mut b = product.b.add(term.b + panel * product.b_panel);
            let mut a = a_rows.map(|row| product.a.add(term.a + row));
            for _ in 0..product.depth {
                let mut panels = [L::zero(); P];
                for (p, lanes) in panels.iter_mut().enumerate() {
                    *lanes = L::load(b.wrapping_add(p * product.b_panel));
                }
                for i in 0..M {
                    let factor = L::broadcast(a[i]);
                    for p in 0..P {
                        sums[i][p] = factor.mul_add(panels[p], sums[i][p]);
                    }
                    // The step after the last element may leave the array.
                    a[i] = a[i].wrapping_add(product.a_step);
                }
                b = b.wrapping_add(product.b_step);
            }
        }
        for i in 0..M {
            let c = product.c.add(c_rows[i] + panel * LANES);
            if full { sums[i].store(c) } else { sums[i].store_first(c, columns) }
        }
    }
}
