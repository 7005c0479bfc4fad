//! The small matrices of F(4, 3) and F(4, 2), and their application to vectors of sixteen elements.
//!
//! A correlation of data d with r taps w that has `TILE` outputs is the transpose of a product of two polynomials. The
//! method of Toom and Cook evaluates the polynomials at `TILE` + r - 1 points p, multiplies the values, and
//! interpolates:
//!
//! ```text
//! y = OUTPUT^T ((KERNEL w) * (DATA d))        N_i = M_i(p_i),  M_i(t) = product over l != i of (t - p_l)
//! OUTPUT[i][k] = p_i^k    KERNEL[i][k] = p_i^k / N_i    DATA[i][k] = coefficient of t^k in M_i
//! ```
//!
//! At infinity, the rows of OUTPUT and KERNEL are the last unit vector, and M is the product over all finite points.
//!
//! The transforms of images, DATA, OUTPUT^T and OUTPUT, take a third of a convolution's time, so their products are
//! factored: the points 1 and -1 share the sum and the difference of the even and the odd terms, and all M except
//! theirs share the factor t^2 - 1. This takes 16, 12 and 10 operations for a vector of six points instead of 26, 18
//! and 18.

use super::super::Shared;
use crate::cpu::microkernel::LANES;
use crate::cpu::{Lanes, Routine, Simd, Vector};

/// The number of outputs of a tile in either direction.
pub(super) const TILE: usize = 4;

/// The largest number of points in a direction, which is that for three taps.
pub(super) const POINTS: usize = TILE + 2;

/// The points; two taps use all but the last. The errors of results are about three times those of computing tap by
/// tap; with the points 2 and 1/2 they would be twice as large.
const AT: [Point; POINTS] = {
    use Point::{Finite, Infinity};
    [Finite(0.0), Finite(1.0), Finite(-1.0), Finite(2.0), Infinity, Finite(-0.5)]
};

#[derive(Clone, Copy)]
enum Point {
    Finite(f64),
    Infinity,
}

/// A matrix of R x C small constants. It is a type, so that the constants are compiled into the code of every
/// transform.
pub(super) trait Transform<const R: usize, const C: usize> {
    const MATRIX: Matrix<R, C>;

    /// Returns the product of the matrix with a column of vectors.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `L`.
    #[inline(always)]
    unsafe fn apply<L: Vector>(x: &[L; C]) -> [L; R] {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            let mut out = [L::zero(); R];
            for (sum, row) in out.iter_mut().zip(&Self::MATRIX) {
                for (factor, &x) in row.iter().zip(x) {
                    if *factor != 0.0 {
                        *sum = L::broadcast(factor).mul_add(x, *sum);
                    }
                }
            }
            out
        }
    }
}

type Matrix<const R: usize, const C: usize> = [[f32; C]; R];

/// Transforms data to R points.
pub(super) struct Data<const R: usize>;

/// Transforms `TAPS` taps to points.
pub(super) struct Kernel<const TAPS: usize>;

/// Transforms R points to a tile of outputs.
pub(super) struct Output<const R: usize>;

/// Transforms a tile of outputs to all points.
pub(super) struct OutputGrad;

/// Transforms points to `TAPS` taps.
pub(super) struct KernelGrad<const TAPS: usize>;

impl Transform<6, 6> for Data<6> {
    const MATRIX: Matrix<6, 6> = data_matrix();

    #[inline(always)]
    unsafe fn apply<L: Vector>(x: &[L; 6]) -> [L; 6] {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            // `e` stands for (t^2 - 1) t^k, and `f` for t (t - 2) (t + 1/2) t^k.
            let [e0, e1, e2, e3] = [0, 1, 2, 3].map(|k| x[k + 2].sub(x[k]));
            let [f0, f1] = [1, 2].map(|k| multiple(-1.5, x[k + 1], x[k + 2].sub(x[k])));
            [
                multiple(-1.5, e1, e2.sub(e0)),
                f1.add(f0),
                f1.sub(f0),
                multiple(0.5, e1, e2),
                multiple(-1.5, e2, e3.sub(e1)),
                multiple(-2.0, e1, e2),
            ]
        }
    }
}

impl Transform<5, 5> for Data<5> {
    const MATRIX: Matrix<5, 5> = data_matrix();

    #[inline(always)]
    unsafe fn apply<L: Vector>(x: &[L; 5]) -> [L; 5] {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            // `e` stands for (t^2 - 1) t^k, and `f` for t (t - 2) t^k.
            let [e0, e1, e2] = [0, 1, 2].map(|k| x[k + 2].sub(x[k]));
            let [f0, f1] = [1, 2].map(|k| multiple(-2.0, x[k], x[k + 1]));
            [multiple(-2.0, e0, e1), f1.add(f0), f1.sub(f0), e1, multiple(-2.0, e1, e2)]
        }
    }
}

impl Transform<6, 3> for Kernel<3> {
    const MATRIX: Matrix<6, 3> = kernel_matrix();
}

impl Transform<5, 2> for Kernel<2> {
    const MATRIX: Matrix<5, 2> = kernel_matrix();
}

impl<const R: usize> Transform<TILE, R> for Output<R> {
    const MATRIX: Matrix<TILE, R> = transposed(&output_matrix());

    #[inline(always)]
    unsafe fn apply<L: Vector>(x: &[L; R]) -> [L; TILE] {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            let (even, odd) = (x[1].add(x[2]), x[1].sub(x[2]));
            let mut y = [
                x[0].add(even).add(x[3]),
                multiple(2.0, x[3], odd),
                multiple(4.0, x[3], even),
                multiple(8.0, x[3], odd.add(x[4])),
            ];
            if R == POINTS {
                let last = x[POINTS - 1];
                y[0] = y[0].add(last);
                y[1] = multiple(-0.5, last, y[1]);
                y[2] = multiple(0.25, last, y[2]);
                y[3] = multiple(-0.125, last, y[3]);
            }
            y
        }
    }
}

impl Transform<POINTS, TILE> for OutputGrad {
    const MATRIX: Matrix<POINTS, TILE> = output_matrix();

    #[inline(always)]
    unsafe fn apply<L: Vector>(y: &[L; TILE]) -> [L; POINTS] {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            let (even, odd) = (y[0].add(y[2]), y[1].add(y[3]));
            let at = |point: f32| {
                let [square, cube] = [point * point, point * point * point];
                multiple(cube, y[3], multiple(square, y[2], multiple(point, y[1], y[0])))
            };
            [y[0], even.add(odd), even.sub(odd), at(2.0), y[3], at(-0.5)]
        }
    }
}

impl Transform<3, 6> for KernelGrad<3> {
    const MATRIX: Matrix<3, 6> = transposed(&kernel_matrix());
}

impl Transform<2, 5> for KernelGrad<2> {
    const MATRIX: Matrix<2, 5> = transposed(&kernel_matrix());
}

/// Returns `factor * x + y`.
///
/// # Safety
///
/// The machine must have the instructions of `L`.
#[inline(always)]
unsafe fn multiple<L: Vector>(factor: f32, x: L, y: L) -> L {
    // SAFETY: the caller vouches for the instructions.
    unsafe { L::broadcast(&factor).mul_add(x, y) }
}

/// Returns OUTPUT for R points.
const fn output_matrix<const R: usize, const C: usize>() -> Matrix<R, C> {
    let mut m = [[0.0; C]; R];
    let mut i = 0;
    while i < R {
        match AT[i] {
            Point::Infinity => m[i][C - 1] = 1.0,
            Point::Finite(point) => {
                let (mut power, mut k) = (1.0, 0);
                while k < C {
                    m[i][k] = power as f32;
                    power *= point;
                    k += 1;
                }
            }
        }
        i += 1;
    }
    m
}

/// Returns the coefficients of M_i for R points.
const fn polynomial<const R: usize>(i: usize) -> [f64; R] {
    let mut m = [0.0; R];
    m[0] = 1.0;
    let mut l = 0;
    while l < R {
        if let Point::Finite(point) = AT[l]
            && l != i
        {
            let mut k = R - 1;
            while k > 0 {
                m[k] = m[k - 1] - point * m[k];
                k -= 1;
            }
            m[0] *= -point;
        }
        l += 1;
    }
    m
}

/// Returns DATA for R points.
const fn data_matrix<const R: usize>() -> Matrix<R, R> {
    let mut m = [[0.0; R]; R];
    let mut i = 0;
    while i < R {
        let coefficients = polynomial::<R>(i);
        let mut k = 0;
        while k < R {
            m[i][k] = coefficients[k] as f32;
            k += 1;
        }
        i += 1;
    }
    m
}

/// Returns KERNEL for R points.
const fn kernel_matrix<const R: usize, const C: usize>() -> Matrix<R, C> {
    let mut m = [[0.0; C]; R];
    let mut i = 0;
    while i < R {
        match AT[i] {
            Point::Infinity => m[i][C - 1] = 1.0,
            Point::Finite(point) => {
                let (coefficients, mut at_point, mut k) = (polynomial::<R>(i), 0.0, R);
                while k > 0 {
                    k -= 1;
                    at_point = at_point * point + coefficients[k];
                }
                let mut power = 1.0 / at_point;
                while k < C {
                    m[i][k] = power as f32;
                    power *= point;
                    k += 1;
                }
            }
        }
        i += 1;
    }
    m
}

const fn transposed<const R: usize, const C: usize>(m: &Matrix<R, C>) -> Matrix<C, R> {
    let mut t = [[0.0; R]; C];
    let mut r = 0;
    while r < R {
        let mut c = 0;
        while c < C {
            t[c][r] = m[r][c];
            c += 1;
        }
        r += 1;
    }
    t
}

/// The offsets of vectors, row after row: each index times the scale.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    pub(super) at: &'a [Option<usize>],
    pub(super) scale: usize,
}

impl Places<'_> {
    pub(super) const NONE: Places<'static> = Places { at: &[], scale: 0 };

    /// Returns the offsets of those that exist.
    pub(super) fn offsets(self) -> impl Iterator<Item = usize> + Clone {
        self.at.iter().flatten().map(move |index| index * self.scale)
    }
}

/// The operands of a transform in both directions: matrices of vectors, each repeated `count` times at a constant step.
#[derive(Clone, Copy)]
pub(super) struct Patch<'a> {
    pub(super) from: &'a [f32],
    /// The start of each vector; `None` stands for zeros.
    pub(super) sources: Places<'a>,
    pub(super) from_step: usize,
    pub(super) to: Shared,
    /// The destination of each result; a result with `None` is dropped.
    pub(super) targets: Places<'a>,
    pub(super) to_step: usize,
    pub(super) count: usize,
    /// The number of elements in a vector, at most sixteen.
    pub(super) width: usize,
}

/// Computes `A * patch * B^T`.
struct Both<'a, A, B, const R: usize, const C: usize, const H: usize, const W: usize>(Patch<'a>, A, B);

impl<A, B, const R: usize, const C: usize, const H: usize, const W: usize> Routine for Both<'_, A, B, R, C, H, W>
where
    A: Transform<R, H>,
    B: Transform<C, W>,
{
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for first in (0..LANES).step_by(L::Part::LEN) {
            // SAFETY: the caller of the functions below vouches for the offsets and the instructions.
            unsafe { self.run_part::<L::Part>(first) };
        }
    }
}

impl<A, B, const R: usize, const C: usize, const H: usize, const W: usize> Both<'_, A, B, R, C, H, W>
where
    A: Transform<R, H>,
    B: Transform<C, W>,
{
    /// Computes the elements from `first` on of each vector of sixteen, as many as a `V` holds. Up to six vectors and
    /// their transform are in use at once, which whole ones fill only the registers of AVX-512 with.
    ///
    /// # Safety
    ///
    /// The patch names vectors inside its arrays, nothing else uses its targets, and the machine has the instructions.
    #[inline(always)]
    unsafe fn run_part<V: Vector>(&self, first: usize) {
        let Patch { from, sources, from_step, to, targets, to_step, count, width } = self.0;
        assert_eq!((sources.at.len(), targets.at.len()), (H * W, R * C), "vectors of a patch");
        let width = width.saturating_sub(first).min(V::LEN);
        // SAFETY: the caller vouches for the offsets and the instructions.
        unsafe {
            let mut half = [[V::zero(); C]; H];
            for step in 0..count {
                for (h, half) in half.iter_mut().enumerate() {
                    let mut x = [V::zero(); W];
                    for (w, x) in x.iter_mut().enumerate() {
                        if let Some(index) = sources.at[h * W + w] {
                            let from = from.as_ptr().wrapping_add(index * sources.scale + step * from_step + first);
                            *x = if width == V::LEN { V::load(from) } else { V::load_first(from, width) };
                        }
                    }
                    *half = B::apply(&x);
                }
                for c in 0..C {
                    let mut x = [V::zero(); H];
                    for (x, half) in x.iter_mut().zip(&half) {
                        *x = half[c];
                    }
                    for (r, x) in A::apply(&x).into_iter().enumerate() {
                        if let Some(index) = targets.at[r * C + c] {
                            let to = to.at(index * targets.scale + step * to_step + first);
                            if width == V::LEN { x.store(to) } else { x.store_first(to, width) }
                        }
                    }
                }
            }
        }
    }
}

/// Defines a function that runs the transform for the number of taps in either direction.
macro_rules! transform {
    ($(#[$text:meta])* $name:ident, $three:expr, $two:expr) => {
        $(#[$text])*
        ///
        /// # Safety
        ///
        /// The machine must be able to run `simd`, the patch must name vectors inside its arrays, and nothing else may
        /// use its targets.
        pub(super) unsafe fn $name(simd: Simd, taps: [usize; 2], patch: Patch) {
            // SAFETY: the caller vouches for the instructions and the patch.
            unsafe {
                match taps {
                    [3, 3] => simd.run(Both(patch, $three, $three)),
                    [3, 2] => simd.run(Both(patch, $three, $two)),
                    [2, 3] => simd.run(Both(patch, $two, $three)),
                    [2, 2] => simd.run(Both(patch, $two, $two)),
                    _ => unreachable!("phases have two or three taps, not {taps:?}"),
                }
            }
        }
    };
}

transform!(
    /// Transforms data to points.
    data, Data::<6>, Data::<5>
);
transform!(
    /// Transforms taps to points.
    kernel, Kernel::<3>, Kernel::<2>
);
transform!(
    /// Transforms products at points to a tile of outputs.
    output, Output::<6>, Output::<5>
);
transform!(
    /// Transforms products at points to the gradient with respect to the taps.
    kernel_grad, KernelGrad::<3>, KernelGrad::<2>
);

/// Transforms the gradient with respect to a tile of outputs to all points.
///
/// # Safety
///
/// The conditions are those of the other transforms.
pub(super) unsafe fn output_grad(simd: Simd, patch: Patch) {
    // SAFETY: the caller vouches for the instructions and the patch.
    unsafe { simd.run(Both(patch, OutputGrad, OutputGrad)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks for every pair of a tap and a datum that `OUTPUT^T ((KERNEL w) * (DATA d))` is the correlation.
    fn check<const R: usize, const T: usize>()
    where
        Data<R>: Transform<R, R>,
        Kernel<T>: Transform<R, T>,
    {
        for tap in 0..T {
            for datum in 0..R {
                for output in 0..TILE {
                    let terms = (0..R).map(|i| {
                        let factors = [
                            Output::<R>::MATRIX[output][i],
                            <Kernel<T> as Transform<R, T>>::MATRIX[i][tap],
                            <Data<R> as Transform<R, R>>::MATRIX[i][datum],
                        ];
                        factors.into_iter().map(f64::from).product::<f64>()
                    });
                    let expected = f64::from(u8::from(output + tap == datum));
                    let found: f64 = terms.sum();
                    assert!((found - expected).abs() < 1e-6, "{R} points: y[{output}] w[{tap}] d[{datum}] is {found}");
                }
            }
        }
    }

    /// Checks for every unit vector that a factored product equals that of the matrix.
    fn check_product<T: Transform<R, C>, const R: usize, const C: usize>() {
        for column in 0..C {
            let mut x = [[0.0; LANES]; C];
            x[column] = [1.0; LANES];
            // SAFETY: an array needs no instructions of its own.
            let product = unsafe { T::apply(&x) };
            assert_eq!(product.map(|lanes| lanes[0]), T::MATRIX.map(|row| row[column]), "column {column}");
        }
    }

    #[test]
    fn the_matrices_make_a_correlation() {
        check::<6, 3>();
        check::<5, 2>();
    }

    #[test]
    fn factored_products_are_those_of_the_matrices() {
        check_product::<Data<6>, 6, 6>();
        check_product::<Data<5>, 5, 5>();
        check_product::<Output<6>, TILE, 6>();
        check_product::<Output<5>, TILE, 5>();
        check_product::<OutputGrad, POINTS, TILE>();
    }
}
