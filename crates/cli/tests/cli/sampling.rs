//! Tests the forms in which `mergan sample` gives images.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use image::GrayImage;

use crate::{complaint, finished_run, mergan};

/// Returns the command that samples the finished run of disc, ring and square.
fn sample(options: &[&str], out: &Path) -> Command {
    let mut command = mergan();
    command.arg("sample").arg(finished_run()).args(options).arg("-o").arg(out);
    command
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

fn open(path: impl AsRef<Path>) -> GrayImage {
    image::open(path).unwrap().to_luma8()
}

/// Returns the image at a place of a grid.
fn cell(grid: &GrayImage, column: u32, row: u32) -> Vec<u8> {
    image::imageops::crop_imm(grid, 32 * column, 32 * row, 32, 32).to_image().into_raw()
}

/// Returns the folder as a path that ends in a slash.
fn slash(folder: &Path) -> PathBuf {
    format!("{}/", folder.display()).into()
}

#[test]
fn all_classes_are_drawn_unless_some_are_named_in_any_form() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    sample(&[], &out("all.PNG")).assert().success();
    let all = open(out("all.PNG"));
    assert_eq!(all.dimensions(), (10 * 32, 3 * 32));
    sample(&["-c", "all", "-n", "4", "--scale", "3"], &out("large.png")).assert().success();
    let large = open(out("large.png"));
    assert_eq!(large.dimensions(), (4 * 3 * 32, 3 * 3 * 32));
    assert!((0..96).all(|x| large.get_pixel(x, 100) == all.get_pixel(x / 3, 33)));

    sample(&["--class", "square,0", "-n", "3"], &slash(&out("few"))).assert().success();
    assert_eq!(names(&out("few")), ["disc", "square"]);
    assert_eq!(names(&out("few/square")), ["0000.png", "0001.png", "0002.png"]);
    assert_eq!(open(out("few/square/0002.png")).into_raw(), cell(&all, 2, 2));
    assert_eq!(open(out("few/disc/0001.png")).into_raw(), cell(&all, 1, 0));
    let array = |class: &str, name: &str| {
        sample(&["--class", class, "-n", "3"], &out(name)).assert().success();
        fs::read(out(name)).unwrap()
    };
    let (both, disc) = (array("square,disc", "both.npy"), array("disc", "disc.npy"));
    assert_eq!(both[128 + 3 * 1024..], disc[128..]);
    assert_eq!(both[128 + 2 * 1024..128 + 3 * 1024], cell(&all, 2, 2));
    // The folder is a dataset.
    mergan().args(["data", "info"]).arg(out("few")).assert().success();
}

#[test]
fn pictures_are_never_mixed_with_others_and_no_other_ending_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("pictures/ring/mine.png");
    fs::create_dir_all(other.parent().unwrap()).unwrap();
    fs::write(&other, "mine").unwrap();
    let refused = |options: &[&str], out: &Path| complaint(sample(options, out).assert());
    let error = refused(&[], &folder.path().join("pictures"));
    assert!(error.contains("ring is not empty") && error.contains("choose another folder"), "{error}");
    assert_eq!(names(&folder.path().join("pictures")), ["ring"]);
    sample(&["--class", "disc", "-n", "1"], &folder.path().join("pictures")).assert().success();

    let file = |name: &str| folder.path().join(name);
    for (options, out, expected) in [
        (&["--class", "ring,star"][..], "a.png", "no class `star`; choose one of: disc, ring, square"),
        (&["--class", "ring,1"], "a.png", "names the class ring twice"),
        (&[], "a.jpg", "a.jpg: the name must end in .png, .npy or / for a folder"),
        (&["--scale", "2"], "a.npy", "--scale enlarges pictures; name a FILE.png or a folder"),
        (&["--scale", "0"], "a.png", "0 is not in 1..=16"),
        (&["--interpolate"], "a.npy", "--interpolate makes rows of a grid; name a FILE.png"),
        (&["--interpolate", "--per-task"], "a.png", "cannot be used with"),
        (&["--per-task"], "a.png", "--per-task makes a grid for each task; name a folder"),
        (&["-n", "0"], "a.png", "--count"),
    ] {
        let error = refused(options, &file(out));
        assert!(error.contains(expected), "{options:?}: {error}");
        assert!(!file(out).exists());
    }
    let weights = finished_run().join("tasks/03/generator.safetensors");
    let mut command = mergan();
    command.arg("sample").arg(weights).arg("--per-task").arg("--out").arg(slash(&file("tasks")));
    assert!(complaint(command.assert()).contains("generator.safetensors is not a run directory"));
}

#[test]
fn every_task_of_a_run_has_a_grid_of_what_it_had_learned() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("grids");
    sample(&["--per-task", "--scale", "2"], &slash(&out)).assert().success();
    assert_eq!(names(&out), ["01.png", "02.png", "03.png"]);
    // A single class forms a square, several have a row each.
    let sizes = ["01.png", "02.png", "03.png"].map(|name| open(out.join(name)).dimensions());
    assert_eq!(sizes, [(4 * 64, 3 * 64), (10 * 64, 2 * 64), (10 * 64, 3 * 64)]);

    let rings = folder.path().join("rings");
    sample(&["--per-task", "--class", "ring", "-n", "2"], &slash(&rings)).assert().success();
    assert_eq!(names(&rings), ["02.png", "03.png"]);
    assert!(complaint(sample(&["--per-task"], &rings).assert()).contains("rings is not empty"));
}

#[test]
fn the_way_between_latents_and_classes_begins_and_ends_at_them() {
    let folder = tempfile::tempdir().unwrap();
    let draw = |class: &str| {
        let out = folder.path().join("between.png");
        sample(&["--class", class, "--interpolate", "-n", "5"], &out).assert().success();
        open(out)
    };
    let grid = draw("disc,square");
    // A row for each class, and a row from one to the other.
    assert_eq!(grid.dimensions(), (5 * 32, 3 * 32));
    let far = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(far(&cell(&grid, 0, 2), &cell(&grid, 0, 0)) <= 1 && far(&cell(&grid, 4, 2), &cell(&grid, 0, 1)) <= 1);
    for row in 0..3 {
        let images: Vec<_> = (0..5).map(|column| cell(&grid, column, row)).collect();
        assert!(images.windows(2).all(|pair| pair[0] != pair[1]), "row {row} stands still");
    }
    assert_eq!(draw("ring").dimensions(), (3 * 32, 2 * 32));
}

#[test]
fn a_learning_run_is_animated_at_a_size_that_can_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let animate = |name: &str, options: &[&str]| {
        let mut command = mergan();
        command.arg("animate").arg(finished_run()).args(options).arg("-o").arg(folder.path().join(name));
        command.assert()
    };
    animate("a.GIF", &["--columns", "2"]).success();
    assert_eq!(image::image_dimensions(folder.path().join("a.GIF")).unwrap(), (2 * 3 * 32, 3 * 3 * 32));
    assert!(complaint(animate("a.png", &[])).contains("a.png: the name must end in .gif"));
    assert!(!folder.path().join("a.png").exists());
}

#[test]
fn digits_come_with_the_program() {
    let folder = tempfile::tempdir().unwrap();
    mergan().current_dir(&folder).args(["sample", "--class", "3", "-n", "4"]).assert().success();
    let threes = open(folder.path().join("samples.png"));
    assert_eq!(threes.dimensions(), (2 * 32, 2 * 32));
    let mut bright = threes.pixels().filter(|pixel| pixel.0[0] > 200);
    assert!(bright.nth(100).is_some(), "a digit has bright strokes");
    let classes = mergan().current_dir(&folder).args(["sample", "--out", "all/"]).assert().success();
    assert_eq!(names(&folder.path().join("all")), (0..10).map(|digit| digit.to_string()).collect::<Vec<_>>());
    assert!(String::from_utf8_lossy(&classes.get_output().stderr).contains("the digits that come with the program"));
    let error = complaint(mergan().current_dir(&folder).args(["sample", "--per-task", "--out", "tasks/"]).assert());
    assert!(error.contains("<DIR|FILE>"), "{error}");
}
