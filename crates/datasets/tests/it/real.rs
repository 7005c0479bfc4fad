//! Tests the real datasets, from any source this machine reaches. In a clone they are kept in the clone's cache.

use std::path::Path;

use mergan_datasets::{FetchOptions, load};

fn options() -> FetchOptions<'static> {
    let mut options = FetchOptions::default();
    let clone = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join("data").is_dir());
    if let (Some(clone), None) = (clone, std::env::var_os("MERGAN_DATA")) {
        options.cache = clone.join("data/cache");
    }
    options
}

#[test]
fn the_real_mnist_has_its_known_counts() {
    let mnist = load("mnist", &options()).unwrap();
    assert_eq!((mnist.train.len(), mnist.validation.len(), mnist.test.len()), (55_000, 5_000, 10_000));
    assert_eq!(mnist.test.class_counts(10), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    let (train, held_out) = (mnist.train.class_counts(10), mnist.validation.class_counts(10));
    let all: Vec<_> = train.iter().zip(held_out).map(|(a, b)| a + b).collect();
    assert_eq!(all, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    assert_eq!(
        mnist.validation.labels()[..10],
        [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
        "the first training images are held out"
    );
    assert_eq!(mnist.test.labels()[..5], [7, 2, 1, 0, 4]);
    assert_eq!(mnist.class_names[7], "7");

    // The mean grey of the 28 x 28 training images is well known: 0.1307 of white.
    let pixels = [&mnist.train, &mnist.validation]
        .map(|split| split.images().unwrap().iter().map(|&v| u64::from(v)).sum::<u64>());
    let mean = pixels.iter().sum::<u64>() as f64 / (60_000.0 * 28.0 * 28.0 * 255.0);
    assert!((mean - 0.1307).abs() < 1e-4, "{mean}");

    assert_eq!(mnist.train.image_shape(), [1, 32, 32]);
    assert_eq!(mnist.train.images().unwrap()[[0, 0, 0, 0]], 0, "padding is black");
}

#[test]
fn the_real_fashion_mnist_has_its_known_counts() {
    let fashion = load("fashion", &options()).unwrap();
    assert_eq!((fashion.train.len(), fashion.validation.len(), fashion.test.len()), (60_000, 0, 10_000));
    assert_eq!(fashion.train.class_counts(10), [6000; 10]);
    assert_eq!(fashion.test.class_counts(10), [1000; 10]);
    assert_eq!(fashion.train.labels()[..5], [9, 0, 0, 3, 0]);
    assert_eq!(fashion.class_names[9], "Ankle boot");

    // The mean grey is well known here too: 0.2860.
    let sum: u64 = fashion.train.images().unwrap().iter().map(|&value| u64::from(value)).sum();
    let mean = sum as f64 / (60_000.0 * 28.0 * 28.0 * 255.0);
    assert!((mean - 0.2860).abs() < 1e-4, "{mean}");
}
