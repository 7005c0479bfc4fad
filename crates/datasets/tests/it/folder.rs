//! Tests a user's own images: what counts as a class, what becomes of pictures of all kinds, and what is refused.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, RgbImage};
use mergan_datasets::{Dataset, Error, Event, FetchOptions, Fit, ImageOptions, load, open, pictures_of};
use tempfile::TempDir;

/// Writes a picture in the format that its name implies.
pub fn save(path: PathBuf, picture: impl Into<DynamicImage>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.into().save(path).unwrap();
}

/// Makes a grey picture of a single value.
pub fn plain(value: u8) -> GrayImage {
    GrayImage::from_pixel(40, 40, image::Luma([value]))
}

/// Makes two classes: 12 cats, filled with their numbers, and 3 dogs.
pub fn pets() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..12 {
        save(folder.path().join(format!("cat/{number:02}.png")), plain(number));
    }
    for number in 0..3 {
        save(folder.path().join(format!("dog/{number}.png")), plain(100 + number));
    }
    folder
}

fn with(images: ImageOptions) -> FetchOptions<'static> {
    FetchOptions { images, ..FetchOptions::default() }
}

fn load_from(folder: &TempDir, images: ImageOptions) -> Result<Dataset, Error> {
    load(folder.path().to_str().unwrap(), &with(images))
}

fn refusal(folder: &TempDir) -> String {
    load_from(folder, ImageOptions::default()).unwrap_err().to_string()
}

/// Returns the first byte of every image.
fn firsts(split: &mergan_datasets::Labelled) -> Vec<u8> {
    split.images().unwrap().outer_iter().map(|image| image[[0, 0, 0]]).collect()
}

#[test]
fn subfolders_are_classes_and_some_of_each_are_held_out() {
    let folder = pets();
    save(folder.path().join(".hidden/a.png"), plain(0));
    fs::write(folder.path().join("notes.txt"), "no class").unwrap();
    fs::write(folder.path().join("cat/notes.txt"), "no picture").unwrap();
    let pets = load_from(&folder, ImageOptions::default()).unwrap();
    assert_eq!(pets.class_names, ["cat", "dog"]);
    assert_eq!((pets.train.image_shape(), pets.validation.len()), ([3, 32, 32], 0));
    assert_eq!(firsts(&pets.train), [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 100, 101]);
    assert_eq!(firsts(&pets.test), [5, 11, 102]);
    assert_eq!(pets.test.labels(), [0, 0, 1]);

    let path = folder.path().to_str().unwrap();
    let options = ImageOptions { limit: Some(2), side: 64, channels: 1, ..ImageOptions::default() };
    let manifest = mergan_datasets::info(path, &with(options.clone())).unwrap();
    assert_eq!((manifest.splits.train, manifest.splits.test, manifest.shape), (2, 2, [1, 64, 64]));
    let limited = load_from(&folder, options).unwrap();
    assert_eq!((firsts(&limited.train), firsts(&limited.test)), (vec![0, 100], vec![1, 101]));
    assert!(limited.name != pets.name, "images of other shapes need another classifier to score them");
}

#[test]
fn opened_images_are_read_when_they_are_asked_for() {
    let folder = pets();
    let path = folder.path().to_str().unwrap();
    let options = FetchOptions::default();
    let (opened, loaded) = (open(path, &options).unwrap(), load(path, &options).unwrap());
    assert!(!opened.train.is_in_memory() && loaded.train.is_in_memory());
    assert_eq!(opened.train.images().unwrap(), loaded.train.images().unwrap());
    let chosen = [7, 2, 7, 11];
    assert_eq!(opened.train.select(&chosen).images().unwrap(), loaded.train.select(&chosen).images().unwrap());

    fs::write(folder.path().join("cat/03.png"), "no longer a picture").unwrap();
    assert!(opened.train.select(&[0, 1]).images().is_ok());
    let error = opened.train.select(&[2, 3]).images().unwrap_err().to_string();
    assert!(error.contains("cat/03.png cannot be read as an image"), "{error}");
}

#[test]
fn pictures_of_every_kind_come_to_one_shape() {
    let folder = tempfile::tempdir().unwrap();
    // The left third is red, the middle green and the right third blue.
    let stripes = RgbImage::from_fn(96, 32, |x, _| image::Rgb([0, 1, 2].map(|band| 255 * u8::from(x / 32 == band))));
    save(folder.path().join("a.png"), stripes.clone());
    save(folder.path().join("b.webp"), stripes.clone());
    save(folder.path().join("c.JPG"), stripes.clone());
    save(folder.path().join("d.png"), plain(7));
    save(folder.path().join("e.png"), DynamicImage::from(stripes.clone()).into_rgba16());
    let pixels = |images: &ImageOptions| {
        let pictures = pictures_of(folder.path(), images).unwrap();
        assert_eq!(pictures.labels(), [0; 5]);
        pictures.images().unwrap().into_owned()
    };
    let cropped = pixels(&ImageOptions::default());
    for picture in [0, 1, 4] {
        let picture = cropped.index_axis(ndarray::Axis(0), picture);
        assert!(picture.outer_iter().zip([0, 255, 0]).all(|(channel, value)| channel.iter().all(|&v| v == value)));
    }
    assert!(cropped.index_axis(ndarray::Axis(0), 2)[[1, 16, 16]] > 245, "JPEG is not exact");
    assert!(cropped.index_axis(ndarray::Axis(0), 3).iter().all(|&value| value == 7));

    let resized = pixels(&ImageOptions { fit: Fit::Resize, ..ImageOptions::default() });
    assert_eq!([0, 1, 2].map(|channel| resized[[0, channel, 5, 2]]), [255, 0, 0]);
    assert_eq!([0, 1, 2].map(|channel| resized[[0, channel, 5, 29]]), [0, 0, 255]);
    let grey = pixels(&ImageOptions { channels: 1, ..ImageOptions::default() });
    assert_eq!((grey.dim(), grey[[0, 0, 9, 9]]), ((5, 1, 32, 32), 150));
}

#[test]
fn unreadable_pictures_are_named_and_left_out_only_when_asked() {
    let folder = pets();
    let whole = fs::read(folder.path().join("cat/04.png")).unwrap();
    fs::write(folder.path().join("cat/04.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(folder.path().join("dog/1.png"), "text").unwrap();
    let error = refusal(&folder);
    assert!(error.contains("cat/04.png cannot be read as an image: ") && error.contains("--skip-bad"), "{error}");

    let left_out = RefCell::new(Vec::new());
    let observer = |event: Event<'_>| match event {
        Event::Skipped { picture, .. } => left_out.borrow_mut().push(picture.to_string()),
        other => panic!("{other:?}"),
    };
    let images = ImageOptions { skip_bad: true, ..ImageOptions::default() };
    let options = FetchOptions { images: images.clone(), observer: &observer, ..FetchOptions::default() };
    let pets = load(folder.path().to_str().unwrap(), &options).unwrap();
    assert_eq!(firsts(&pets.train), [0, 1, 2, 3, 6, 7, 8, 9, 10, 100]);
    let left_out = left_out.into_inner();
    assert!(left_out.len() == 2 && left_out[0].ends_with("cat/04.png") && left_out[1].ends_with("dog/1.png"));

    for number in 0..2 {
        fs::write(folder.path().join(format!("dog/{number}.png")), "text").unwrap();
    }
    let error = load_from(&folder, images).unwrap_err().to_string();
    assert!(error.starts_with("class dog has no image"), "{error}");
}

#[test]
fn pictures_that_promise_too_much_are_refused_before_they_are_decoded() {
    let folder = pets();
    // The header of the PNG says 60,000 x 60,000; a few bytes would decode to gigabytes.
    let mut png = fs::read(folder.path().join("cat/00.png")).unwrap();
    for side in [16, 20] {
        png[side..side + 4].copy_from_slice(&60_000_u32.to_be_bytes());
    }
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    fs::write(folder.path().join("cat/00.png"), png).unwrap();
    let error = refusal(&folder);
    assert!(error.contains("60000 x 60000 pixels take 3600000000 bytes, more than"), "{error}");
}

/// Computes the checksum of a PNG chunk.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[test]
fn folders_without_classes_or_with_empty_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path().join("a.png"), plain(0));
    assert!(refusal(&folder).contains("holds no folders; give a folder with one subfolder of pictures for each class"));
    fs::create_dir(folder.path().join("cat")).unwrap();
    fs::write(folder.path().join("cat/notes.txt"), "").unwrap();
    let error = refusal(&folder);
    assert!(error.contains("/cat has no image (PNG, JPEG or WebP)"), "{error}");
    for (images, expected) in [
        (ImageOptions { side: 48, ..ImageOptions::default() }, "images.side must be 32 or 64"),
        (ImageOptions { channels: 2, ..ImageOptions::default() }, "images.channels must be 1 (grey) or 3 (colour)"),
        (ImageOptions { limit: Some(0), ..ImageOptions::default() }, "images.limit must be at least 1"),
    ] {
        assert_eq!(load_from(&pets(), images).unwrap_err().to_string(), expected);
    }
}

#[cfg(unix)]
#[test]
fn links_may_not_lead_out_of_the_folder() {
    use std::os::unix::fs::symlink;
    let (folder, other) = (pets(), pets());
    // A link that stays inside the folder counts as a file.
    symlink(folder.path().join("cat/00.png"), folder.path().join("dog/9.png")).unwrap();
    assert_eq!(load_from(&folder, ImageOptions::default()).unwrap().train.class_counts(2), [10, 3]);
    let link = |target: &Path, name: &str| {
        let path = folder.path().join(name);
        symlink(target, &path).unwrap();
        let error = refusal(&folder);
        fs::remove_file(path).unwrap();
        error
    };
    let error = link(&other.path().join("cat/00.png"), "cat/99.png");
    assert!(error.contains("cat/99.png leads out of "), "{error}");
    assert!(link(&other.path().join("cat"), "wolf").contains("wolf leads out of "));
    assert!(link(Path::new("nowhere"), "cat/99.png").contains("cat/99.png"));
}
