//! Checks distances between images against the tools behind published numbers: pytorch-fid, torch-fidelity, clean-fid
//! and prdc. `tests/golden/README.md` describes their inputs.

use std::path::Path;

use approx::assert_relative_eq;
use mergan_metrics::{FeatureStream, KernelDistance, Neighbourhoods, frechet_distance, kernel_distance};
use mergan_models::{Inception, Resize, Tap, Weights};
use mergan_tensor::{Device, Shape, Tensor};
use mergan_tests::{Golden, unit};
use ndarray::{Array2, Array4, ArrayView2, Axis, Ix4, concatenate, s};

/// The side in pixels of the images that Inception takes.
const SIDE: usize = 299;

/// Returns the FNV-1a hash of a tensor's name.
fn stream_of(name: &str) -> u64 {
    let mix = |value: u32, byte: u8| (value ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    name.bytes().fold(0x811C_9DC5, mix).into()
}

/// Returns weights by the formula.
fn weights() -> Weights {
    let mut weights = Weights::default();
    let classifier = ("fc.weight".to_string(), vec![1008, 2048]);
    for (name, axes) in Inception::tensors().into_iter().chain([classifier]) {
        let (offset, size) = match axes.len() {
            4 => (0.0, (6.0 / axes[1..].iter().product::<usize>() as f64).sqrt()),
            _ if name.ends_with("running_var") => (1.0, 0.5),
            _ if name.ends_with("bn.weight") => (1.0, 0.2),
            _ => (0.0, 0.2),
        };
        let stream = stream_of(&name);
        let len: usize = axes.iter().product();
        let value = |i| (offset + size * (2.0 * unit(stream, i) - 1.0)) as f32;
        let shape = Shape::of(&axes).expect("tensors have one, two or four axes");
        weights.insert(name, &Tensor::from_vec((0..len as u64).map(value).collect(), shape, Device::Cpu));
    }
    weights
}

/// Returns bytes by the formula.
fn picture(stream: u64, shape: (usize, usize, usize, usize)) -> Array4<u8> {
    let len = shape.0 * shape.1 * shape.2 * shape.3;
    let bytes = (0..len as u64).map(|i| (256.0 * unit(stream, i)) as u8).collect();
    Array4::from_shape_vec(shape, bytes).unwrap()
}

/// Makes three images of uniform squares, 13 pixels wide.
fn squares() -> Array4<u8> {
    let small = picture(500, (3, 3, 23, 23));
    Array4::from_shape_fn((3, 3, SIDE, SIDE), |(n, c, y, x)| small[[n, c, y / 13, x / 13]])
}

/// A single network serves all tests of this file that need it, because making its weights takes longer than using
/// them.
#[test]
fn features_are_those_of_pytorch_fid_at_every_tap_and_in_any_batch() {
    let golden = Golden::open("fid");
    let network = Inception::new(&weights(), Path::new("by formula")).unwrap();
    let images = squares();
    // The images already have the network's size, so nothing is interpolated, and they have pytorch-fid's range.
    let features = network.features(&Resize::Torch.apply(images.view(), [SIDE; 2]), &Tap::ALL);
    for (tap, features) in Tap::ALL.into_iter().zip(features) {
        let expected = golden.get(&format!("features.{}", tap.features()));
        let found = features.to_vec::<f64>();
        assert_eq!(found.len(), 3 * tap.features());
        assert_eq!(found.len(), expected.len());
        let largest = expected.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            assert_relative_eq!(*found, *expected, max_relative = 1e-4, epsilon = 1e-6 * largest);
        }
    }

    // The images are small so that several batches are quick. An image must yield the same bits in every batch.
    let small = picture(501, (7, 1, 32, 32));
    let read = |batch: usize| {
        let batches: Vec<_> =
            small.axis_chunks_iter(Axis(0), batch).map(|batch| network.read(batch, Resize::Tf1, Tap::Last)).collect();
        concatenate(Axis(0), &batches.iter().map(|batch| batch.view()).collect::<Vec<_>>()).unwrap()
    };
    let one = read(1);
    assert!(one.iter().all(|x| x.is_finite()) && one.row(0) != one.row(1));
    for batch in [3, 7] {
        assert_eq!(read(batch), one, "batches of {batch}");
    }
}

#[test]
fn images_are_resized_as_the_tools_do() {
    let golden = Golden::open("fid");
    for (i, (height, width)) in [(32, 32), (40, 52), (320, 310)].into_iter().enumerate() {
        let images = picture(510 + i as u64, (1, 3, height, width));
        for (name, resize) in Resize::ALL {
            let resized = resize.apply(images.view(), [SIDE; 2]).to_array::<f64, Ix4>();
            let expected = golden.get(&format!("resized.{name}.{i}"));
            let found = resized.slice(s![.., .., ..;23, ..;23]);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-4, "{name} of {height} x {width}: {found}, not {expected}");
            }
        }
    }
}

/// Makes features whose neighbours are correlated.
fn samples(stream: u64, count: usize, shift: f64) -> Array2<f64> {
    let u = Array2::from_shape_fn((count, 13), |(i, j)| 2.0 * unit(stream, (i * 13 + j) as u64) - 1.0);
    &u.slice(s![.., 1..]) + &(&u.slice(s![.., ..12]) * 0.5) + shift
}

fn frechet(real: ArrayView2<f64>, generated: ArrayView2<f64>) -> f64 {
    let [real, generated] = [real, generated].map(|features| {
        let mut stream = FeatureStream::new(features.ncols());
        stream.extend(features);
        stream.finish().unwrap()
    });
    frechet_distance(&real, &generated).unwrap()
}

#[test]
fn distances_are_those_of_the_tools() {
    let golden = Golden::open("fid");
    let (real, generated) = (samples(520, 60, 0.0), samples(521, 60, 0.25));
    let agrees = |name: &str, found: f64| {
        assert_relative_eq!(found, golden.get(name)[0], max_relative = 1e-6);
    };
    agrees("fid", frechet(real.view(), generated.view()));
    // With fewer samples than features, the covariances are rank-deficient.
    let few = s![..8, ..];
    agrees("fid.few", frechet(real.view(), generated.slice(few)));
    agrees("fid.both_few", frechet(real.slice(few), generated.slice(few)));

    agrees("kid.full", kernel_distance(real.view(), generated.view()).unwrap());
    let chosen: Vec<usize> = golden.get("kid.subsets").into_iter().map(|i| i as usize).collect();
    let subsets: Vec<[Vec<usize>; 2]> =
        chosen.chunks(40).map(|chosen| [chosen[..20].to_vec(), chosen[20..].to_vec()]).collect();
    let found = KernelDistance::over_subsets(real.view(), generated.view(), &subsets).unwrap();
    agrees("kid", found.mean);
    agrees("kid.deviation", found.deviation);

    let found = Neighbourhoods::of(real.view(), generated.view()).unwrap();
    agrees("precision", found.precision);
    agrees("recall", found.recall);
    agrees("density", found.density);
    agrees("coverage", found.coverage);
}
