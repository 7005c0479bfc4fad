//! Tests distances and accuracies of images from every source, on a network with random weights.

use std::fs;
use std::path::{Path, PathBuf};

use mergan_metrics::datasets::npy::{Element, header};
use mergan_metrics::datasets::{FetchOptions, Labelled};
use mergan_metrics::models::{Classifier, FitOptions, Inception, Resize};
use mergan_metrics::tensor::{Device, Random};
use mergan_metrics::{
    Distance, Family, FeatureError, FeatureNetwork, FeatureSet, Images, ImagesError, Input, Subsets, accuracy,
    cached_weights, distances,
};
use ndarray::{Array4, Axis, concatenate};

/// Makes noise images (N, 3, 24, 20), brighter by `shift`.
fn noise(count: usize, shift: usize) -> Array4<u8> {
    Array4::from_shape_fn((count, 3, 24, 20), |(n, c, y, x)| {
        ((x / 4 * 71 + y / 4 * 113 + n * 37 * (x / 4 + 1) + c * 29) % 150 + shift) as u8
    })
}

/// Saves images as pictures in a folder.
fn save_pictures(folder: &Path, images: &Array4<u8>) {
    fs::create_dir(folder).unwrap();
    for (n, image) in images.outer_iter().enumerate() {
        let pixel = |x: u32, y: u32| image::Rgb([0, 1, 2].map(|c| image[[c, y as usize, x as usize]]));
        image::RgbImage::from_fn(20, 24, pixel).save(folder.join(format!("{n:03}.png"))).unwrap();
    }
}

/// Saves images as an array N x H x W x C.
fn save_array(path: &Path, images: &Array4<u8>) {
    let (n, c, h, w) = images.dim();
    let mut file = header(Element::U8, &[n, h, w, c]);
    file.extend(images.view().permuted_axes([0, 2, 3, 1]).iter());
    fs::write(path, file).unwrap();
}

fn network(folder: &Path) -> (PathBuf, FeatureNetwork) {
    let weights = folder.join("noise.safetensors");
    Inception::noise(Random::new(1), Device::Cpu).save(&weights).unwrap();
    let network = FeatureNetwork::open_as("noise", &weights, Resize::Tf1, Device::Cpu).unwrap();
    (weights, network)
}

#[test]
fn images_have_one_distance_wherever_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (weights, network) = network(folder.path());
    let (real, generated) = (noise(17, 0), noise(3, 80));
    save_pictures(&path("real"), &real);
    save_array(&path("real.npy"), &real);

    // The same distances are computed step by step: features, their statistics, and the distances between them.
    let families = [Family::Fid, Family::Kid];
    let sets = [&real, &generated].map(|images| {
        let features = network.read(images.view());
        FeatureSet::gather(network.dimension(), &families, [Ok::<_, FeatureError>(features)]).unwrap()
    });
    let expected = distances(&families, &sets[0], &sets[1], Subsets::default()).unwrap();
    let found = network.distances(&families, real.clone(), generated.clone()).unwrap();
    let names: Vec<_> = found.iter().map(|distance| distance.metric.as_str()).collect();
    assert_eq!(names, ["fd_noise", "kid_noise", "kid_deviation_noise", "kid_full_noise"]);
    let values = |distances: &[Distance]| distances.iter().map(|distance| distance.value).collect::<Vec<_>>();
    assert_eq!(values(&found), values(&expected));
    assert!(found[0].value > 0.0 && found[0].warning.as_ref().unwrap().contains("3 samples of 2048 features"));

    let [FeatureSet { statistics, .. }, _] = sets;
    statistics.save(&path("real.npz")).unwrap();
    let mut heard = Vec::new();
    for side in [
        Input::open(path("real")).unwrap(),
        Images::open(path("real.npy")).unwrap().into(),
        Images::from(Labelled::new(real, vec![0; 17]).unwrap()).into(),
        Input::open(path("real.npz")).unwrap(),
    ] {
        let set = network.features(side, &[Family::Fid], |done, total| heard.push((done, total))).unwrap();
        assert_eq!((&set.statistics, set.features), (&statistics, None));
    }
    assert_eq!(heard, [(0, 17), (16, 17), (17, 17)].repeat(3));

    let error = network.distances(&families, statistics, generated).unwrap_err();
    assert!(matches!(error, ImagesError::StatisticsOnly), "{error}");
    let error = FeatureNetwork::open(&weights, Resize::Tf1, Device::Cpu).err().unwrap();
    assert!(matches!(error, ImagesError::OtherNetwork { .. }), "{error}");
    let refused = |images: Array4<u8>| network.fid(images, noise(2, 0)).unwrap_err();
    let few = refused(noise(1, 0));
    assert!(matches!(few, ImagesError::Features(FeatureError::TooFewSamples { count: 1, .. })), "{few}");
    for shape in [(2, 2, 8, 8), (2, 3, 0, 8)] {
        let error = refused(Array4::zeros(shape));
        assert!(matches!(error, ImagesError::Shape { .. }), "{error}");
    }
}

#[test]
fn a_file_that_is_no_set_of_images_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    save_pictures(&path("mixed"), &noise(20, 0));
    image::GrayImage::new(21, 24).save(path("mixed/zzz.png")).unwrap();
    save_pictures(&path("bad"), &noise(2, 0));
    fs::write(path("bad/zzz.png"), "no picture").unwrap();
    fs::create_dir(path("empty")).unwrap();
    fs::write(path("text.npy"), "no array").unwrap();
    fs::write(path("text.npz"), "no archive").unwrap();
    fs::write(path("flat.npy"), header(Element::U8, &[2, 2])).unwrap();
    fs::write(path("wide.npy"), header(Element::F32, &[2, 2, 2, 3])).unwrap();
    fs::write(path("cut.npy"), header(Element::U8, &[2, 2, 2, 3])).unwrap();
    let read = |name: &str| Images::open(path(name))?.into_iter().try_for_each(|batch| batch.map(drop));
    for (name, expected) in [
        ("mixed", "mixed sizes: "),
        ("bad", "zzz.png cannot be read as an image"),
        ("empty", "empty holds no pictures (PNG, JPEG, WebP, BMP, GIF, TIFF or PNM)"),
        ("text.npy", "text.npy is no array of images"),
        ("text.npz", "text.npz is no .npz archive"),
        ("flat.npy", "flat.npy has the axes [2, 2]"),
        ("wide.npy", "wide.npy holds no bytes"),
        ("cut.npy", "cut.npy"),
        ("absent.npy", "absent.npy"),
        ("absent", "absent is no set of images"),
    ] {
        let error = read(name).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn weights_that_are_not_at_hand_are_asked_for() {
    let cache = tempfile::tempdir().unwrap();
    let error = cached_weights(cache.path()).unwrap_err().to_string();
    assert!(error.contains("no weights of Inception") && error.contains("6726825d"), "{error}");
    let options = FetchOptions { cache: cache.path().into(), offline: true, ..FetchOptions::default() };
    let error = FeatureNetwork::obtain(&options, Resize::Tf1, Device::Cpu).err().unwrap();
    assert!(error.to_string().contains("cannot obtain all files of dataset `inception`"), "{error}");
}

#[test]
fn the_accuracy_is_the_share_that_the_classifier_takes_for_the_class() {
    let (dark, bright) = (noise(20, 0), noise(20, 100));
    let images = concatenate(Axis(0), &[dark.view(), bright.view()]).unwrap();
    let labels: Vec<usize> = (0..40).map(|n| n / 20).collect();
    let options = FitOptions { epochs: 8, batch: 8, rate: 1e-3 };
    let classifier = Classifier::fit(images.view(), &labels, 2, options, Random::new(0), |_| ());
    let both = accuracy(&classifier, images.clone(), 1).unwrap();
    let taken = classifier.predict(images.view()).into_iter().filter(|&label| label == 1).count();
    assert!(both == taken as f64 / 40.0 && both > 0.3 && both < 0.7, "{both}");
    assert!(accuracy(&classifier, bright.clone(), 1).unwrap() > 0.9);

    let refused = |images: Array4<u8>, class| accuracy(&classifier, images, class).unwrap_err();
    assert!(matches!(refused(bright, 2), ImagesError::UnknownClass { class: 2, classes: 2 }));
    assert!(matches!(refused(Array4::zeros((0, 3, 24, 20)), 0), ImagesError::Features(_)));
    for shape in [(2, 1, 24, 20), (2, 3, 40, 40), (2, 3, 16, 16)] {
        let error = refused(Array4::zeros(shape), 0).to_string();
        assert!(error.contains("like those that cnn-2x32-2x64-3x128-512-128 was trained on"), "{error}");
    }
}
