//! Tests what makes no difference to a dataset's fingerprint, what does, and how differences are described.

use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

use image::RgbImage;
use mergan_datasets::{
    Dataset, Error, FetchOptions, Fingerprint, Fit, ImageOptions, Labelled, load, open, pictures_of,
};
use ndarray::{Array4, Axis, concatenate, s};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::folder::{pets, plain, save};

fn options(images: &ImageOptions) -> FetchOptions<'static> {
    FetchOptions { images: images.clone(), ..FetchOptions::default() }
}

fn loaded(folder: &Path, images: &ImageOptions) -> Fingerprint {
    load(folder.to_str().unwrap(), &options(images)).unwrap().fingerprint().unwrap()
}

fn of(folder: &TempDir) -> Fingerprint {
    loaded(folder.path(), &ImageOptions::default())
}

fn rename(folder: &TempDir, from: &str, to: &str) {
    fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
}

#[test]
fn a_folder_is_the_same_wherever_it_lies_and_whatever_its_files_are_called() {
    let (here, there) = (pets(), tempfile::tempdir().unwrap());
    let before = of(&here);
    assert!(before.sha256.len() == 64 && before.sha256.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')));
    let moved = there.path().join("elsewhere");
    fs::rename(here.path(), &moved).unwrap();
    File::options().write(true).open(moved.join("cat/00.png")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    // The new name sorts between the seventh and the eighth picture.
    fs::rename(moved.join("cat/07.png"), moved.join("cat/06b.png")).unwrap();
    fs::write(moved.join("cat/notes.txt"), "no picture").unwrap();
    for images in
        [ImageOptions::default(), ImageOptions { limit: Some(100), skip_bad: true, ..ImageOptions::default() }]
    {
        let now = loaded(&moved, &images);
        assert_eq!((&now, before.difference(&now)), (&before, None));
    }
    let opened = open(moved.to_str().unwrap(), &FetchOptions::default()).unwrap();
    assert_eq!(opened.fingerprint().unwrap(), before, "whether it was decoded");
}

#[test]
fn what_has_changed_in_a_folder_is_told() {
    type Change = fn(&TempDir);
    let changes: [(Change, &str); 9] = [
        (
            |folder| {
                rename(folder, "cat", "wolf");
                rename(folder, "dog", "cat");
                rename(folder, "wolf", "dog");
            },
            "exchanged classes: cat has the images of dog and dog has the images of cat",
        ),
        (
            |folder| {
                rename(folder, "cat/03.png", "wolf.png");
                rename(folder, "dog/1.png", "cat/03.png");
                rename(folder, "wolf.png", "dog/1.png");
            },
            "2 altered (altered: cat/03.png and dog/1.png)",
        ),
        (|folder| save(folder.path().join("dog/3.png"), plain(103)), "1 added (added: dog/3.png)"),
        (|folder| fs::remove_file(folder.path().join("cat/11.png")).unwrap(), "1 removed (removed: cat/11.png)"),
        (
            |folder| {
                for number in 3..6 {
                    save(folder.path().join(format!("dog/{number}.png")), plain(9));
                }
                fs::remove_file(folder.path().join("dog/0.png")).unwrap();
                for number in 2..6 {
                    save(folder.path().join(format!("cat/{number:02}.png")), plain(200));
                }
            },
            "3 added, 1 removed, 4 altered (added: dog/3.png, dog/4.png and dog/5.png; removed: dog/0.png; altered: \
             cat/02.png, cat/03.png, cat/04.png, ...)",
        ),
        (
            |folder| {
                let path = folder.path().join("cat/05.png");
                let before = fs::metadata(&path).unwrap();
                let is_as_long = |value: &u8| {
                    save(path.clone(), plain(*value));
                    fs::metadata(&path).unwrap().len() == before.len()
                };
                (20..=255).find(is_as_long).expect("a picture of as many bytes");
                File::options().write(true).open(&path).unwrap().set_modified(before.modified().unwrap()).unwrap();
            },
            "1 altered (altered: cat/05.png)",
        ),
        (|folder| rename(folder, "dog", "wolf"), "other classes (added: wolf; removed: dog)"),
        (|folder| save(folder.path().join("eel/0.png"), plain(1)), "other classes (added: eel)"),
        (
            // The pixels are the same, but the bytes of the file differ.
            |folder| save(folder.path().join("dog/2.png"), RgbImage::from_pixel(40, 40, image::Rgb([102; 3]))),
            "1 altered (altered: dog/2.png)",
        ),
    ];
    for (change, expected) in changes {
        let folder = pets();
        let before = of(&folder);
        change(&folder);
        assert_eq!(before.difference(&of(&folder)).as_deref(), Some(expected));
    }
}

#[test]
fn the_same_files_made_into_other_pixels_are_another_dataset() {
    let folder = pets();
    let crop = ImageOptions::default();
    for (images, expected) in [
        (ImageOptions { fit: Fit::Resize, ..crop.clone() }, "pictures made square by resize, not by crop"),
        (ImageOptions { side: 64, ..crop.clone() }, "images of 3 x 64 x 64, not of 3 x 32 x 32"),
        (ImageOptions { channels: 1, ..crop.clone() }, "images of 1 x 32 x 32, not of 3 x 32 x 32"),
        (ImageOptions { limit: Some(11), ..crop.clone() }, "1 removed (removed: cat/11.png)"),
    ] {
        assert_eq!(loaded(folder.path(), &crop).difference(&loaded(folder.path(), &images)).as_deref(), Some(expected));
    }
}

#[test]
fn pictures_that_are_left_out_are_no_part_of_it() {
    let (folder, skipping) = (pets(), ImageOptions { skip_bad: true, ..ImageOptions::default() });
    let before = of(&folder);
    fs::write(folder.path().join("cat/04.png"), "text").unwrap();
    let bad = loaded(folder.path(), &skipping);
    assert_eq!(before.difference(&bad).unwrap(), "1 removed (removed: cat/04.png)");
    fs::write(folder.path().join("cat/04.png"), "other text").unwrap();
    assert_eq!(loaded(folder.path(), &skipping), bad);
}

#[test]
fn a_class_of_pictures_has_a_fingerprint_of_its_own() {
    let folder = pets();
    let cats = || pictures_of(&folder.path().join("cat"), &options(&ImageOptions::default())).unwrap();
    let before = cats();
    let print = before.fingerprint().unwrap();
    let text = serde_json::to_string(&print).unwrap();
    assert!(text.contains(r#""07.png":"#), "{text}");
    assert_eq!(before.select(&(0..12).collect::<Vec<_>>()).fingerprint().unwrap(), print);
    let fewer = before.select(&[0, 1, 2]).fingerprint().unwrap();
    assert_eq!(print.difference(&fewer).unwrap(), "9 removed (removed: 03.png, 04.png, 05.png, ...)");
    rename(&folder, "cat/00.png", "cat/12.png");
    let now = cats().fingerprint().unwrap();
    assert_eq!(print.difference(&now).unwrap(), "1 added, 1 removed (added: 12.png; removed: 00.png)");
}

#[test]
fn a_picture_that_is_altered_meanwhile_is_refused() {
    let folder = pets();
    let data = open(folder.path().to_str().unwrap(), &FetchOptions::default()).unwrap();
    data.fingerprint().unwrap();
    save(folder.path().join("cat/03.png"), plain(33));
    let error = data.train.images().unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Altered { .. }) && text.contains("cat/03.png was altered after"), "{text}");
}

/// Makes images without files: `counts` of each class, filled with the value that `value` returns for each.
fn arrays(counts: &[usize], value: impl Fn(usize, usize) -> u8) -> Labelled {
    let numbered = counts.iter().enumerate().flat_map(|(label, &count)| (0..count).map(move |index| (label, index)));
    let images = numbered.clone().map(|(label, index)| Array4::from_elem((1, 1, 2, 2), value(label, index)));
    let images: Vec<_> = images.collect();
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    Labelled::new(concatenate(Axis(0), &views).unwrap(), numbered.map(|(label, _)| label).collect()).unwrap()
}

fn dataset(train: Labelled) -> Dataset {
    let class_names = ["zero", "one", "two", "three", "four"].map(String::from).to_vec();
    let test = arrays(&[1; 5], |label, _| label as u8);
    Dataset { name: "own".into(), class_names, validation: train.select(&[]), train, test }
}

#[test]
fn what_has_changed_in_arrays_is_told_by_class_and_split() {
    let usual = |label: usize, index: usize| (10 * label + index) as u8;
    let plain = dataset(arrays(&[4; 5], usual));
    let print = |train| dataset(train).fingerprint().unwrap();
    let other = |classes: &'static [usize]| {
        print(arrays(&[4; 5], move |label, index| usual(label, index) + 100 * u8::from(classes.contains(&label))))
    };
    let swapped = |label: usize| [0, 1, 3, 2, 4][label];
    let swapped = Dataset {
        train: arrays(&[4; 5], |label, index| usual(swapped(label), index)),
        test: arrays(&[1; 5], |label, _| swapped(label) as u8),
        ..plain.clone()
    };
    let test = Dataset { test: arrays(&[1; 5], |label, _| 7 * label as u8), ..plain.clone() };
    let all = Dataset { train: arrays(&[4; 5], |_, _| 200), test: arrays(&[1; 5], |_, _| 200), ..plain.clone() };
    for (now, expected) in [
        (other(&[3]), "other images of three in train"),
        (other(&[1, 3]), "other images of one and three in train"),
        (other(&[0, 1, 2, 3, 4]), "other images of zero, one, two, ... in train"),
        (print(arrays(&[4, 4, 5, 4, 4], usual)), "1 image of two more in train"),
        (
            print(arrays(&[2, 4, 7, 6, 4], usual)),
            "3 images of two and 2 images of three more in train; 2 images of zero fewer in train",
        ),
        (print(arrays(&[4, 0, 4, 4, 4], usual)), "4 images of one fewer in train"),
        (
            swapped.fingerprint().unwrap(),
            "exchanged classes: two has the images of three and three has the images of two",
        ),
        (
            print(plain.train.select(&[4, 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19])),
            "the same images in another order in train",
        ),
        (test.fingerprint().unwrap(), "other images of one, two, three, ... in test"),
        (all.fingerprint().unwrap(), "other images"),
    ] {
        assert_eq!(plain.fingerprint().unwrap().difference(&now).as_deref(), Some(expected));
    }
    let reordered = Dataset { class_names: plain.class_names.iter().rev().cloned().collect(), ..plain.clone() };
    let difference = plain.fingerprint().unwrap().difference(&reordered.fingerprint().unwrap());
    assert_eq!(difference.unwrap(), "the classes in another order");
}

#[test]
fn pictures_and_arrays_of_the_same_pixels_are_not_compared() {
    let folder = pets();
    let pictures = load(folder.path().to_str().unwrap(), &FetchOptions::default()).unwrap();
    let copy = |split: &Labelled| Labelled::new(split.images().unwrap().into_owned(), split.labels().to_vec()).unwrap();
    let [train, validation, test] = [&pictures.train, &pictures.validation, &pictures.test].map(copy);
    let arrays = Dataset { train, validation, test, ..pictures.clone() }.fingerprint().unwrap();
    let pictures = pictures.fingerprint().unwrap();
    let expected = "images without files of their own, which cannot be compared with pictures";
    assert_eq!(pictures.difference(&arrays).unwrap(), expected);
    let expected = "pictures, which cannot be compared with images without files of their own";
    assert_eq!(arrays.difference(&pictures).unwrap(), expected);
}

#[test]
fn it_is_kept_as_text() {
    let folder = pets();
    let before = of(&folder);
    let kept: Fingerprint = serde_json::from_str(&serde_json::to_string(&before).unwrap()).unwrap();
    assert_eq!(kept, before);
    save(folder.path().join("cat/05.png"), plain(55));
    assert_eq!(kept.difference(&of(&folder)).unwrap(), "1 altered (altered: cat/05.png)");
}

/// Recorded runs identify their data by the fingerprint, so it must never change unnoticed.
#[test]
fn the_fingerprint_of_shapes_is_the_same_on_every_machine() {
    let shapes = load("shapes", &FetchOptions::default()).unwrap();
    assert_eq!(
        shapes.fingerprint().unwrap().sha256,
        "7650fe78990a058d9acbefc39229f7abf4fddc43d350c6dec6ea96c10b2edac7"
    );
}

fn with_threads(threads: usize, images: &Labelled) -> Fingerprint {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| images.fingerprint()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_pixel_and_label_counts_and_nothing_else_does(
        labels in prop::collection::vec(0usize..4, 2..600),
        seed: u64,
        flipped in 0usize..1 << 20,
        bit in 0u32..8,
    ) {
        let pixel = |n: usize, y: usize, x: usize| {
            ((seed ^ (n * 12 + y * 3 + x) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
        };
        let images = Array4::from_shape_fn((labels.len(), 1, 4, 3), |(n, _, y, x)| pixel(n, y, x));
        let of = |images: Array4<u8>, labels: &[usize]| Labelled::new(images, labels.to_vec()).unwrap();
        let plain = of(images.clone(), &labels);
        let print = plain.fingerprint().unwrap();
        prop_assert_eq!(&with_threads(1, &plain), &print);
        prop_assert_eq!(&with_threads(5, &plain), &print);

        // The memory layout makes no difference: backwards, column by column, or every second of a larger array.
        let backwards: Vec<usize> = (0..labels.len()).rev().collect();
        let reversed: Vec<usize> = labels.iter().rev().copied().collect();
        let laid = of(images.slice(s![..;-1, .., .., ..]).to_owned(), &reversed).select(&backwards);
        prop_assert_eq!(&laid.fingerprint().unwrap(), &print);
        let columns = images.view().permuted_axes([3, 2, 1, 0]).as_standard_layout().into_owned();
        prop_assert_eq!(&of(columns.permuted_axes([3, 2, 1, 0]), &labels).fingerprint().unwrap(), &print);
        let doubled: Vec<usize> = (0..labels.len()).flat_map(|index| [index, index]).collect();
        let halved: Vec<usize> = (0..labels.len()).map(|index| 2 * index).collect();
        prop_assert_eq!(&plain.select(&doubled).select(&halved).fingerprint().unwrap(), &print);

        let (mut other, place) = (images.clone(), flipped % images.len());
        *other.iter_mut().nth(place).unwrap() ^= 1 << bit;
        prop_assert_ne!(&of(other, &labels).fingerprint().unwrap(), &print);
        let mut relabelled = labels.clone();
        relabelled[flipped % labels.len()] += 1;
        prop_assert_ne!(&of(images, &relabelled).fingerprint().unwrap(), &print);
        prop_assert_ne!(&plain.select(&(1..labels.len()).collect::<Vec<_>>()).fingerprint().unwrap(), &print);
    }
}

#[cfg(feature = "hdf5")]
#[test]
fn a_prepared_file_is_known_by_its_pixels() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for number in 0..12 {
        let picture = RgbImage::from_fn(80, 40, |x, y| image::Rgb([x, 2 * y, 9 * number].map(|value| value as u8)));
        save(folder.path().join(format!("cat/{number:02}.png")), picture);
    }
    let convert = |name: &str, fit| {
        let (path, images) = (out.path().join(name), ImageOptions { fit, ..ImageOptions::default() });
        mergan_datasets::convert(folder.path().to_str().unwrap(), &path, &options(&images)).unwrap();
        path
    };
    let [crop, again, resize] =
        [("a.h5", Fit::Crop), ("b.h5", Fit::Crop), ("c.h5", Fit::Resize)].map(|(n, f)| convert(n, f));
    assert_eq!(fs::metadata(&crop).unwrap().len(), fs::metadata(&resize).unwrap().len());
    let print = loaded(&crop, &ImageOptions::default());
    assert_eq!(loaded(&again, &ImageOptions::default()), print);
    let opened = open(crop.to_str().unwrap(), &FetchOptions::default()).unwrap();
    assert!(!opened.train.is_in_memory());
    assert_eq!(opened.fingerprint().unwrap(), print);
    assert_eq!(print.difference(&loaded(&resize, &ImageOptions::default())).unwrap(), "other images");
}
