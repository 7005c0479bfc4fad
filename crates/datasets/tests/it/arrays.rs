//! Tests datasets in NumPy's files.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use mergan_datasets::npy::{Element, header};
use mergan_datasets::{Dataset, Error, FetchOptions, ImageOptions, Labelled, load};
use zip::write::SimpleFileOptions;

use crate::folder::with;

/// Makes an array of bytes, each of `count` images filled with its number.
fn images(count: usize, axes: &[usize]) -> Vec<u8> {
    let shape = [&[count], axes].concat();
    let pixels = (0..count).flat_map(|number| vec![number as u8; axes.iter().product()]);
    header(Element::U8, &shape).into_iter().chain(pixels).collect()
}

/// Makes labels as NumPy does by default.
fn labels(labels: &[i64]) -> Vec<u8> {
    header(Element::I64, &[labels.len()])
        .into_iter()
        .chain(labels.iter().flat_map(|label| label.to_le_bytes()))
        .collect()
}

fn npz(path: &Path, arrays: &[(&str, Vec<u8>)]) {
    let mut archive = zip::ZipWriter::new(File::create(path).unwrap());
    for (name, array) in arrays {
        archive.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        archive.write_all(array).unwrap();
    }
    archive.finish().unwrap();
}

fn open(path: &Path) -> Result<Dataset, Error> {
    load(path.to_str().unwrap(), &FetchOptions::default())
}

const LABELS: [i64; 12] = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1];

#[test]
fn an_archive_and_files_of_images_and_labels_are_datasets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.npz");
    for [x, y] in [["images", "labels"], ["x", "y"], ["X", "y"], ["data", "labels"], ["arr_0", "arr_1"]] {
        npz(&path, &[(x, images(12, &[32, 32])), (y, labels(&LABELS))]);
        let set = open(&path).unwrap();
        assert_eq!(
            (set.class_names.as_slice(), set.train.image_shape()),
            (["0".into(), "1".into()].as_slice(), [1, 32, 32])
        );
        assert_eq!((set.train.class_counts(2), set.test.class_counts(2)), (vec![5, 5], vec![1, 1]));
        let images = set.train.images().unwrap();
        assert!(
            images
                .outer_iter()
                .zip(set.train.labels())
                .all(|(image, &label)| usize::from(image[[0, 0, 0]]) % 2 == label)
        );

        // The same arrays as files, by either's name and by their folder's.
        let files = tempfile::tempdir().unwrap();
        for (name, array) in [(x, self::images(12, &[32, 32])), (y, labels(&LABELS))] {
            fs::write(files.path().join(format!("{name}.npy")), array).unwrap();
        }
        for named in [files.path().into(), files.path().join(format!("{x}.npy")), files.path().join(format!("{y}.npy"))]
        {
            let found = open(&named).unwrap();
            assert_eq!(found.fingerprint().unwrap().sha256, set.fingerprint().unwrap().sha256);
        }
    }
}

#[test]
fn kerass_archive_is_a_split_and_images_come_to_the_networks_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mnist.npz");
    let bytes = |labels: &[u8]| [header(Element::U8, &[labels.len(), 1]), labels.to_vec()].concat();
    npz(
        &path,
        &[
            ("x_test", images(3, &[28, 28])),
            ("x_train", images(4, &[28, 28])),
            ("y_train", bytes(&[0, 1, 2, 0])),
            ("y_test", bytes(&[2, 1, 0])),
        ],
    );
    let mnist = open(&path).unwrap();
    assert_eq!((mnist.train.len(), mnist.test.labels(), mnist.train.image_shape()), (4, &[2, 1, 0][..], [1, 32, 32]));
    assert!(
        mnist.train.images().unwrap().outer_iter().enumerate().all(|(n, image)| image.iter().all(|&v| v == n as u8))
    );

    for (axes, options, expected) in [
        (&[64, 64, 3][..], ImageOptions::default(), [3, 32, 32]),
        (&[64, 64, 3], ImageOptions { side: 64, ..ImageOptions::default() }, [3, 64, 64]),
        (&[3, 32, 32], ImageOptions::default(), [3, 32, 32]),
        (&[40, 50, 3], ImageOptions { side: 64, channels: 1, ..ImageOptions::default() }, [1, 64, 64]),
    ] {
        npz(&path, &[("images", images(2, axes)), ("labels", labels(&[0, 0]))]);
        let set = load(path.to_str().unwrap(), &with(options)).unwrap();
        assert_eq!(set.train.image_shape(), expected);
        assert_eq!(set.test.images().unwrap()[[0, 0, 9, 9]], 1);
    }
}

#[test]
fn a_limit_takes_the_first_images_of_each_class() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.npz");
    npz(&path, &[("images", images(12, &[32, 32])), ("labels", labels(&LABELS))]);
    let set = load(path.to_str().unwrap(), &with(ImageOptions { limit: Some(2), ..ImageOptions::default() })).unwrap();
    let firsts = |set: &Labelled| set.images().unwrap().outer_iter().map(|image| image[[0, 0, 0]]).collect::<Vec<_>>();
    assert_eq!((firsts(&set.train), firsts(&set.test)), (vec![0, 1], vec![2, 3]));
}

#[test]
fn arrays_of_other_things_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.npz");
    let floats = [header(Element::F32, &[1, 32, 32]), vec![0; 4096]].concat();
    let unknown = [header(Element::F64, &[1]), 0.5_f64.to_le_bytes().to_vec()].concat();
    let endless = [header(Element::U8, &[9_000_000_000, 32, 32])].concat();
    let bomb = [header(Element::U8, &[70_000, 32, 32]), vec![0; 70_000 * 1024]].concat();
    for (arrays, expected) in [
        (vec![("images", images(2, &[32, 32]))], "no array of images with one of labels (arrays found: images)"),
        (vec![("images", images(2, &[32, 32])), ("labels", labels(&[0]))], "2 images but 1 labels"),
        (vec![("images", floats), ("labels", labels(&[0]))], "array images: holds no bytes in row-major order"),
        (vec![("images", images(1, &[32, 32])), ("labels", labels(&[-1]))], "array labels: label -1 of image 0"),
        (vec![("images", images(1, &[32, 32])), ("labels", unknown)], "array labels: label 0.5 of image 0"),
        (vec![("images", images(1, &[32])), ("labels", labels(&[0]))], "array images: has the axes [1, 32]"),
        (vec![("images", endless), ("labels", labels(&[0]))], "9000000000 images take more than"),
        (vec![("images", bomb), ("labels", labels(&[0]))], "unpack to more than 67108864"),
        (vec![("images", images(2, &[32, 32])), ("labels", labels(&[0, 2]))], "class 1 has no image"),
    ] {
        npz(&path, &arrays);
        let error = open(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    fs::write(&path, "text").unwrap();
    assert!(open(&path).unwrap_err().to_string().contains("set.npz: it is no .npz archive"));
    let lonely = folder.path().join("images.npy");
    fs::write(&lonely, images(2, &[32, 32])).unwrap();
    assert!(open(&lonely).unwrap_err().to_string().contains("no array of images with one of labels"));
}
