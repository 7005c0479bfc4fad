//! Tests that a run recognises its data when they are exchanged, altered or moved, and can be repeated from its
//! configuration.

use std::fs;
use std::path::{Path, PathBuf};

use mergan_datasets::load;

use crate::{complaint, mergan};

/// Makes a folder of pictures of the first shapes, with a subfolder for each.
fn pictures(folder: &Path, classes: &[&str]) -> PathBuf {
    let root = folder.join("pictures");
    let shapes = load("shapes", &Default::default()).unwrap().train;
    for (class, name) in classes.iter().enumerate() {
        fs::create_dir_all(root.join(name)).unwrap();
        for (number, image) in shapes.of_class(class).images().unwrap().outer_iter().enumerate() {
            let picture = image::GrayImage::from_raw(32, 32, image.iter().copied().collect()).unwrap();
            picture.save(root.join(name).join(format!("{number:03}.png"))).unwrap();
        }
    }
    root
}

/// Trains a run of two tasks on these data, with a cache of its own.
fn train(dataset: &Path, run: &Path, cache: &Path) -> assert_cmd::assert::Assert {
    let mut command = mergan();
    command.env("MERGAN_DATA", cache).args([
        "train",
        "--strategy",
        "ra",
        "--preset",
        "smoke",
        "--tasks",
        "2",
        "--grey",
    ]);
    command.arg("--dataset").arg(dataset).arg("--run").arg(run).assert()
}

fn on(cache: &Path, arguments: &[&str], run: &Path) -> assert_cmd::Command {
    let mut command = mergan();
    command.env("MERGAN_DATA", cache).args(arguments).arg(run);
    command
}

/// Makes the run look as if it had been stopped in its second task.
fn stop(run: &Path) {
    fs::remove_dir_all(run.join("tasks/02")).unwrap();
    fs::remove_file(run.join("checkpoint/task02-end.safetensors")).unwrap();
}

fn generator(run: &Path) -> Vec<u8> {
    fs::read(run.join("tasks/02/generator.safetensors")).unwrap()
}

fn scorers(cache: &Path) -> usize {
    let entries = fs::read_dir(cache.join("scorers")).unwrap().map(|entry| entry.unwrap().file_name());
    entries.filter(|name| name.to_str().unwrap().ends_with(".safetensors")).count()
}

#[test]
fn changed_data_are_refused_with_what_changed_and_have_a_classifier_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let [run, cache, aside] = ["run", "cache", "aside"].map(|name| folder.path().join(name));
    let data = pictures(folder.path(), &["disc", "ring"]);
    train(&data, &run, &cache).success();
    let learned = generator(&run);
    stop(&run);

    let file = |name: &str| data.join(name);
    let altered = fs::read(file("disc/000.png")).unwrap();
    let with_another_byte: Vec<u8> = fs::read(file("disc/001.png")).unwrap();
    type Change<'c> = (&'c str, Box<dyn Fn() + 'c>, Box<dyn Fn() + 'c>);
    let swap = || {
        fs::rename(file("disc"), &aside).unwrap();
        fs::rename(file("ring"), file("disc")).unwrap();
        fs::rename(&aside, file("ring")).unwrap();
    };
    let changes: [Change; 4] = [
        ("exchanged classes", Box::new(swap), Box::new(swap)),
        (
            "1 altered",
            Box::new(|| fs::write(file("disc/000.png"), &with_another_byte).unwrap()),
            Box::new(|| fs::write(file("disc/000.png"), &altered).unwrap()),
        ),
        (
            "1 removed",
            Box::new(|| fs::rename(file("disc/000.png"), &aside).unwrap()),
            Box::new(|| fs::rename(&aside, file("disc/000.png")).unwrap()),
        ),
        (
            "1 added",
            Box::new(|| fs::copy(file("disc/000.png"), file("disc/zzz.png")).map(drop).unwrap()),
            Box::new(|| fs::remove_file(file("disc/zzz.png")).unwrap()),
        ),
    ];
    for (known, (expected, change, back)) in (1..).zip(&changes) {
        change();
        for command in [["train", "--resume"].as_slice(), &["evaluate"]] {
            let error = complaint(on(&cache, command, &run).assert());
            assert!(error.contains(expected) && error.contains("--accept-changed-data"), "{error}");
        }
        assert_eq!(scorers(&cache), known);
        let other = folder.path().join(format!("other{known}"));
        train(&data, &other, &cache).success();
        assert_eq!(scorers(&cache), known + 1, "{expected}");
        let both = mergan().arg("compare").args([&run, &other]).assert();
        assert!(complaint(both).contains("data differs"));
        back();
    }
    on(&cache, &["train", "--resume"], &run).assert().success();
    assert!(generator(&run) == learned);
}

#[test]
fn changed_data_can_be_gone_on_with_deliberately_and_the_report_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let [run, cache, page] = ["run", "cache", "report.html"].map(|name| folder.path().join(name));
    let data = pictures(folder.path(), &["disc", "ring"]);
    train(&data, &run, &cache).success();
    stop(&run);
    fs::remove_file(data.join("ring/000.png")).unwrap();
    on(&cache, &["train", "--accept-changed-data", "--resume"], &run).assert().success();
    let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let changed = events.lines().find(|line| line.contains("\"data_changed\"")).unwrap();
    assert!(changed.contains("1 removed") && changed.starts_with("{\"time\":\"20"), "{changed}");
    // From now on the run expects the new data.
    on(&cache, &["train", "--resume"], &run).assert().success();
    on(&cache, &["report", "--out", page.to_str().unwrap()], &run).assert().success();
    for file in [&page, &page.with_file_name("ledger.md")] {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains("The data of run were changed while it was trained: 1 removed"), "{}", file.display());
        assert!(text.contains(" cores, ") || text.contains(" core, "), "{} says on what", file.display());
    }
}

#[test]
fn data_may_move() {
    let folder = tempfile::tempdir().unwrap();
    let [run, cache, elsewhere] = ["run", "cache", "elsewhere"].map(|name| folder.path().join(name));
    let data = pictures(folder.path(), &["disc", "ring"]);
    train(&data, &run, &cache).success();
    let learned = generator(&run);
    stop(&run);
    fs::rename(&data, &elsewhere).unwrap();
    let error = complaint(on(&cache, &["train", "--resume"], &run).assert());
    assert!(error.contains("it may have moved"), "{error}");
    let moved = elsewhere.to_str().unwrap();
    on(&cache, &["train", "--dataset", moved, "--resume"], &run).assert().success();
    assert!(generator(&run) == learned);
    assert_eq!(scorers(&cache), 1);
    on(&cache, &["evaluate", "--dataset", moved], &run).assert().success();

    // An extension looks up the number of the new class among the classes of the run's dataset.
    let (zebras, longer) = (elsewhere.join("disc").display().to_string(), folder.path().join("longer"));
    let extend = ["extend", "--name", "zebra", "--images", &zebras, "--into", longer.to_str().unwrap(), "--dataset"];
    on(&cache, &[&extend[..], &[moved]].concat(), &run).assert().success();
    fs::remove_dir_all(&longer).unwrap();
    fs::remove_file(elsewhere.join("ring/000.png")).unwrap();
    let error = complaint(on(&cache, &[&extend[..], &[moved]].concat(), &run).assert());
    assert!(error.contains("1 removed") && !longer.exists(), "{error}");
}

#[test]
fn a_run_is_made_again_from_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let [first, again, other] = ["first", "again", "other"].map(|name| folder.path().join(name));
    let train = |arguments: &[&str], run: &Path| {
        let mut command = mergan();
        command.arg("train").args(arguments).arg("--run").arg(run).assert()
    };
    let new = ["--dataset", "shapes", "--strategy", "jtr", "--preset", "smoke", "--tasks", "2", "--seed", "5"];
    train(&[&new[..], &["--set", "training.rate=2e-4"]].concat(), &first).success();
    let config = first.join("config.toml");
    let path = config.to_str().unwrap();
    train(&["--config", path], &again).success();
    assert!(generator(&first) == generator(&again));
    assert_eq!(fs::read(&config).unwrap(), fs::read(again.join("config.toml")).unwrap());

    train(&["--config", path, "--seed", "6", "--set", "training.batch=16"], &other).success();
    let text = fs::read_to_string(other.join("config.toml")).unwrap();
    assert!(text.contains("seed = 6") && text.contains("changed by hand: training.batch=16"), "{text}");

    let refused = |arguments: &[&str]| complaint(train(arguments, &folder.path().join("none")));
    assert!(refused(&["--config", path, "--strategy", "ra"]).contains("leave --strategy and --preset out"));
    let other_data = fs::read_to_string(&config).unwrap().replace("\ndata = \"", "\ndata = \"0");
    fs::write(folder.path().join("other.toml"), other_data).unwrap();
    let error = refused(&["--config", folder.path().join("other.toml").to_str().unwrap()]);
    assert!(error.contains("names other data than shapes now has"), "{error}");
    assert!(!folder.path().join("none").exists());
}

/// Prepares a folder twice, so that the files have the same size but hold different pixels.
#[cfg(feature = "hdf5")]
#[test]
fn prepared_files_of_other_pixels_have_a_classifier_each() {
    let folder = tempfile::tempdir().unwrap();
    let [run, other, cache] = ["run", "other", "cache"].map(|name| folder.path().join(name));
    let data = folder.path().join("pictures");
    for (class, name) in ["wide", "high"].into_iter().enumerate() {
        fs::create_dir_all(data.join(name)).unwrap();
        for number in 0..40u32 {
            let (width, height) = if class == 0 { (48, 32) } else { (32, 48) };
            let pixel = |x, y| image::Luma([(7 * x + 3 * y + 5 * number) as u8]);
            image::GrayImage::from_fn(width, height, pixel)
                .save(data.join(name).join(format!("{number}.png")))
                .unwrap();
        }
    }
    let prepared = folder.path().join("pets.h5");
    let convert = |fit: &str| {
        let _ = fs::remove_file(&prepared);
        mergan().args(["data", "convert", "--grey", "--fit", fit]).arg(&data).arg(&prepared).assert().success();
        fs::metadata(&prepared).unwrap().len()
    };
    let on_file = |run: &Path| {
        let mut command = mergan();
        command.env("MERGAN_DATA", &cache).args(["train", "--strategy", "ra", "--preset", "smoke", "--tasks", "2"]);
        command.arg("--dataset").arg(&prepared).arg("--run").arg(run).assert().success();
    };
    let cropped = convert("crop");
    on_file(&run);
    stop(&run);
    assert_eq!(convert("resize"), cropped);
    let error = complaint(on(&cache, &["train", "--resume"], &run).assert());
    assert!(error.contains("other images"), "{error}");
    on_file(&other);
    assert_eq!(scorers(&cache), 2);
    convert("crop");
    on(&cache, &["train", "--resume"], &run).assert().success();
}
