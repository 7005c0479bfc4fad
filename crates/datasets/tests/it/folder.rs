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

pub fn with(images: ImageOptions) -> FetchOptions<'static> {
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
        let pictures = pictures_of(folder.path(), &with(images.clone())).unwrap();
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
    assert!(error.contains("60000 x 60000 pixels take 18000000000 bytes, more than"), "{error}");
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
    assert!(
        error.contains("/cat has no image (PNG, JPEG, WebP, BMP, GIF, TIFF or PNM) that can be read; give it some"),
        "{error}"
    );
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

/// Opens the folder and returns the dataset or the error, and what the observer was told was not used.
fn observed(folder: &Path, images: ImageOptions) -> (Result<Dataset, Error>, Vec<String>) {
    let told = RefCell::new(Vec::new());
    let observer = |event: Event<'_>| match event {
        Event::Skipped { picture, reason } => told.borrow_mut().push(format!("{picture}: {reason}")),
        Event::Noted { what } => told.borrow_mut().push(what.into()),
        other => panic!("{other:?}"),
    };
    let options = FetchOptions { images, observer: &observer, ..FetchOptions::default() };
    let loaded = load(folder.to_str().unwrap(), &options);
    (loaded, told.into_inner())
}

#[test]
fn what_is_no_picture_is_counted_and_what_systems_leave_is_not() {
    let folder = pets();
    for name in ["cat/.DS_Store", "cat/Thumbs.db", "cat/DESKTOP.INI", "__MACOSX/cat/._00.png", "dog/._0.png"] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "left behind").unwrap();
    }
    let (opened, told) = observed(folder.path(), ImageOptions::default());
    assert_eq!((opened.unwrap().class_names.len(), told), (2, Vec::new()));

    for name in ["cat/a.HEIC", "dog/b.heic", "dog/deep/c.heic", "dog/notes.txt", "README"] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    save(folder.path().join("beside.png"), plain(1));
    let (opened, told) = observed(folder.path(), ImageOptions::default());
    assert_eq!(opened.unwrap().train.len(), 12);
    assert_eq!(
        told,
        [
            "1 picture lies in no class's folder: beside.png",
            "5 files are no pictures that this reads: .heic (3), .txt (1), no ending (1)"
        ]
    );

    // What was passed over is told even if nothing is left.
    fs::create_dir(folder.path().join("emu")).unwrap();
    fs::write(folder.path().join("emu/only.heic"), "").unwrap();
    let (refused, told) = observed(folder.path(), ImageOptions::default());
    assert!(refused.unwrap_err().to_string().contains("emu has no image"));
    assert!(told[1].contains(".heic (4)"), "{told:?}");
}

#[test]
fn pictures_in_subfolders_of_a_class_belong_to_it() {
    let folder = pets();
    save(folder.path().join("dog/2024/summer/9.png"), plain(200));
    let pets = load_from(&folder, ImageOptions::default()).unwrap();
    assert_eq!(pets.class_names, ["cat", "dog"]);
    assert!(firsts(&pets.train).contains(&200) || firsts(&pets.test).contains(&200));
    let dogs = pictures_of(&folder.path().join("dog"), &FetchOptions::default()).unwrap();
    assert_eq!(firsts(&dogs), [100, 101, 102, 200]);
}

#[test]
fn folders_named_as_the_parts_of_a_split_are_one() {
    for (tests, validation) in [("test", "val"), ("Testing", "valid"), ("test", "validation")] {
        let folder = tempfile::tempdir().unwrap();
        for (part, values) in [("train", [1, 2]), (tests, [3, 4]), (validation, [5, 6])] {
            save(folder.path().join(part).join("cat/a.png"), plain(values[0]));
            save(folder.path().join(part).join("dog/a.png"), plain(values[1]));
        }
        let split = load_from(&folder, ImageOptions::default()).unwrap();
        assert_eq!(split.class_names, ["cat", "dog"]);
        let parts = [&split.train, &split.test, &split.validation].map(|part| (firsts(part), part.labels().to_vec()));
        assert_eq!(parts, [[1, 2], [3, 4], [5, 6]].map(|values| (values.to_vec(), vec![0, 1])));

        // What is only there to validate with is tested on.
        fs::remove_dir_all(folder.path().join(tests)).unwrap();
        save(folder.path().join("extra/a.png"), plain(0));
        let (split, told) = observed(folder.path(), ImageOptions::default());
        let split = split.unwrap();
        assert_eq!((firsts(&split.test), split.validation.len()), (vec![5, 6], 0));
        assert_eq!(told, ["folders that are no part of the split into training and test images: extra"]);

        save(folder.path().join(validation).join("emu/a.png"), plain(0));
        let error = refusal(&folder);
        assert!(error.contains("emu is a class that the folder to train on lacks"), "{error}");
    }
    // Without a folder to test on, some images of each class are held out.
    let folder = tempfile::tempdir().unwrap();
    (0..4).for_each(|number| save(folder.path().join(format!("train/cat/{number}.png")), plain(number)));
    let split = load_from(&folder, ImageOptions::default()).unwrap();
    assert_eq!((split.class_names.as_slice(), split.train.len(), split.test.len()), (["cat".into()].as_slice(), 3, 1));
    // A class may be named as a part of a split is.
    let folder = pets();
    save(folder.path().join("train/a.png"), plain(0));
    save(folder.path().join("test/a.png"), plain(0));
    assert_eq!(load_from(&folder, ImageOptions::default()).unwrap().class_names, ["cat", "dog", "test", "train"]);
}

#[cfg(unix)]
#[test]
fn links_are_followed_when_asked_but_never_in_circles() {
    use std::os::unix::fs::symlink;
    let (folder, other) = (pets(), pets());
    symlink(other.path().join("cat/07.png"), folder.path().join("dog/9.png")).unwrap();
    symlink(other.path().join("cat"), folder.path().join("wolf")).unwrap();
    assert!(refusal(&folder).contains("--follow-links"));
    let following = ImageOptions { follow_links: true, ..ImageOptions::default() };
    let pets = load_from(&folder, following.clone()).unwrap();
    assert_eq!(
        (pets.class_names.len(), pets.train.class_counts(3), pets.test.class_counts(3)),
        (3, vec![10, 3, 10], vec![2, 1, 2])
    );

    symlink(folder.path(), folder.path().join("dog/above")).unwrap();
    let error = load_from(&folder, following).unwrap_err().to_string();
    assert!(error.contains("leads to a folder whose pictures are taken already"), "{error}");
}

#[cfg(unix)]
#[test]
fn whatever_cannot_be_read_is_left_out_when_asked() {
    use std::os::unix::fs::symlink;
    let folder = pets();
    symlink("nowhere", folder.path().join("cat/dead.png")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(folder.path().join("dog/socket.png")).unwrap();
    let error = refusal(&folder);
    assert!(error.contains("cat/dead.png cannot be read as an image: it is a link to nowhere"), "{error}");
    fs::write(folder.path().join("dog/1.png"), "").unwrap();
    let (pets, told) = observed(folder.path(), ImageOptions { skip_bad: true, ..ImageOptions::default() });
    assert_eq!(pets.unwrap().train.class_counts(2), [10, 1]);
    for (picture, reason) in
        [("cat/dead.png", "link to nowhere"), ("dog/socket.png", "no file"), ("dog/1.png", "empty")]
    {
        assert!(told.iter().any(|line| line.contains(picture) && line.contains(reason)), "{told:?}");
    }
    drop(socket);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_read_the_same_are_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    for folders in [true, false] {
        let folder = pets();
        for name in [b"cat/\xe4.png".as_slice(), b"cat/\xf6.png"] {
            let path = folder.path().join(OsStr::from_bytes(name));
            match folders {
                true => fs::create_dir(&path).unwrap(),
                false => _ = fs::copy(folder.path().join("cat/00.png"), &path).unwrap(),
            }
        }
        let error = refusal(&folder);
        assert!(error.contains("two names that read `\u{fffd}.png`"), "{error}");
    }
}

#[test]
fn class_names_are_printable() {
    let folder = pets();
    save(folder.path().join("emu\u{1b}[2J\u{202e}/a.png"), plain(0));
    save(folder.path().join("emu\u{1b}[2J\u{202e}/b.png"), plain(0));
    assert_eq!(load_from(&folder, ImageOptions::default()).unwrap().class_names[2], "emu\\u{1b}[2J\\u{202e}");
}

/// Encodes a picture of stripes in every format that is read.
fn formats() -> Vec<(&'static str, Vec<u8>)> {
    use image::ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, Tiff, WebP};
    let picture = DynamicImage::from(RgbImage::from_fn(48, 48, |x, y| {
        image::Rgb([(x * 37 + y * 11) % 251, (x * x + y) % 253, 255 * (y / 24)].map(|value| value as u8))
    }));
    let kinds = [("png", Png), ("jpg", Jpeg), ("webp", WebP), ("bmp", Bmp), ("gif", Gif), ("tiff", Tiff), ("ppm", Pnm)];
    let encode = |(ending, format)| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        (ending, bytes.into_inner())
    };
    kinds.map(encode).into()
}

#[test]
fn pictures_of_every_format_are_read_and_cut_ones_are_refused() {
    for (ending, whole) in formats() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("a.{ending}"));
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let picture = pictures_of(folder.path(), &FetchOptions::default()).unwrap();
            let mean = |images: ndarray::ArrayView4<u8>| images.map(|&value| f64::from(value)).mean().unwrap();
            picture.images().map(|images| mean(images.view())).map_err(|error| error.to_string())
        };
        assert!((read(&whole).unwrap() - 124.0).abs() < 3.0, "{ending}: {:?}", read(&whole));
        // The last bytes of some formats are no pixels: a GIF's trailer, a TIFF's directory is earlier or later.
        for part in [1, 4, 10, 50, 90, 97] {
            let error = read(&whole[..whole.len() * part / 100]).expect_err(&format!("{part} % of a {ending}"));
            assert!(error.contains("cannot be read as an image"), "{error}");
        }
    }
}

#[test]
fn transparent_pixels_are_shown_over_white() {
    let folder = tempfile::tempdir().unwrap();
    let of = |alpha| image::RgbaImage::from_pixel(32, 32, image::Rgba([10, 110, 210, alpha]));
    for (name, alpha) in [("a.png", 255), ("b.png", 0), ("c.webp", 128)] {
        save(folder.path().join(name), of(alpha));
    }
    let images = pictures_of(folder.path(), &FetchOptions::default()).unwrap().images().unwrap().into_owned();
    let found = [0, 1, 2].map(|n| [0, 1, 2].map(|channel| images[[n, channel, 5, 5]]));
    assert_eq!(found, [[10, 110, 210], [255; 3], [132, 182, 232]]);
    let at_own_size = mergan_datasets::read_picture(&folder.path().join("c.webp")).unwrap();
    assert_eq!([0, 1, 2].map(|channel| at_own_size[[channel, 0, 0]]), [132, 182, 232]);
}
