//! Tests what the commands do with the odd folders and files that people bring, made anew by each test. The table of
//! `docs/inputs.md` says the same in words.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use mergan_datasets::npy::{Element, header};
use tempfile::TempDir;

use crate::data::own_pictures;
use crate::fid::fid;
use crate::{complaint, mergan};

/// Encodes a picture of stripes.
fn encoded(format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(32, 32, |x, y| Rgb([x * 8, y * 8, (x * y) % 256].map(|value| value as u8)));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Runs a command that must succeed and returns all its output.
fn said(arguments: &[&str]) -> String {
    let output = mergan().args(arguments).assert().success().get_output().clone();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Returns the arguments of a training on the folder, and the run's directory.
fn train(dataset: &Path, runs: &TempDir) -> (Vec<String>, PathBuf) {
    let run = runs.path().join("run");
    let arguments = ["train", "--dataset", text(dataset), "--strategy", "ra", "--preset", "smoke", "--tasks", "1"];
    let arguments = arguments.into_iter().chain(["--run", text(&run)]).map(String::from).collect();
    (arguments, run)
}

#[test]
fn every_command_reads_the_same_pictures_and_says_what_it_passes_over() {
    let (folder, runs) = (own_pictures(), tempfile::tempdir().unwrap());
    let class = folder.path().join("bright");
    for (name, format) in [("a.bmp", ImageFormat::Bmp), ("b.gif", ImageFormat::Gif), ("c.tiff", ImageFormat::Tiff)] {
        fs::write(class.join(name), encoded(format)).unwrap();
    }
    fs::create_dir(class.join("deeper")).unwrap();
    fs::write(class.join("deeper/d.ppm"), encoded(ImageFormat::Pnm)).unwrap();
    for name in [".DS_Store", "Thumbs.db", "photo.heic", "deeper/photo.HEIC", "notes.txt"] {
        fs::write(class.join(name), "").unwrap();
    }
    let expected = "3 files are no pictures that this reads: .heic (2), .txt (1)";
    let info = said(&["data", "info", text(folder.path())]);
    assert!(info.contains("39 train, 0 validation, 5 test") && info.contains(expected), "{info}");
    assert!(info.contains("white"), "{info}");
    let (arguments, _) = train(folder.path(), &runs);
    let trained = said(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(trained.matches(expected).count(), 1, "{trained}");

    // The pictures of one class have two sizes, so that distances are refused, but only after they are found.
    let error = complaint(fid(class.clone(), class.clone()).assert());
    assert!(error.contains(expected) && error.contains("mixed sizes"), "{error}");
    let sound = runs.path().join("sound");
    fs::create_dir_all(sound.join("deeper")).unwrap();
    for name in ["a.bmp", "b.gif", "deeper/d.ppm"] {
        fs::copy(class.join(name), sound.join(name)).unwrap();
    }
    let output = fid(sound.clone(), sound).arg("--json").assert().success().get_output().clone();
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows[0]["card"]["real"]["samples"], 3);
    let card = rows[0]["card"]["pictures"].as_str().unwrap();
    assert!(card.contains("EXIF ignored") && card.contains("over white"), "{card}");
}

#[cfg(unix)]
#[test]
fn bad_pictures_stop_every_command_or_are_left_out_on_request() {
    let jpeg = encoded(ImageFormat::Jpeg);
    type Make<'a> = &'a dyn Fn(&Path);
    let cut = |path: &Path| fs::write(path, &jpeg[..jpeg.len() * 2 / 3]).unwrap();
    let empty = |path: &Path| fs::write(path, "").unwrap();
    let dead = |path: &Path| std::os::unix::fs::symlink("nowhere", path).unwrap();
    let promising = |path: &Path| {
        // A bitmap whose header says 60,000 x 60,000.
        let mut bmp = encoded(ImageFormat::Bmp);
        for at in [18, 22] {
            bmp[at..at + 4].copy_from_slice(&60_000_u32.to_le_bytes());
        }
        fs::write(path, bmp).unwrap();
    };
    for (make, expected) in [
        (&cut as Make, "the file ends early"),
        (&empty, "the file is empty"),
        (&dead, "a link to nowhere"),
        (&promising, "more than 536870912"),
    ] {
        let (folder, runs) = (own_pictures(), tempfile::tempdir().unwrap());
        make(&folder.path().join("dark/zz.jpg"));
        let (arguments, run) = train(folder.path(), &runs);
        let error = complaint(mergan().args(&arguments).assert());
        assert!(error.contains("dark/zz.jpg cannot be read") && error.contains(expected), "{error}");
        assert!(error.contains("--skip-bad") && !run.exists(), "{error}");
        // The estimate reads all pictures and takes less time than a training.
        let report =
            said(&arguments.iter().map(String::as_str).chain(["--skip-bad", "--estimate"]).collect::<Vec<_>>());
        assert!(report.contains("1 pictures that cannot be read were left out"), "{report}");

        let dark = folder.path().join("dark");
        let error = complaint(fid(dark.clone(), dark).assert());
        assert!(error.contains("dark/zz.jpg"), "{error}");
    }
    let folder = own_pictures();
    let dark = folder.path().join("dark");
    cut(&dark.join("zz.jpg"));
    let output = fid(dark.clone(), dark).args(["--skip-bad", "--json"]).assert().success().get_output().clone();
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows[0]["card"]["real"]["samples"], 20);
}

#[test]
fn a_split_into_folders_is_understood() {
    let (classes, folder) = (own_pictures(), tempfile::tempdir().unwrap());
    for part in ["train", "val"] {
        let from = classes.path().join("dark");
        for class in ["cat", "dog"] {
            let to = folder.path().join(part).join(class);
            fs::create_dir_all(&to).unwrap();
            fs::read_dir(&from).unwrap().for_each(|file| {
                let file = file.unwrap();
                fs::copy(file.path(), to.join(file.file_name())).unwrap();
            });
        }
    }
    let info = said(&["data", "info", text(folder.path())]);
    assert!(info.contains("40 train, 0 validation, 40 test") && info.contains("cat, dog"), "{info}");
    fs::remove_dir_all(folder.path().join("val/dog")).unwrap();
    fs::create_dir(folder.path().join("val/dog")).unwrap();
    let error = complaint(mergan().args(["data", "info", text(folder.path())]).assert());
    assert!(error.contains("val/dog has no image") && !error.contains("remove"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_that_lead_outside_are_followed_on_request() {
    use std::os::unix::fs::symlink;
    let (folder, store) = (own_pictures(), tempfile::tempdir().unwrap());
    let kept = store.path().join("0123");
    fs::rename(folder.path().join("dark/00.png"), &kept).unwrap();
    symlink(&kept, folder.path().join("dark/00.png")).unwrap();
    let error = complaint(mergan().args(["data", "info", text(folder.path())]).assert());
    assert!(error.contains("dark/00.png leads out of") && error.contains("--follow-links"), "{error}");
    let info = said(&["data", "info", text(folder.path()), "--follow-links"]);
    assert!(info.contains("36 train, 0 validation, 4 test"), "{info}");
    let dark = folder.path().join("dark");
    assert!(complaint(fid(dark.clone(), dark.clone()).assert()).contains("--follow-links"));
    fid(dark.clone(), dark).arg("--follow-links").assert().success();
}

#[test]
fn arrays_of_images_and_labels_are_trained_on() {
    let (folder, runs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("digits.npz");
    let images: Vec<u8> =
        (0..40_usize).flat_map(|n| (0..1024).map(move |at| ((n % 2) * 150 + at % 50) as u8)).collect();
    let labels: Vec<u8> = (0..40_i64).flat_map(|n| (n % 2).to_le_bytes()).collect();
    let mut archive = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    for (name, array) in [
        ("images.npy", [header(Element::U8, &[40, 32, 32]), images].concat()),
        ("labels.npy", [header(Element::I64, &[40]), labels].concat()),
    ] {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(&array).unwrap();
        fs::write(folder.path().join(name), array).unwrap();
    }
    archive.finish().unwrap();
    for named in [path, folder.path().join("images.npy")] {
        let info = said(&["data", "info", text(&named)]);
        assert!(
            info.contains("1 x 32 x 32; 36 train, 0 validation, 4 test") && info.contains("classes   0, 1"),
            "{info}"
        );
    }
    let (arguments, run) = train(&folder.path().join("digits.npz"), &runs);
    said(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(run.join("tasks/01/scores.json").is_file());
    let table = folder.path().join("table.csv");
    fs::write(&table, "1,2").unwrap();
    let error = complaint(mergan().args(["data", "info", text(&table)]).assert());
    assert!(error.contains("table.csv is no dataset: give a folder"), "{error}");
}

#[test]
fn archives_that_unpack_to_far_more_and_impossible_shapes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, array: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        let mut archive = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        archive.start_file(array, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
        archive.finish().unwrap();
        path
    };
    let zeros = vec![0; 70 << 20];
    let images = write("images.npz", "arr_0.npy", &[header(Element::U8, &[23_000, 32, 32, 3]), zeros.clone()].concat());
    let statistics = write("statistics.npz", "mu.npy", &[header(Element::F64, &[9_000_000]), zeros].concat());
    for path in [&images, &statistics] {
        let error = complaint(fid(path.clone(), path.clone()).assert());
        assert!(error.contains("unpack to more than 67108864"), "{error}");
    }
    let features = folder.path().join("features.npy");
    let one_row = [header(Element::F32, &[1, 20_000]), vec![0; 80_000]].concat();
    for (file, expected) in [
        (header(Element::F64, &[0, usize::MAX >> 1]), "promises more bytes than memory can hold"),
        (one_row, "20000 features"),
    ] {
        fs::write(&features, file).unwrap();
        let error = complaint(mergan().arg("fid").args([&features, &features]).arg("--features").assert());
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn names_cannot_write_to_the_terminal() {
    let folder = own_pictures();
    fs::rename(folder.path().join("dark"), folder.path().join("dark\u{1b}]0;owned\u{7}")).unwrap();
    let info = said(&["data", "info", text(folder.path())]);
    assert!(info.contains("dark\\u{1b}]0;owned\\u{7}") && !info.contains('\u{1b}'), "{info:?}");
    fs::write(folder.path().join("dark\u{1b}]0;owned\u{7}/00.png"), "").unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (arguments, _) = train(folder.path(), &runs);
    let error = complaint(mergan().args(arguments).assert());
    assert!(error.contains("the file is empty") && !error.contains('\u{1b}'), "{error:?}");
}

#[test]
fn a_picture_is_turned_upright_and_shown_over_white() {
    let folder = own_pictures();
    let transparent = RgbaImage::from_pixel(32, 32, Rgba([0, 0, 0, 0]));
    for number in 0..20 {
        let path = folder.path().join(format!("clear/{number}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        transparent.save(path).unwrap();
    }
    let runs = tempfile::tempdir().unwrap();
    let (mut arguments, run) = train(folder.path(), &runs);
    arguments.extend(["--set", "sequence.order=[1, 0, 2]"].map(String::from));
    said(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let real = image::open(run.join("real.png")).unwrap().into_rgb8();
    let white = real.pixels().filter(|pixel| pixel.0 == [255; 3]).count();
    assert!(white >= 32 * 32, "{white} white pixels");
}

#[test]
fn options_without_effect_are_refused() {
    let runs = tempfile::tempdir().unwrap();
    let (arguments, run) = train(Path::new("shapes"), &runs);
    for (options, expected) in [
        (&["--side", "64"][..], "images.side (--side) has no effect on shapes"),
        (&["--grey"], "images.channels (--grey) has no effect on shapes"),
        (&["--fit", "resize"], "images.fit (--fit)"),
        (&["--set", "images.limit=3"], "images.limit (--limit)"),
        (&["--skip-bad"], "images.skip_bad (--skip-bad)"),
        (&["--follow-links"], "images.follow_links (--follow-links)"),
    ] {
        let error = complaint(mergan().args(&arguments).args(options).assert());
        assert!(error.contains(expected) && !run.exists(), "{error}");
    }
    let error = complaint(mergan().args(["data", "info", "mnist", "--side", "64"]).assert());
    assert!(error.contains("has no effect on mnist"), "{error}");
}

/// Which bytes make the C library crash, and which only give an error, depends on its version; the file must be named
/// in either case.
#[cfg(all(unix, feature = "hdf5"))]
#[test]
fn a_prepared_file_on_which_the_library_crashes_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shapes.h5");
    said(&["data", "convert", "shapes", text(&file)]);
    let whole = fs::read(&file).unwrap();
    // The names of the classes lie in a global heap, whose sizes the library trusts.
    let heap = whole.windows(4).position(|bytes| bytes == b"GCOL").unwrap();
    for at in [27, 39] {
        let mut damaged = whole.clone();
        damaged[heap + at] ^= 0xff;
        fs::write(&file, damaged).unwrap();
        let error = complaint(mergan().args(["data", "info", text(&file)]).assert());
        assert!(error.contains("shapes.h5: "), "byte {at}: {error}");
    }
}
