//! The layers of InceptionV3 as FID uses it: the 2015 TensorFlow network, with torchvision's names.
//!
//! It differs from torchvision's InceptionV3 in three ways: average pooling excludes the padding, the last block uses
//! max pooling where the others use average pooling, and there are 1008 outputs.

use mergan_tensor::{Conv2d, Pool2d};

/// A layer, or several branches of layers in parallel.
pub(super) enum Part {
    /// A convolution without bias, batch normalisation and a ReLU.
    Conv { name: String, outputs: usize, kernel: [usize; 2], conv: Conv2d },
    /// Max pooling.
    MaxPool(Pool2d),
    /// Average pooling.
    AveragePool(Pool2d),
    /// Sequences that all read the same maps. Their output channels are concatenated.
    Branches(Vec<Vec<Part>>),
    /// A point where the preceding maps are one of the network's features.
    Tap,
}

/// The number of channels of the images.
pub(super) const INPUTS: usize = 3;
/// The number of outputs of the classifier, which FID does not use.
pub(super) const OUTPUTS: usize = 1008;

const HALVING: Pool2d = Pool2d::square(3, 2, 0);
const SMOOTHING: Pool2d = Pool2d::square(3, 1, 1);

/// Returns the layers before the last pooling, which averages whole maps.
pub(super) fn network() -> Vec<Part> {
    use Part::{MaxPool, Tap};
    vec![
        valid("Conv2d_1a_3x3", 32, 3, 2),
        valid("Conv2d_2a_3x3", 32, 3, 1),
        same("Conv2d_2b_3x3", 64, [3, 3]),
        MaxPool(HALVING),
        Tap,
        same("Conv2d_3b_1x1", 80, [1, 1]),
        valid("Conv2d_4a_3x3", 192, 3, 1),
        MaxPool(HALVING),
        Tap,
        block_a("Mixed_5b", 32),
        block_a("Mixed_5c", 64),
        block_a("Mixed_5d", 64),
        block_b("Mixed_6a"),
        block_c("Mixed_6b", 128),
        block_c("Mixed_6c", 160),
        block_c("Mixed_6d", 160),
        block_c("Mixed_6e", 192),
        Tap,
        block_d("Mixed_7a"),
        block_e("Mixed_7b", Part::AveragePool(SMOOTHING)),
        block_e("Mixed_7c", Part::MaxPool(SMOOTHING)),
        Tap,
    ]
}

/// Returns a convolution that keeps the size of the image.
fn same(name: &str, outputs: usize, kernel: [usize; 2]) -> Part {
    Part::Conv { name: name.into(), outputs, kernel, conv: Conv2d::new([1, 1], kernel.map(|taps| taps / 2)) }
}

/// Returns a convolution without padding.
fn valid(name: &str, outputs: usize, kernel: usize, stride: usize) -> Part {
    Part::Conv { name: name.into(), outputs, kernel: [kernel; 2], conv: Conv2d::square(stride, 0) }
}

/// Returns a block for 35 x 35 pixels; the last branch has `pooled` channels.
fn block_a(block: &str, pooled: usize) -> Part {
    let name = |branch: &str| format!("{block}.{branch}");
    Part::Branches(vec![
        vec![same(&name("branch1x1"), 64, [1, 1])],
        vec![same(&name("branch5x5_1"), 48, [1, 1]), same(&name("branch5x5_2"), 64, [5, 5])],
        vec![
            same(&name("branch3x3dbl_1"), 64, [1, 1]),
            same(&name("branch3x3dbl_2"), 96, [3, 3]),
            same(&name("branch3x3dbl_3"), 96, [3, 3]),
        ],
        vec![Part::AveragePool(SMOOTHING), same(&name("branch_pool"), pooled, [1, 1])],
    ])
}

/// Returns a block from 35 x 35 to 17 x 17 pixels.
fn block_b(block: &str) -> Part {
    let name = |branch: &str| format!("{block}.{branch}");
    Part::Branches(vec![
        vec![valid(&name("branch3x3"), 384, 3, 2)],
        vec![
            same(&name("branch3x3dbl_1"), 64, [1, 1]),
            same(&name("branch3x3dbl_2"), 96, [3, 3]),
            valid(&name("branch3x3dbl_3"), 96, 3, 2),
        ],
        vec![Part::MaxPool(HALVING)],
    ])
}

/// Returns a block for 17 x 17 pixels; convolutions with kernels of length seven have `inner` channels inside the
/// branches.
fn block_c(block: &str, inner: usize) -> Part {
    let name = |branch: &str| format!("{block}.{branch}");
    Part::Branches(vec![
        vec![same(&name("branch1x1"), 192, [1, 1])],
        vec![
            same(&name("branch7x7_1"), inner, [1, 1]),
            same(&name("branch7x7_2"), inner, [1, 7]),
            same(&name("branch7x7_3"), 192, [7, 1]),
        ],
        vec![
            same(&name("branch7x7dbl_1"), inner, [1, 1]),
            same(&name("branch7x7dbl_2"), inner, [7, 1]),
            same(&name("branch7x7dbl_3"), inner, [1, 7]),
            same(&name("branch7x7dbl_4"), inner, [7, 1]),
            same(&name("branch7x7dbl_5"), 192, [1, 7]),
        ],
        vec![Part::AveragePool(SMOOTHING), same(&name("branch_pool"), 192, [1, 1])],
    ])
}

/// Returns a block from 17 x 17 to 8 x 8 pixels.
fn block_d(block: &str) -> Part {
    let name = |branch: &str| format!("{block}.{branch}");
    Part::Branches(vec![
        vec![same(&name("branch3x3_1"), 192, [1, 1]), valid(&name("branch3x3_2"), 320, 3, 2)],
        vec![
            same(&name("branch7x7x3_1"), 192, [1, 1]),
            same(&name("branch7x7x3_2"), 192, [1, 7]),
            same(&name("branch7x7x3_3"), 192, [7, 1]),
            valid(&name("branch7x7x3_4"), 192, 3, 2),
        ],
        vec![Part::MaxPool(HALVING)],
    ])
}

/// Returns a block for 8 x 8 pixels; the last branch starts with `pool`.
fn block_e(block: &str, pool: Part) -> Part {
    let name = |branch: &str| format!("{block}.{branch}");
    // Two parallel convolutions, with a row and a column kernel, replace one with a square kernel.
    let cross = |branch: &str| {
        let arm = |suffix: &str, kernel| vec![same(&name(&format!("{branch}{suffix}")), 384, kernel)];
        Part::Branches(vec![arm("a", [1, 3]), arm("b", [3, 1])])
    };
    Part::Branches(vec![
        vec![same(&name("branch1x1"), 320, [1, 1])],
        vec![same(&name("branch3x3_1"), 384, [1, 1]), cross("branch3x3_2")],
        vec![
            same(&name("branch3x3dbl_1"), 448, [1, 1]),
            same(&name("branch3x3dbl_2"), 384, [3, 3]),
            cross("branch3x3dbl_3"),
        ],
        vec![pool, same(&name("branch_pool"), 192, [1, 1])],
    ])
}
