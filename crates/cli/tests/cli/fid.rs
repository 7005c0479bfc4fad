//! Tests `mergan fid` and `mergan evaluate --metrics` on features, on pictures and on runs. The network's weights are
//! random, because the real ones are too large for a repository.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mergan_datasets::npy::{Element, header};
use mergan_models::{Inception, Weights};
use mergan_tensor::{Device, Random, Tensor};
use serde_json::Value;

use crate::{complaint, finished_run, mergan};

fn save_npy(path: &Path, rows: &[Vec<f64>]) {
    let mut file = header(Element::F64, &[rows.len(), rows[0].len()]);
    file.extend(rows.iter().flatten().flat_map(|number| number.to_le_bytes()));
    fs::write(path, file).unwrap();
}

/// Makes samples at the corners of a box, with exactly these means and deviations.
fn corners(mean: [f64; 3], deviation: [f64; 3]) -> Vec<Vec<f64>> {
    let reach = (7.0f64 / 8.0).sqrt();
    let place = |corner: usize, axis: usize| if corner >> axis & 1 == 1 { reach } else { -reach };
    (0..8).map(|corner| (0..3).map(|axis| mean[axis] + deviation[axis] * place(corner, axis)).collect()).collect()
}

/// Returns a file of Inception with random weights.
fn noise() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep().join("noise.safetensors");
        Inception::noise(Random::new(1), Device::Cpu).save(&path).unwrap();
        path
    })
}

/// Makes grey pictures of noise, 32 pixels wide, brighter by `shift`.
fn pictures(folder: &Path, count: usize, seed: u32, shift: u32) {
    fs::create_dir(folder).unwrap();
    for i in 0..count as u32 {
        let pixel = |x: u32, y: u32| ((x / 4 * 71 + y / 4 * 113 + (i + seed) * 37 * (x / 4 + 1)) % 150 + shift) as u8;
        image::GrayImage::from_fn(32, 32, |x, y| image::Luma([pixel(x, y)]))
            .save(folder.join(format!("{i:03}.png")))
            .unwrap();
    }
}

/// Returns `mergan fid` with that network.
pub fn fid(real: PathBuf, generated: PathBuf) -> assert_cmd::Command {
    let mut command = mergan();
    command.arg("fid").args([real, generated]).args(["--network", "noise", "--weights"]).arg(noise());
    command
}

fn rows(command: &mut assert_cmd::Command) -> Vec<Value> {
    let output = command.arg("--json").assert().success();
    serde_json::from_slice::<Value>(&output.get_output().stdout).unwrap().as_array().unwrap().clone()
}

fn value(rows: &[Value], metric: &str) -> f64 {
    let row = rows.iter().find(|row| row["metric"] == metric).unwrap_or_else(|| panic!("{metric} in {rows:?}"));
    row["value"].as_f64().unwrap()
}

#[test]
fn features_have_the_distance_of_the_closed_form() {
    let folder = tempfile::tempdir().unwrap();
    let [real, generated] = ["real.npy", "generated.npy"].map(|name| folder.path().join(name));
    save_npy(&real, &corners([0.0; 3], [1.0, 2.0, 3.0]));
    save_npy(&generated, &corners([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]));
    let mut command = mergan();
    command.arg("fid").args([&real, &generated]).args(["--features", "--metrics", "fid,kid,prdc"]);
    let found = rows(&mut command);
    let names: Vec<_> = found.iter().map(|row| row["metric"].as_str().unwrap()).collect();
    assert_eq!(names, ["fid", "kid", "kid_deviation", "kid_full", "precision", "recall", "density", "coverage"]);
    assert!((value(&found, "fid") - 17.0).abs() < 1e-9, "{found:?}");
    assert_eq!(found[0]["card"]["network"], "given features");
    assert_eq!(found[0]["card"]["real"]["samples"], 8);
    assert!(found[4]["card"]["estimator"].as_str().unwrap().contains("k = 3"));
    let text = mergan().arg("fid").args([&real, &generated]).arg("--features").assert().success();
    assert!(String::from_utf8_lossy(&text.get_output().stdout).contains("17.0000000000"));
}

#[test]
fn bad_features_give_an_error_and_no_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    save_npy(&path("good.npy"), &corners([0.0; 3], [1.0; 3]));
    save_npy(&path("one.npy"), &[vec![1.0, 2.0, 3.0]]);
    save_npy(&path("wide.npy"), &[vec![1.0; 4], vec![2.0; 4]]);
    save_npy(&path("nan.npy"), &[vec![1.0, f64::NAN, 3.0], vec![1.0, 2.0, 3.0]]);
    fs::write(path("text.npy"), "no array").unwrap();
    for (name, expected) in [
        ("one.npy", "1 samples are too few"),
        ("wide.npy", "features of 3 and of 4 numbers"),
        ("nan.npy", "no finite numbers"),
        ("text.npy", "text.npy is no matrix"),
        ("absent.npy", "absent.npy"),
    ] {
        let assert = mergan().arg("fid").args([path("good.npy"), path(name)]).arg("--features").assert();
        let stdout = assert.get_output().stdout.clone();
        let error = complaint(assert);
        assert!(error.contains(expected) && stdout.is_empty(), "{name}: {error}");
    }
}

#[test]
fn pictures_are_compared_and_statistics_stand_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    pictures(&path("real"), 9, 0, 0);
    pictures(&path("generated"), 8, 100, 80);
    let fid = |real: &str, generated: &str, options: &[&str]| {
        let mut command = fid(path(real), path(generated));
        command.args(options);
        command
    };
    let found = rows(&mut fid("real", "generated", &["--metrics", "fid,kid,prdc"]));
    let distance = value(&found, "fd_noise");
    assert!(distance > 0.0 && value(&found, "precision_noise") <= 1.0);
    assert!(found[0]["warning"].as_str().unwrap().contains("8 samples of 2048 features"), "{}", found[0]);
    let card = &found[0]["card"];
    assert_eq!(
        (&card["resize"], &card["features"], &card["generated"]["samples"]),
        (&"tf1".into(), &2048.into(), &8.into())
    );
    assert!(card["sha256"].as_str().unwrap().len() == 64);
    assert!(value(&rows(&mut fid("real", "real", &[])), "fd_noise") < 1e-6 * distance);

    fid("real", "real.npz", &["--save-statistics"]).assert().success();
    let again = value(&rows(&mut fid("real.npz", "generated", &[])), "fd_noise");
    assert!((again - distance).abs() <= 1e-9 * distance, "{again} and {distance}");
    let error = complaint(fid("real.npz", "generated", &["--metrics", "kid"]).assert());
    assert!(error.contains("a file of statistics has a Frechet distance only"), "{error}");
    let clean = value(&rows(&mut fid("real", "generated", &["--resize", "clean"])), "fd_noise");
    assert!((clean - distance).abs() > 1e-6 * distance);

    // This picture has a different size.
    image::GrayImage::new(32, 33).save(path("generated/zzz.png")).unwrap();
    let error = complaint(fid("real", "generated", &[]).assert());
    assert!(error.contains("mixed sizes") && error.contains("zzz.png has 32 x 33"), "{error}");
    fs::write(path("generated/zzz.png"), "no picture").unwrap();
    assert!(complaint(fid("real", "generated", &[]).assert()).contains("zzz.png cannot be read as an image"));
    pictures(&path("one"), 1, 0, 0);
    assert!(complaint(fid("real", "one", &[]).assert()).contains("1 samples are too few"));
    fs::create_dir(path("empty")).unwrap();
    assert!(complaint(fid("empty", "one", &[]).assert()).contains("holds no pictures"));
}

#[test]
fn images_are_the_same_in_a_folder_in_arrays_and_in_a_prepared_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("classes")).unwrap();
    pictures(&path("classes/grey"), 4, 0, 0);
    pictures(&path("generated"), 3, 100, 80);
    let mut array = header(Element::U8, &[4, 32, 32, 1]);
    for i in 0..4 {
        array.extend(image::open(path(&format!("classes/grey/{i:03}.png"))).unwrap().into_bytes());
    }
    fs::write(path("images.npy"), &array).unwrap();
    let mut archive = zip::ZipWriter::new(fs::File::create(path("images.npz")).unwrap());
    archive.start_file("arr_0.npy", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(&array).unwrap();
    archive.finish().unwrap();
    if cfg!(feature = "hdf5") {
        mergan().args(["data", "convert", "--grey"]).args([path("classes"), path("images.h5")]).assert().success();
    }
    let distance = |images: &str| value(&rows(&mut fid(path(images), path("generated"))), "fd_noise");
    let expected = distance("classes/grey");
    assert!(expected > 0.0);
    for images in ["images.npy", "images.npz", "images.h5"].iter().filter(|name| path(name).exists()) {
        let found = distance(images);
        assert!((found - expected).abs() <= 1e-9 * expected, "{images}: {found} instead of {expected}");
    }
}

#[test]
fn weights_are_asked_for_checked_and_never_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    pictures(&path("real"), 2, 0, 0);
    let fid = |options: &[&str]| {
        let mut command = mergan();
        command.arg("fid").args([path("real"), path("real")]).args(options);
        complaint(command.assert())
    };
    let cache = path("cache");
    let error = fid(&["--cache", cache.to_str().unwrap()]);
    assert!(error.contains("no weights of Inception") && error.contains("mergan data fetch inception"), "{error}");

    let error = fid(&["--weights", noise().to_str().unwrap()]);
    assert!(error.contains("is not the network that FID is defined by") && error.contains("6726825d"), "{error}");

    let other = path("other.safetensors");
    let mut weights = Weights::default();
    weights.insert("Conv2d_1a_3x3.conv.weight", &Tensor::zeros([1, 1, 1, 1], Device::Cpu));
    weights.save(&other).unwrap();
    let error = fid(&["--network", "other", "--weights", other.to_str().unwrap()]);
    assert!(
        error.contains("`Conv2d_1a_3x3.conv.weight`") && error.contains("the network needs [32, 3, 3, 3]"),
        "{error}"
    );

    // This pickle would run a command if Python read it.
    let (trace, bad) = (path("trace"), path("bad.pth"));
    let command = format!("touch {}", trace.display());
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02cposix\nsystem\n(X".to_vec();
    file.extend((command.len() as u32).to_le_bytes());
    file.extend(command.bytes());
    file.extend(b"tR.");
    fs::write(&bad, file).unwrap();
    let error = fid(&["--network", "bad", "--weights", bad.to_str().unwrap()]);
    assert!(
        error.contains("bad.pth") && error.contains("`posix.system`") && error.contains("nothing was run"),
        "{error}"
    );
    assert!(!trace.exists());
}

#[test]
fn the_generators_of_a_run_are_scored_by_class_and_over_all() {
    let options = ["--samples", "8", "--metrics", "fid,prdc", "--network", "noise", "--json", "--weights"];
    let output = mergan().arg("evaluate").arg(finished_run()).args(options).arg(noise()).assert().success();
    let scores: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let scores = scores["scores"].as_array().unwrap();
    let of = |metric: &str| -> Vec<&Value> { scores.iter().filter(|row| row["metric"] == metric).collect() };
    let distances = of("fd_noise");
    let classes: Vec<_> = distances.iter().map(|row| row["class"].as_u64()).collect();
    assert_eq!(classes, [Some(0), Some(1), Some(2), None]);
    let values: Vec<f64> = distances.iter().map(|row| row["value"].as_f64().unwrap()).collect();
    assert!((values[3] - values[..3].iter().sum::<f64>() / 3.0).abs() < 1e-9 * values[3]);
    assert_eq!(distances[0]["card"]["resize"], "tf1");
    assert_eq!(distances[0]["card"]["real_images"], "all test images");
    for metric in ["fd_pooled_noise", "precision_pooled_noise", "coverage_pooled_noise"] {
        assert_eq!(of(metric).len(), 1, "{metric}");
    }
    assert_eq!(of("recall_noise").len(), 4);

    // A run can be one side of a distance.
    let folder = tempfile::tempdir().unwrap();
    pictures(&folder.path().join("real"), 4, 0, 0);
    let found = rows(fid(folder.path().join("real"), finished_run().into()).args(["--samples", "2"]));
    assert_eq!(found[0]["card"]["generated"]["samples"], 6);
}
