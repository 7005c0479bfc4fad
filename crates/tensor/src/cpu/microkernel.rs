//! The one register tile behind the convolutions and the matrix products: a batch-reduce product.
//!
//! ```text
//! C[r][0..16]  (+)=  sum over the terms (a, b), sum over p < depth of  A[a + row r + p * a_step] * B[b + p * b_step ..][0..16]
//! ```
//!
//! An element of C is one chain of multiply-adds in the order of the sum above, whatever the height of the tile, so all
//! instructions that fuse give the same bits. Every row of A and C has its own offset, which lets a tile straddle
//! pixels, images of a batch and kernel taps. A tile of M rows reads M + 16 numbers for 16 M multiply-adds.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::float32x4_t;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};

pub(crate) use super::lanes::LANES;
use super::lanes::Lanes;
use super::simd::Simd;

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
    pub(crate) c: *mut f32,
    pub(crate) c_rows: &'a [usize],
    /// The number of columns of C that exist, of sixteen. B has all sixteen.
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
        assert!(self.columns <= LANES, "{} columns in a tile of {LANES}", self.columns);
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
        let rows = self.c_rows.len();
        let tiles = rows.div_ceil(L::ROWS);
        for t in 0..tiles {
            let (first, end) = (rows * t / tiles, rows * (t + 1) / tiles);
            // SAFETY: the caller vouches for the instructions and for all rows. The guards are constants: a type has
            // only the tiles that its registers can hold.
            unsafe {
                match end - first {
                    1 => L::tile::<1>(self, first),
                    2 => L::tile::<2>(self, first),
                    3 if L::ROWS >= 3 => L::tile::<3>(self, first),
                    4 if L::ROWS >= 4 => L::tile::<4>(self, first),
                    5 if L::ROWS >= 5 => L::tile::<5>(self, first),
                    6 if L::ROWS >= 6 => L::tile::<6>(self, first),
                    7 if L::ROWS >= 7 => L::tile::<7>(self, first),
                    8 if L::ROWS >= 8 => L::tile::<8>(self, first),
                    9 if L::ROWS >= 9 => L::tile::<9>(self, first),
                    10 if L::ROWS >= 10 => L::tile::<10>(self, first),
                    11 if L::ROWS >= 11 => L::tile::<11>(self, first),
                    12 if L::ROWS >= 12 => L::tile::<12>(self, first),
                    height => unreachable!("a tile of {height} rows where {} fit", L::ROWS),
                }
            }
        }
    }
}

/// The tile of rows `first..first + M`. It is compiled inside a frame that has the instructions of `L`.
///
/// # Safety
///
/// As [`Product::run`], and the product has these rows.
#[inline(always)]
pub(super) unsafe fn tile<L: Lanes, const M: usize>(product: &Product, first: usize) {
    let a_rows: &[usize; M] = product.a_rows[first..].first_chunk().expect("M rows of A");
    let c_rows: &[usize; M] = product.c_rows[first..].first_chunk().expect("M rows of C");
    let full = product.columns == LANES;
    // SAFETY: the caller vouches for the instructions and every offset.
    unsafe {
        let mut sums = [L::zero(); M];
        if product.accumulate {
            for i in 0..M {
                let c = product.c.add(c_rows[i]);
                sums[i] = if full { L::load(c) } else { L::load_first(c, product.columns) };
            }
        }
        for term in product.terms {
            let mut b = product.b.add(term.b);
            let mut a = a_rows.map(|row| product.a.add(term.a + row));
            for _ in 0..product.depth {
                let columns = L::load(b);
                for i in 0..M {
                    sums[i] = L::broadcast(a[i]).mul_add(columns, sums[i]);
                    // The step after the last element may leave the array.
                    a[i] = a[i].wrapping_add(product.a_step);
                }
                b = b.wrapping_add(product.b_step);
            }
        }
        for i in 0..M {
            let c = product.c.add(c_rows[i]);
            if full { sums[i].store(c) } else { sums[i].store_first(c, product.columns) }
        }
    }
}
