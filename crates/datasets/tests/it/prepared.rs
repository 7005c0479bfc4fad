//! Tests prepared files: read as h5py wrote them, written from every kind of dataset, and refused when damaged.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use hdf5::types::VarLenUnicode;
use mergan_datasets::{
    Dataset, Error, Event, FetchOptions, ImageOptions, TaskOptions, TaskSequence, convert, load, open,
};
use ndarray::{Array1, Array4};

use crate::folder::pets;
use crate::others::{formula, golden};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Returns every `step`-th index below `count`, in ascending and then in descending order.
fn shuffled(count: usize, step: usize) -> Vec<usize> {
    (0..count).step_by(step).chain((0..count).rev().step_by(step)).collect()
}

fn assert_same(left: &Dataset, right: &Dataset) {
    assert_eq!(left.class_names, right.class_names);
    let splits = |data: &Dataset| [data.train.clone(), data.validation.clone(), data.test.clone()];
    for (left, right) in splits(left).iter().zip(splits(right)) {
        assert_eq!(left.labels(), right.labels());
        assert_eq!(left.image_shape(), right.image_shape());
        assert_eq!(left.images().unwrap(), right.images().unwrap());
    }
}

#[test]
fn what_h5py_wrote_is_read_from_the_file_and_from_memory() {
    let path = golden().join("prepared.h5");
    let options = FetchOptions::default();
    let (file, memory) = (open(text(&path), &options).unwrap(), load(text(&path), &options).unwrap());
    assert!(!file.train.is_in_memory() && memory.train.is_in_memory());
    assert_eq!((file.class_names.join(" "), file.validation.len()), ("even odd".into(), 0));
    assert_eq!(file.train.labels(), [0, 1, 0, 1, 0, 1]);
    assert_eq!(file.train.images().unwrap(), formula(6));
    assert_same(&file, &memory);
}

#[test]
fn every_dataset_survives_the_way_through_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let pets = pets();
    let options = FetchOptions { cache: folder.path().join("cache"), ..FetchOptions::default() };
    for name in ["shapes", text(&golden().join("svhn")), text(&golden().join("lsun")), text(pets.path())] {
        let out = folder.path().join("out.h5");
        let written = convert(name, &out, &options).unwrap();
        let direct = load(name, &options).unwrap();
        assert_same(&written, &direct);
        // These are batches of a task, as training draws them.
        let tasks = TaskSequence::new(direct.class_names.len(), &TaskOptions::default()).unwrap();
        let [file, memory] = [&written, &direct].map(|data| tasks.images_of(&[1], &data.train));
        let batch = shuffled(file.len(), 3);
        assert_eq!(file.select(&batch).images().unwrap(), memory.select(&batch).images().unwrap());
        // A conversion may also read the file that it overwrites.
        assert_same(&convert(text(&out), &out, &options).unwrap(), &direct);
        assert_eq!(names(folder.path()).last().unwrap(), "out.h5");
        assert!(names(folder.path()).iter().all(|name| !name.starts_with('.')), "nothing temporary is left");
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_cannot_be_converted_leaves_nothing() {
    let (folder, pets) = (tempfile::tempdir().unwrap(), pets());
    let out = folder.path().join("pets.h5");
    fs::write(pets.path().join("cat/07.png"), "text").unwrap();
    fs::write(&out, "from before").unwrap();
    let options = FetchOptions::default();
    let error = convert(text(pets.path()), &out, &options).unwrap_err().to_string();
    assert!(error.contains("cat/07.png cannot be read as an image"), "{error}");
    assert_eq!((names(folder.path()), fs::read(&out).unwrap()), (vec!["pets.h5".into()], b"from before".to_vec()));

    let (skipped, done) = (Cell::new(0), Cell::new((0, 0)));
    let observer = |event: Event<'_>| match event {
        Event::Skipped { .. } => skipped.set(skipped.get() + 1),
        Event::Preparing { done: now, total, .. } => done.set((now, total)),
        other => panic!("{other:?}"),
    };
    let images = ImageOptions { skip_bad: true, ..ImageOptions::default() };
    let options = FetchOptions { images, observer: &observer, ..FetchOptions::default() };
    let written = convert(text(pets.path()), &out, &options).unwrap();
    assert_eq!((skipped.get(), done.get()), (1, (15, 15)));
    assert_eq!((written.train.class_counts(2), written.test.class_counts(2)), (vec![9, 2], vec![2, 1]));

    let nowhere = folder.path().join("no/such/folder/pets.h5");
    let error = convert("shapes", &nowhere, &FetchOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
}

/// Makes a prepared file of these arrays.
fn file(folder: &Path, names: &[&str], images: &Array4<u8>, labels: &[i64]) -> PathBuf {
    let path = folder.join("made.h5");
    let file = hdf5::File::create(&path).unwrap();
    let names: Vec<VarLenUnicode> = names.iter().map(|name| name.parse().unwrap()).collect();
    file.new_dataset_builder().with_data(&names).create("class_names").unwrap();
    let train = file.create_group("train").unwrap();
    train.new_dataset_builder().with_data(images).create("images").unwrap();
    train.new_dataset_builder().with_data(&Array1::from(labels.to_vec())).create("labels").unwrap();
    path
}

#[test]
fn files_that_contradict_the_format_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let images = Array4::from_elem((2, 32, 32, 3), 7);
    let complaint = |path: &Path| load(text(path), &FetchOptions::default()).unwrap_err().to_string();
    for (names, images, labels, expected) in [
        (&["a", "b"][..], &images, &[0, 2][..], "train: label 2 of image 1, but there are only 2 classes"),
        (&["a", "b"], &images, &[0, -1], "label -1 of image 1"),
        (&["a", "b"], &images, &[0, 0], "class b has no image"),
        (&["a"], &images, &[0], "train: labels has shape [1], expected [2] as there are images"),
        (
            &["a"],
            &Array4::zeros((2, 32, 32, 4)),
            &[0, 0],
            "train: images has shape [2, 32, 32, 4], expected [N, height,",
        ),
        (&["a"], &Array4::zeros((1, 1, 2000, 1)), &[0], "train: images has shape [1, 1, 2000, 1]"),
    ] {
        let error = complaint(&file(folder.path(), names, images, labels));
        assert!(error.contains(expected), "{error}");
    }

    let path = file(folder.path(), &["a"], &images, &[0, 0]);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    assert!(complaint(&path).contains("made.h5: "));
    fs::write(&path, "no HDF5").unwrap();
    assert!(complaint(&path).contains("made.h5 is no dataset: give a folder"));

    let strange = hdf5::File::create(&path).unwrap();
    strange.new_dataset_builder().with_data(&[1_u8]).create("class_names").unwrap();
    strange.close().unwrap();
    assert!(complaint(&path).contains("class_names holds uint8, expected strings, of at most 1024 bytes each"));
    hdf5::File::create(&path).unwrap().close().unwrap();
    assert!(complaint(&path).contains("it has no dataset `class_names`"));
}

/// A file may promise far more than it holds.
#[test]
fn sizes_are_checked_before_memory_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.h5");
    let file = hdf5::File::create(&path).unwrap();
    let names: Vec<VarLenUnicode> = vec!["a".parse().unwrap()];
    file.new_dataset_builder().with_data(&names).create("class_names").unwrap();
    let train = file.create_group("train").unwrap();
    let count = 1_usize << 40;
    train.new_dataset::<u8>().chunk((1, 32, 32, 3)).shape((count, 32, 32, 3)).create("images").unwrap();
    train.new_dataset::<i64>().chunk(64).shape(count).create("labels").unwrap();
    file.close().unwrap();
    let error = load(text(&path), &FetchOptions::default()).unwrap_err().to_string();
    assert!(error.contains("images has shape [1099511627776, 32, 32, 3]"), "{error}");
}

/// Makes many images of few files by links inside a folder: more than one slab, and more than one chunk of the file.
#[cfg(unix)]
#[test]
fn four_thousand_images_go_through_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let sources = pets();
    let many = sources.path().join("many");
    fs::create_dir(&many).unwrap();
    for number in 0..4000 {
        let source = sources.path().join(format!("cat/{:02}.png", number % 12));
        std::os::unix::fs::symlink(source, many.join(format!("{number:04}.png"))).unwrap();
    }
    let images = ImageOptions { side: 64, ..ImageOptions::default() };
    let options = FetchOptions { images, ..FetchOptions::default() };
    let written = convert(text(sources.path()), &folder.path().join("many.h5"), &options).unwrap();
    assert_eq!((written.train.class_counts(3), written.train.image_shape()), (vec![10, 2, 3600], [3, 64, 64]));
    let direct = open(text(sources.path()), &options).unwrap();
    let batch = shuffled(written.train.len(), 97);
    assert_eq!(written.train.select(&batch).images().unwrap(), direct.train.select(&batch).images().unwrap());
    assert_eq!(
        written.train.slabs(1000).map(|slab| slab.images().unwrap().len()).sum::<usize>(),
        written.train.bytes()
    );
}

#[test]
fn data_in_other_files_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let images = Array4::from_elem((2, 32, 32, 3), 7_u8);
    let secret = folder.path().join("secret");
    fs::write(&secret, vec![65; 2 * 32 * 32 * 3]).unwrap();
    let other = folder.path().join("other.h5");
    fs::copy(file(folder.path(), &["a"], &images, &[0, 0]), &other).unwrap();
    let refused = |change: &dyn Fn(&hdf5::File), expected: &str| {
        let path = file(folder.path(), &["a"], &images, &[0, 0]);
        let opened = hdf5::File::open_rw(&path).unwrap();
        change(&opened);
        opened.close().unwrap();
        let error = load(text(&path), &FetchOptions::default()).unwrap_err().to_string();
        assert!(error.contains("made.h5: ") && error.contains(expected), "{error}");
    };
    let raw = |file: &hdf5::File| {
        let train = file.group("train").unwrap();
        train.unlink("images").unwrap();
        let images = train.new_dataset::<u8>().shape((2, 32, 32, 3));
        images.external(text(&secret), 0, 2 * 32 * 32 * 3).create("images").unwrap();
    };
    refused(&raw, "the data of `images` lie in another file");
    let linked = |file: &hdf5::File| {
        file.unlink("train").unwrap();
        file.link_external("other.h5", "/train", "train").unwrap();
    };
    refused(&linked, "`train` is a link to another file");
    let within = |file: &hdf5::File| {
        file.unlink("train/images").unwrap();
        file.link_external("other.h5", "/train/images", "train/images").unwrap();
    };
    refused(&within, "train: `images` is a link to another file");
    // A link inside the file may lead to one that leads out of it.
    let indirect = |file: &hdf5::File| {
        file.unlink("train/images").unwrap();
        file.create_group("away").unwrap().link_external("other.h5", "/train/images", "images").unwrap();
        file.link_soft("/away/images", "train/images").unwrap();
    };
    refused(&indirect, "the data of `images` lie in another file");
    let virtual_ = |file: &hdf5::File| {
        let train = file.group("train").unwrap();
        train.unlink("images").unwrap();
        let images = train.new_dataset::<u8>().shape((2, 32, 32, 3));
        let all = (0..2, 0..32, 0..32, 0..3);
        images
            .virtual_map(".", "/train/images", (2, 32, 32, 3), all.clone(), (2, 32, 32, 3), all)
            .create("images")
            .unwrap();
    };
    refused(&virtual_, "`images` is a virtual dataset");
}

/// A file that h5py compressed with gzip, whose filter gets another number. The number lies before the filter's name, with
/// three more.
#[test]
fn a_filter_that_is_not_built_in_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packed.h5");
    let whole = fs::read(golden().join("prepared.h5")).unwrap();
    for (number, expected) in [(32_000_u16, "compressed with lzf"), (32_015, "compressed with the filter 32015")] {
        let mut bytes = whole.clone();
        let name = bytes.windows(7).position(|bytes| bytes == b"deflate").unwrap();
        bytes[name - 8..name - 6].copy_from_slice(&number.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        let error = load(text(&path), &FetchOptions::default()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("gzip"), "{error}");
    }
}

#[test]
fn class_names_may_have_a_fixed_length_and_are_printable() {
    use hdf5::types::{FixedAscii, FixedUnicode};
    let folder = tempfile::tempdir().unwrap();
    let names = |write: &dyn Fn(&hdf5::File)| {
        let path = file(folder.path(), &["a", "b"], &Array4::zeros((2, 32, 32, 1)), &[0, 1]);
        let opened = hdf5::File::open_rw(&path).unwrap();
        opened.unlink("class_names").unwrap();
        write(&opened);
        opened.close().unwrap();
        load(text(&path), &FetchOptions::default()).unwrap().class_names
    };
    let ascii = ["cat", "dog\u{1b}[2J"].map(|name| FixedAscii::<9>::from_ascii(name).unwrap());
    let written = |file: &hdf5::File| drop(file.new_dataset_builder().with_data(&ascii).create("class_names").unwrap());
    assert_eq!(names(&written), ["cat", "dog\\u{1b}[2J"]);
    let unicode = ["käse", "ñu"].map(|name| name.parse::<FixedUnicode<7>>().unwrap());
    let written =
        |file: &hdf5::File| drop(file.new_dataset_builder().with_data(&unicode).create("class_names").unwrap());
    assert_eq!(names(&written), ["käse", "ñu"]);
}
