//! The three maps as plain loops over their definition, in f64.
//!
//! They are the convolutions of the reference device, and the tests compare every other kernel with them.

use super::geometry::Geometry;

/// Computes `y[o][b][co] = sum over taps t and ci of x[i(o, t)][b][ci] * w[t][co][ci]`.
pub(crate) fn conv2d(g: &Geometry, x: &[f64], w: &[f64], y: &mut [f64]) {
    y.fill(0.0);
    for_each_product(g, |xi, wi, yi| y[yi] += x[xi] * w[wi]);
}

/// Computes the gradient of [`conv2d`] with respect to `x`:
/// `dx[i][b][ci] = sum over t and co of dy[o(i, t)][b][co] * w[t][co][ci]`.
pub(crate) fn input_grad(g: &Geometry, dy: &[f64], w: &[f64], dx: &mut [f64]) {
    dx.fill(0.0);
    for_each_product(g, |xi, wi, yi| dx[xi] += dy[yi] * w[wi]);
}

/// Computes the gradient of [`conv2d`] with respect to `w`:
/// `dw[t][co][ci] = sum over o and b of x[i(o, t)][b][ci] * dy[o][b][co]`.
pub(crate) fn weight_grad(g: &Geometry, x: &[f64], dy: &[f64], dw: &mut [f64]) {
    dw.fill(0.0);
    for_each_product(g, |xi, wi, yi| dw[wi] += x[xi] * dy[yi]);
}

/// Calls `f` with the indices in x, w and y of every product of the trilinear form that the three maps share.
fn for_each_product(g: &Geometry, mut f: impl FnMut(usize, usize, usize)) {
    for o in 0..g.output_pixels() {
        for t in g.taps() {
            let Some(i) = g.input_pixel(o, t) else {
                continue;
            };
            for b in 0..g.n {
                for co in 0..g.co {
                    for ci in 0..g.ci {
                        f((i * g.n + b) * g.ci + ci, (t * g.co + co) * g.ci + ci, (o * g.n + b) * g.co + co);
                    }
                }
            }
        }
    }
}
