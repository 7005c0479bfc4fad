//! Tests the kernels against the plain loops, with every instruction set of the machine and several numbers of threads.

use rayon::ThreadPoolBuilder;

use super::cpu::{self, Direction, Order, winograd};
use super::epilogue::Epilogue;
use super::geometry::{Conv2d, Geometry};
use super::reference;
use crate::cpu::Simd;
use crate::layout::Nchw;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Map {
    Conv2d,
    InputGrad,
    WeightGrad,
}

const MAPS: [Map; 3] = [Map::Conv2d, Map::InputGrad, Map::WeightGrad];

/// The way in which the maps are computed: as their geometry decides, or always by Winograd's transforms.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Path {
    Chosen,
    Winograd,
}

/// The factor by which the transforms may increase an error. The root mean square grows about threefold in the
/// networks' layers, but a single product, which direct kernels would round once, can grow more.
const WINOGRAD_GROWTH: f64 = 8.0;

/// The operands of all three maps.
struct Case {
    g: Geometry,
    x: Vec<f32>,
    w: Vec<f32>,
    dy: Vec<f32>,
}

impl Case {
    fn new(conv: Conv2d, input: [usize; 2], kernel: [usize; 2], n: usize, ci: usize, co: usize) -> Self {
        let (x, w) = (Nchw::new(n, ci, input[0], input[1]), Nchw::new(co, ci, kernel[0], kernel[1]));
        let g = Geometry::new(x, w, conv).expect("a kernel that fits");
        let (x, w, dy) = (noise(g.input_len(), 1), noise(g.weight_len(), 2), noise(g.output_len(), 3));
        Case { g, x, w, dy }
    }

    fn run(&self, map: Map, path: Path, simd: Simd, epilogue: Option<&Epilogue<f32>>) -> Vec<f32> {
        let Case { g, x, w, dy } = self;
        // The output starts as NaN, so that elements which a kernel does not write are found.
        let mut out = vec![f32::NAN; self.len(map)];
        let (direction, images) = match map {
            Map::Conv2d => (Direction::Forward, x),
            Map::InputGrad => (Direction::Transposed, dy),
            Map::WeightGrad if path == Path::Winograd => {
                winograd::weight_grad(simd, g, x, dy, &mut out);
                return out;
            }
            Map::WeightGrad => {
                cpu::weight_grad_with(simd, g, x, dy, &mut out);
                return out;
            }
        };
        let order = if path == Path::Winograd { Order::AtPoints } else { direction.order(g) };
        let arranged = (order != Order::Stored).then(|| direction.arrange(simd, g, order, w));
        direction.compute(simd, g, images, (order, arranged.as_deref().unwrap_or(w)), epilogue, &mut out);
        out
    }

    fn expected(&self, map: Map, number: impl Fn(&f32) -> f64) -> Vec<f64> {
        let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(&number).collect() };
        let (x, w, dy) = (wide(&self.x), wide(&self.w), wide(&self.dy));
        let mut out = vec![f64::NAN; self.len(map)];
        match map {
            Map::Conv2d => reference::conv2d(&self.g, &x, &w, &mut out),
            Map::InputGrad => reference::input_grad(&self.g, &dy, &w, &mut out),
            Map::WeightGrad => reference::weight_grad(&self.g, &x, &dy, &mut out),
        }
        out
    }

    fn len(&self, map: Map) -> usize {
        match map {
            Map::Conv2d => self.g.output_len(),
            Map::InputGrad => self.g.input_len(),
            Map::WeightGrad => self.g.weight_len(),
        }
    }

    /// Returns the largest number of products that an element of the result sums.
    fn reduction(&self, map: Map) -> usize {
        match map {
            Map::Conv2d => self.g.kh * self.g.kw * self.g.ci,
            Map::InputGrad => self.g.kh * self.g.kw * self.g.co,
            Map::WeightGrad => self.g.output_pixels() * self.g.n,
        }
    }

    /// Checks that an epilogue inside the kernel gives the same bits as the same operation on the kernel's result.
    fn check_epilogue(&self, map: Map, path: Path, simd: Simd, sums: &[f32]) {
        let channels = match map {
            Map::Conv2d => self.g.co,
            Map::InputGrad => self.g.ci,
            Map::WeightGrad => return,
        };
        let bias = noise(channels, 4);
        let result = self.run(map, path, simd, Some(&Epilogue { bias: &bias, slope: 0.2 }));
        let shifted = sums.iter().enumerate().map(|(i, sum)| sum + bias[i % channels]);
        let expected: Vec<f32> = shifted.map(|sum| if sum > 0.0 { sum } else { 0.2 * sum }).collect();
        assert!(same_bits(&result, &expected), "epilogue of {map:?} by {simd:?} of {:?}", self.g);
    }

    /// Checks that all instruction sets agree with the plain loops, and give the same bits with any number of threads.
    fn check(&self) {
        self.check_path(Path::Chosen);
    }

    fn check_path(&self, path: Path) {
        for map in MAPS {
            let expected = self.expected(map, |&v| v.into());
            let mut magnitude = self.expected(map, |&v| v.abs().into());
            if path == Path::Winograd || winograd::pays(&self.g) {
                // The transforms mix the results of a tile, so the error of a small result scales with the largest
                // results.
                let largest = magnitude.iter().copied().fold(0.0, f64::max);
                magnitude.fill(WINOGRAD_GROWTH * largest);
            }
            // The error of a chain of m roundings is at most m units in the last place, and about sqrt(m) in practice.
            let tolerance = f64::from(f32::EPSILON) * (2.0 + (self.reduction(map) as f64).sqrt());
            let mut fused: Option<Vec<f32>> = None;
            for simd in Simd::available() {
                let result = on_threads(1, || self.run(map, path, simd, None));
                for (i, &value) in result.iter().enumerate() {
                    let error = (f64::from(value) - expected[i]).abs();
                    assert!(
                        error <= tolerance * magnitude[i],
                        "{map:?} by {simd:?} of {:?}: element {i} is {value}, not {}",
                        self.g,
                        expected[i]
                    );
                }
                self.check_epilogue(map, path, simd, &result);
                for threads in [2, 3, 16] {
                    let again = on_threads(threads, || self.run(map, path, simd, None));
                    assert!(same_bits(&result, &again), "{map:?} by {simd:?} of {:?} with {threads} threads", self.g);
                }
                if simd != Simd::Portable {
                    let fused = fused.get_or_insert_with(|| result.clone());
                    assert!(same_bits(fused, &result), "{map:?} of {:?}: {simd:?} differs in bits", self.g);
                }
            }
        }
    }
}

/// Returns pseudo-random numbers in [-1, 1) that are the same on every machine.
fn noise(len: usize, mut state: u64) -> Vec<f32> {
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn on_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool").install(f)
}

/// Geometries with borders, strides that leave pixels unread, kernels as large as the image or of one tap, kernels in
/// one direction, and dilated kernels.
const ODD_GEOMETRIES: [(Conv2d, [usize; 2], [usize; 2]); 10] = [
    (Conv2d::square(2, 2), [8, 8], [5, 5]),
    (Conv2d::square(2, 2), [9, 7], [5, 5]),
    (Conv2d::square(1, 1), [6, 7], [3, 3]),
    (Conv2d::POINT, [5, 5], [1, 1]),
    (Conv2d::new([1, 1], [0, 3]), [5, 9], [1, 7]),
    (Conv2d::square(2, 0), [7, 7], [3, 3]),
    (Conv2d::new([2, 1], [1, 1]), [8, 8], [4, 4]),
    (Conv2d::square(3, 0), [6, 6], [2, 2]),
    (Conv2d::square(1, 2).dilated([2, 2]), [7, 6], [3, 3]),
    (Conv2d::square(2, 1).dilated([3, 2]), [9, 8], [3, 2]),
];

fn check_odd_geometries(n: usize, channels: &[(usize, usize)]) {
    for (conv, input, kernel) in ODD_GEOMETRIES {
        for &(ci, co) in channels {
            Case::new(conv, input, kernel, n, ci, co).check();
        }
    }
}

#[test]
fn odd_geometries_at_batch_1() {
    check_odd_geometries(1, &[(1, 10), (3, 24), (4, 33), (24, 10), (16, 32), (40, 3), (17, 1)]);
}

#[test]
fn odd_geometries_at_batch_7() {
    check_odd_geometries(7, &[(1, 10), (3, 24), (2, 16), (10, 24), (40, 3), (17, 1)]);
}

#[test]
fn odd_geometries_at_batch_64() {
    check_odd_geometries(64, &[(3, 10), (10, 17), (17, 1)]);
}

/// Geometries of either kernel with whole and partial tiles, paddings other than the networks', and none.
const WINOGRAD_GEOMETRIES: [(Conv2d, [usize; 2]); 12] = [
    (Conv2d::square(2, 2), [16, 16]),
    (Conv2d::square(2, 2), [8, 8]),
    (Conv2d::square(2, 2), [9, 7]),
    (Conv2d::new([2, 2], [1, 3]), [12, 10]),
    (Conv2d::square(2, 0), [5, 5]),
    (Conv2d::new([2, 2], [0, 1]), [21, 6]),
    (Conv2d::new([2, 2], [4, 2]), [1, 3]),
    (Conv2d::square(1, 1), [8, 8]),
    (Conv2d::square(1, 1), [9, 6]),
    (Conv2d::square(1, 0), [3, 11]),
    (Conv2d::new([1, 1], [0, 2]), [7, 5]),
    (Conv2d::square(1, 3), [1, 2]),
];

fn winograd_case(conv: Conv2d, input: [usize; 2], n: usize, ci: usize, co: usize) -> Case {
    let kernel = if conv.stride == [1, 1] { [3, 3] } else { [5, 5] };
    Case::new(conv, input, kernel, n, ci, co)
}

fn check_winograd(n: usize, channels: &[(usize, usize)]) {
    for (conv, input) in WINOGRAD_GEOMETRIES {
        for &(ci, co) in channels {
            winograd_case(conv, input, n, ci, co).check_path(Path::Winograd);
        }
    }
}

#[test]
fn winograd_at_batch_1() {
    check_winograd(1, &[(16, 16), (5, 24), (40, 7)]);
}

#[test]
fn winograd_at_batch_7() {
    check_winograd(7, &[(16, 32), (17, 10), (33, 49)]);
}

#[test]
fn winograd_of_several_blocks() {
    // There are more images than one job takes, and more channels than one call of the microkernel reduces.
    let (halving, same) = (Conv2d::square(2, 2), Conv2d::square(1, 1));
    winograd_case(halving, [8, 8], 70, 20, 24).check_path(Path::Winograd);
    winograd_case(halving, [8, 8], 3, 264, 280).check_path(Path::Winograd);
    winograd_case(same, [4, 4], 3, 264, 280).check_path(Path::Winograd);
    // There are more tiles than the last-level cache holds at a time, in whole groups and not.
    winograd_case(halving, [20, 4], 260, 16, 16).check_path(Path::Winograd);
    winograd_case(same, [20, 24], 40, 40, 20).check_path(Path::Winograd);
}

#[test]
fn winograd_is_chosen_for_the_inner_layers_of_the_networks() {
    let pays = |n, ci, co, side| winograd::pays(&Case::new(Conv2d::square(2, 2), [side; 2], [5, 5], n, ci, co).g);
    assert!(pays(20, 16, 32, 16) && pays(64, 32, 64, 8));
    assert!(!pays(1, 16, 32, 16) && pays(4, 16, 32, 16), "one image has too few tiles");
    assert!(!pays(64, 1, 32, 32) && !pays(64, 15, 32, 16) && !pays(1, 32, 64, 16) && !pays(64, 32, 64, 2));
}

#[test]
fn winograd_is_chosen_for_the_residual_networks() {
    let pays = |n, ci, co, side| winograd::pays(&Case::new(Conv2d::square(1, 1), [side; 2], [3, 3], n, ci, co).g);
    assert!(pays(16, 32, 64, 64) && pays(16, 512, 512, 4) && pays(1, 64, 96, 35));
    assert!(!pays(1, 512, 512, 4) && !pays(16, 3, 64, 64) && !pays(64, 64, 64, 2));
}

#[test]
fn taps_that_only_see_padding_have_zero_gradient() {
    // The kernel is larger than the image, so its outer taps never meet it.
    Case::new(Conv2d::square(4, 2), [1, 1], [5, 5], 3, 8, 9).check();
    Case::new(Conv2d::square(4, 2), [1, 1], [5, 5], 3, 1, 9).check();
    Case::new(Conv2d::square(4, 2), [1, 1], [5, 5], 3, 8, 1).check();
}

#[test]
fn layers_of_the_digit_networks() {
    let conv = Conv2d::square(2, 2);
    Case::new(conv, [32, 32], [5, 5], 20, 1, 16).check();
    Case::new(conv, [16, 16], [5, 5], 20, 16, 32).check();
    Case::new(conv, [8, 8], [5, 5], 20, 32, 64).check();
}

#[test]
fn matrix_products_are_convolutions_of_one_pixel() {
    let conv = Conv2d::POINT;
    for (n, inner, outer) in [(64, 128, 2048), (100, 2048, 10), (64, 2048, 1), (1, 300, 500), (500, 10, 3)] {
        Case::new(conv, [1, 1], [1, 1], n, inner, outer).check();
    }
}

#[test]
fn heads_that_read_the_whole_map() {
    for (ci, co) in [(64, 1), (256, 1), (64, 10), (256, 10)] {
        Case::new(Conv2d::POINT, [4, 4], [4, 4], 64, ci, co).check();
    }
}

/// Compares the bits of every map with those of other architectures: all instructions that fuse give the same.
#[test]
fn fused_kernels_give_the_same_bits_on_every_architecture() {
    const EXPECTED: u64 = 3_836_706_351_088_228_092;
    let (halving, same) = (Conv2d::square(2, 2), Conv2d::square(1, 1));
    let cases = [
        winograd_case(halving, [16, 16], 16, 16, 32),
        winograd_case(same, [12, 10], 5, 24, 40),
        Case::new(halving, [9, 8], [5, 5], 7, 10, 24),
        Case::new(halving, [16, 16], [5, 5], 20, 1, 16),
        Case::new(Conv2d::POINT, [1, 1], [1, 1], 50, 300, 70),
        Case::new(Conv2d::new([1, 1], [0, 3]), [5, 9], [1, 7], 3, 40, 3),
    ];
    for simd in Simd::available().filter(|&simd| simd != Simd::Portable) {
        let numbers = cases.iter().flat_map(|case| MAPS.map(|map| case.run(map, Path::Chosen, simd, None)));
        let bits = numbers.flatten().map(|number| u64::from(number.to_bits()));
        // FNV-1a, a word at a time.
        let hash = bits.fold(0xcbf2_9ce4_8422_2325, |hash: u64, bits| (hash ^ bits).wrapping_mul(0x100_0000_01b3));
        assert_eq!(hash, EXPECTED, "{simd:?}");
    }
}
