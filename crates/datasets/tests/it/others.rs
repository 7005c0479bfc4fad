//! Tests files that other software wrote (`tests/golden/datasets`), and damaged copies of them.

use std::fs;
use std::path::{Path, PathBuf};

use mergan_datasets::{Error, FetchOptions, Fit, ImageOptions, Labelled, hex, load, open, pictures_of};
use ndarray::{Array4, Axis};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("tests/golden/datasets")
}

fn expected() -> Value {
    serde_json::from_str(&fs::read_to_string(golden().join("expected.json")).unwrap()).unwrap()
}

/// Computes the arrays by the formula that made the golden files.
pub fn formula(count: usize) -> Array4<u8> {
    Array4::from_shape_fn((count, 3, 32, 32), |(n, channel, y, x)| {
        ((40 * n + 3 * y + 5 * x + 60 * channel) % 256) as u8
    })
}

/// Returns the SHA-256 of each image, its channels last.
fn digests(split: &Labelled) -> Vec<String> {
    let digest = |image: ndarray::ArrayView3<u8>| {
        let bytes: Vec<u8> = image.permuted_axes([1, 2, 0]).iter().copied().collect();
        hex(Sha256::digest(bytes))
    };
    split.images().unwrap().outer_iter().map(digest).collect()
}

/// Makes a folder with copies of the golden files.
fn copy(folder: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

/// Returns options whose cache is in `folder`.
fn caching(folder: &TempDir) -> FetchOptions<'static> {
    FetchOptions { cache: folder.path().join("cache"), ..FetchOptions::default() }
}

#[test]
fn svhn_is_read_as_scipy_wrote_it_compressed_and_not() {
    let svhn = load(golden().join("svhn").to_str().unwrap(), &FetchOptions::default()).unwrap();
    assert_eq!((svhn.name.as_str(), svhn.class_names.len(), svhn.validation.len()), ("svhn", 10, 0));
    assert_eq!(svhn.train.images().unwrap(), formula(160));
    assert_eq!(svhn.test.images().unwrap(), formula(3));
    assert_eq!(svhn.train.labels()[..11], [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
}

#[test]
fn bad_mat_files_are_refused() {
    let folder = copy("svhn");
    let path = folder.path().join("test_32x32.mat");
    let (good, packed) = (fs::read(&path).unwrap(), fs::read(folder.path().join("train_32x32.mat")).unwrap());
    let altered = |bytes: &[u8], at: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        bytes
    };
    let label = good.len() - 4;
    assert_eq!(good[label..][..3], [1, 2, 3]);
    for (bytes, expected) in [
        (b"short".to_vec(), "at byte 0: the file ends inside its header of 128 bytes"),
        (altered(&good, 126, b'X'), "at byte 0: no MAT file of version 5"),
        (good[..5000].to_vec(), "at byte 128: it ends inside its values"),
        (packed[..packed.len() / 2].to_vec(), "at byte 128: "),
        (altered(&packed, packed.len() / 2, !packed[packed.len() / 2]), "at byte 128: "),
        (altered(&good, label, 0), "label 0 of image 0, expected 1 to 10 (which is the digit 0)"),
        (altered(&good, label, 11), "label 11 of image 0"),
        // This is the height in the array's dimensions.
        (altered(&good, 160, 33), "`X` has dimensions [33, 32, 3, 3], but 9216 values"),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = load(folder.path().to_str().unwrap(), &FetchOptions::default()).unwrap_err().to_string();
        assert!(error.contains("test_32x32.mat: ") && error.contains(expected), "{expected}: {error}");
    }
    fs::remove_file(&path).unwrap();
    let error = load(folder.path().to_str().unwrap(), &FetchOptions::default()).unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains("test_32x32.mat"), "{error}");
}

#[test]
fn svhn_and_lsun_that_are_absent_say_where_to_get_them_and_where_to_put_them() {
    let folder = tempfile::tempdir().unwrap();
    let options = FetchOptions { offline: true, ..caching(&folder) };
    for (name, expected) in [
        ("svhn", &["missing: train_32x32.mat, test_32x32.mat", "http://ufldl.stanford.edu/", "246.3 MB in all"][..]),
        ("lsun", &["missing: bedroom_train_lmdb, kitchen_train_lmdb", "http://dl.yf.io/lsun/scenes/", "(43 GB)"]),
    ] {
        let error = load(name, &options).unwrap_err().to_string();
        let cache = folder.path().join("cache").join(name).display().to_string();
        assert!(error.contains("remedy: place these files") && error.contains(&cache), "{error}");
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn pictures_come_out_as_pillow_makes_them() {
    let expected = expected();
    let names: Vec<_> = expected["pictures"].as_object().unwrap().keys().collect();
    for (variant, options) in [
        ("resized", ImageOptions { side: 64, fit: Fit::Resize, ..ImageOptions::default() }),
        ("cropped", ImageOptions::default()),
        ("grey", ImageOptions { channels: 1, ..ImageOptions::default() }),
    ] {
        let pictures =
            digests(&pictures_of(&golden().join("pictures"), &crate::folder::with(options.clone())).unwrap());
        let wanted: Vec<_> = names.iter().map(|name| expected["pictures"][name][variant].clone()).collect();
        assert_eq!(pictures, wanted, "{variant} of {names:?}");
    }
}

#[test]
fn lsun_is_read_as_python_lmdb_wrote_it_from_zips_and_folders() {
    let (folder, expected) = (tempfile::tempdir().unwrap(), expected());
    let given = FetchOptions { data_dir: Some(golden().join("lsun")), ..caching(&folder) };
    let lsun = load("lsun", &given).unwrap();
    assert_eq!(lsun.class_names, ["bedroom", "kitchen", "church_outdoor", "tower"]);
    for (split, name, count) in [(&lsun.train, "train", 8), (&lsun.test, "val", 2)] {
        assert_eq!((split.class_counts(4), split.image_shape()), (vec![count; 4], [3, 64, 64]));
        for (label, scene) in lsun.class_names.iter().enumerate() {
            let wanted = &expected["lsun"][format!("{scene}_{name}_lmdb")];
            assert_eq!(&Value::from(digests(&split.of_class(label))), wanted, "{scene}, {name}");
        }
    }
    // The result is the same from the folder's own path and from the cache, now that the zips are unpacked there.
    let images = ImageOptions { limit: Some(3), ..ImageOptions::default() };
    let path = golden().join("lsun");
    let limited = open(path.to_str().unwrap(), &FetchOptions { images, ..caching(&folder) }).unwrap();
    assert_eq!(limited.train.class_counts(4), [3; 4]);
    assert_eq!(digests(&limited.train.of_class(2)), digests(&lsun.train.of_class(2))[..3]);
    let cached = load("lsun", &FetchOptions { offline: true, ..caching(&folder) }).unwrap();
    assert_eq!(cached.train.images().unwrap(), lsun.train.images().unwrap());
}

#[test]
fn bad_zips_leave_the_cache_as_it_was() {
    let folder = copy("lsun");
    let path = folder.path().join("kitchen_train_lmdb.zip");
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 0x10;
    let other = fs::read(folder.path().join("tower_train_lmdb.zip")).unwrap();
    // Zeros compress a thousandfold, and the sizes are in the headers before and after them.
    let bomb = zipped("kitchen_train_lmdb/data.mdb", &vec![0; 4 << 20]);
    let climbing = zipped("../../kitchen_train_lmdb/data.mdb", b"text");
    for (bytes, expected) in [
        (b"text".to_vec(), "no zip archive"),
        (good[..good.len() / 2].to_vec(), "no zip archive"),
        (flipped, "kitchen_train_lmdb/data.mdb: "),
        (other, "kitchen_train_lmdb/data.mdb: "),
        (climbing, "kitchen_train_lmdb/data.mdb: "),
        (bomb, "to 4194304 bytes, which pictures do not"),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = load(folder.path().to_str().unwrap(), &caching(&folder)).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Format { .. }) && text.contains(expected), "{expected}: {text}");
        assert!(!folder.path().join("cache/lsun/kitchen_train_lmdb").exists());
        assert!(!folder.path().join("kitchen_train_lmdb").exists());
    }
}

fn zipped(name: &str, bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(bytes).unwrap();
    archive.finish().unwrap().into_inner()
}

#[test]
fn damaged_lmdb_files_are_errors() {
    let (folder, path) = (tempfile::tempdir().unwrap(), "bedroom_val_lmdb/data.mdb");
    let good = fs::read(golden().join("lsun").join(path)).unwrap();
    for scene in ["bedroom", "kitchen", "church_outdoor", "tower"] {
        let to = folder.path().join(format!("{scene}_train_lmdb"));
        fs::create_dir(&to).unwrap();
        fs::write(to.join("data.mdb"), &good).unwrap();
    }
    let folder_path = folder.path().to_str().unwrap();
    let options = caching(&folder);
    let images = load(folder_path, &options).unwrap().train;
    assert_eq!(images.class_counts(4), [2; 4]);
    let path = folder.path().join("tower_train_lmdb/data.mdb");
    let complaint = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        load(folder_path, &options).map(|lsun| lsun.train).map_err(|error| error.to_string())
    };
    assert!(complaint(b"text").unwrap_err().contains("the file ends inside a page"));
    assert!(complaint(&vec![7; good.len()]).unwrap_err().contains("this is no LMDB file"));
    assert!(complaint(&good[..good.len() - 4096]).unwrap_err().contains("its last page is number 2"));

    // A flipped bit either is refused or yields a picture of the same shape; it never ends the process.
    let mut refused = 0;
    for bit in (0..good.len() * 8).step_by(97) {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match complaint(&flipped) {
            Err(error) => {
                assert!(error.contains("tower"), "{error}");
                refused += 1;
            }
            Ok(images) => assert_eq!(images.images().unwrap().index_axis(Axis(0), 0).dim(), (3, 64, 64)),
        }
    }
    assert!(refused > 0);
}

/// Makes an LMDB file of 512-byte pages: `levels` branches, each of which names the next page `children` times, and an
/// empty leaf.
fn fan(levels: u64, children: u16) -> Vec<u8> {
    let page = |fields: &[(usize, &[u8])]| {
        let mut page = vec![0; 512];
        fields.iter().for_each(|(at, bytes)| page[*at..at + bytes.len()].copy_from_slice(bytes));
        page
    };
    let last = levels + 2;
    let header = page(&[
        (16, &0xbeef_c0de_u32.to_le_bytes()),
        (20, &1_u32.to_le_bytes()),
        (40, &512_u32.to_le_bytes()),
        (128, &2_u64.to_le_bytes()),
        (136, &last.to_le_bytes()),
    ]);
    let mut file = [header.clone(), header].concat();
    for number in 2..last {
        let offsets: Vec<u8> = (0..children).flat_map(|_| 400_u16.to_le_bytes()).collect();
        let end = 16 + 2 * children;
        file.extend(page(&[
            (0, &number.to_le_bytes()),
            (10, &1_u16.to_le_bytes()),
            (12, &end.to_le_bytes()),
            (16, &offsets),
            (400, &(number as u32 + 1).to_le_bytes()),
        ]));
    }
    file.extend(page(&[(0, &last.to_le_bytes()), (10, &2_u16.to_le_bytes()), (12, &16_u16.to_le_bytes())]));
    file
}

#[test]
fn a_page_that_is_in_the_tree_twice_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for scene in ["bedroom", "kitchen", "church_outdoor", "tower"] {
        let to = folder.path().join(format!("{scene}_train_lmdb"));
        fs::create_dir(&to).unwrap();
        fs::write(to.join("data.mdb"), fan(20, 1)).unwrap();
    }
    let path = folder.path().to_str().unwrap();
    assert!(open(path, &caching(&folder)).unwrap().train.is_empty());
    // The walk of all paths through these pages would not end.
    fs::write(folder.path().join("tower_train_lmdb/data.mdb"), fan(28, 100)).unwrap();
    let error = open(path, &caching(&folder)).unwrap_err().to_string();
    assert!(error.contains("is in the tree twice") && !error.contains("fetched again"), "{error}");
}
