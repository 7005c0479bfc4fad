//! Tests a user's own images and prepared files in place of a dataset's name, and what happens to bad ones.

use std::fs;
use std::path::Path;

use image::{GrayImage, Luma};
use tempfile::TempDir;

use crate::{complaint, mergan};

/// Makes two classes of twenty pictures, bright and dark ones, each with a spot somewhere.
pub fn own_pictures() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (class, ground) in [("bright", 220), ("dark", 30)] {
        fs::create_dir(folder.path().join(class)).unwrap();
        for number in 0..20 {
            let mut picture = GrayImage::from_pixel(40, 36, Luma([ground]));
            picture.put_pixel(number, 2 * number % 36, Luma([128]));
            picture.save(folder.path().join(format!("{class}/{number:02}.png"))).unwrap();
        }
    }
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(command: &mut assert_cmd::Command) -> String {
    let output = command.assert().success().get_output().clone();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

fn train<'a>(dataset: &'a Path, run: &'a Path) -> [&'a str; 9] {
    ["train", "--dataset", text(dataset), "--strategy", "ra", "--preset", "smoke", "--run", text(run)]
}

#[test]
fn a_folder_of_pictures_is_trained_on_and_scored() {
    let (pictures, runs) = (own_pictures(), tempfile::tempdir().unwrap());
    let run = runs.path().join("run");
    fs::write(pictures.path().join("dark/07.png"), "no picture").unwrap();
    let error = complaint(mergan().args(train(pictures.path(), &run)).assert());
    assert!(error.contains("dark/07.png cannot be read as an image") && !run.exists(), "{error}");

    // This run starts in another directory and uses a relative path.
    let relative = Path::new(pictures.path().file_name().unwrap());
    let mut command = mergan();
    command.current_dir(pictures.path().parent().unwrap()).args(train(relative, &run)).args(["--grey", "--skip-bad"]);
    let report = said(&mut command);
    assert!(
        report.contains("dark/07.png: ") && report.contains("1 pictures that cannot be read were left out"),
        "{report}"
    );
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains(&format!("dataset = \"{}\"", text(pictures.path()))), "{config}");
    assert!(config.contains("channels = 1") && config.contains("skip_bad = true"), "{config}");

    let report = said(mergan().arg("evaluate").arg(&run).args(["--samples", "4"]));
    assert!(report.contains("bright") && report.contains("dark"), "{report}");
    mergan().args(["train", "--resume"]).arg(&run).assert().success();
}

#[test]
fn a_folder_is_described() {
    let pictures = own_pictures();
    let info = said(mergan().args(["data", "info", text(pictures.path()), "--side", "64", "--limit", "10"]));
    assert!(info.contains("3 x 64 x 64; 18 train, 0 validation, 2 test") && info.contains("bright, dark"), "{info}");
    for (option, value, expected) in [
        ("--side", "48", "images.side must be 32 or 64"),
        ("--limit", "0", "images.limit must be at least 1"),
        ("--fit", "stretch", "[possible values: crop, resize]"),
    ] {
        let error = complaint(mergan().args(["data", "info", text(pictures.path()), option, value]).assert());
        assert!(error.contains(expected), "{error}");
    }
    fs::create_dir(pictures.path().join("empty")).unwrap();
    let error = complaint(mergan().args(["data", "info", text(pictures.path())]).assert());
    assert!(error.contains("/empty has no image"), "{error}");
}

#[test]
fn the_order_the_size_and_the_limit_of_tasks_are_configured() {
    let folder = tempfile::tempdir().unwrap();
    let (file, run) = (folder.path().join("tasks.toml"), folder.path().join("run"));
    fs::write(&file, "[sequence]\norder = [7, 2, 5, 0]\nclasses_per_task = 2\n").unwrap();
    let options = ["--config", text(&file), "--set", "sequence.limit_per_class=20"];
    mergan().args(train(Path::new("shapes"), &run)).args(options).assert().success();
    let config: toml::Table = fs::read_to_string(run.join("config.toml")).unwrap().parse().unwrap();
    assert_eq!((config["tasks"].as_integer(), config["sequence"]["limit_per_class"].as_integer()), (Some(2), Some(20)));
    for (task, classes) in [("01", [7, 2].as_slice()), ("02", &[7, 2, 5, 0])] {
        let scores = fs::read_to_string(run.join("tasks").join(task).join("scores.json")).unwrap();
        let scores: serde_json::Value = serde_json::from_str(&scores).unwrap();
        assert_eq!(scores["classes"], serde_json::json!(classes));
    }
}

#[test]
fn datasets_that_are_placed_by_hand_are_asked_for() {
    let cache = tempfile::tempdir().unwrap();
    let arguments = ["--offline", "--cache", text(cache.path())];
    for (name, expected) in [("svhn", "246.3 MB in all, from http://"), ("lsun", "bedroom_train_lmdb.zip (43 GB)")] {
        let error = complaint(mergan().args(["data", "fetch", name]).args(arguments).assert());
        assert!(error.contains(expected) && error.contains(text(cache.path())), "{error}");
    }
    let list = said(mergan().args(["data", "list", "--cache", text(cache.path())]));
    assert!(list.lines().filter(|line| line.contains("not fetched")).count() == 4, "{list}");
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0, "the cache is as it was");
}

#[cfg(not(feature = "hdf5"))]
#[test]
fn a_build_without_hdf5_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("shapes.h5");
    let error = complaint(mergan().args(["data", "convert", "shapes", text(&out)]).assert());
    assert!(error.contains("apt-get install libhdf5-dev") && error.contains("hdf5-static"), "{error}");
}

#[cfg(feature = "hdf5")]
#[test]
fn a_prepared_file_is_taken_by_every_command() {
    let (pictures, folder) = (own_pictures(), tempfile::tempdir().unwrap());
    let (file, runs) = (folder.path().join("own.h5"), ["prepared", "pictures"].map(|run| folder.path().join(run)));
    let report = said(mergan().args(["data", "convert", text(pictures.path()), text(&file), "--grey"]));
    assert!(report.contains("bright: 18, dark: 18") && report.contains(text(&file)), "{report}");
    let info = said(mergan().args(["data", "info", text(&file)]));
    assert!(info.contains("1 x 32 x 32; 36 train, 0 validation, 4 test"), "{info}");

    // The same images make the same run, whether they lie in a prepared file or in a folder.
    said(mergan().args(train(&file, &runs[0])));
    said(mergan().args(train(pictures.path(), &runs[1])).arg("--grey"));
    let [prepared, direct] = runs.each_ref().map(|run| fs::read(run.join("tasks/02/generator.safetensors")).unwrap());
    assert!(prepared == direct);
    said(mergan().arg("evaluate").arg(&runs[0]).args(["--samples", "4"]));
}

/// Returns the error of this shell script, which runs the command `program`; it must fail.
#[cfg(feature = "hdf5")]
fn refused(script: &str, program: &str, arguments: &[&str]) -> String {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, program]).args(arguments);
    complaint(assert_cmd::Command::from(shell).assert())
}

#[cfg(all(unix, feature = "hdf5"))]
#[test]
fn without_room_or_permission_nothing_is_left() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("shapes.h5");
    let program = env!("CARGO_BIN_EXE_mergan");
    // Files may not grow past 50 kB, as if the disk were full; the images take 600 kB.
    let limited = "ulimit -f 100; trap '' XFSZ; exec \"$0\" \"$@\"";
    let error = refused(limited, program, &["data", "convert", "shapes", text(&out)]);
    assert!(error.contains("cannot write") && error.contains("make room or give write permission"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    // A superuser may write everywhere, so the command runs as another user, from a place where that user may run it.
    let public = tempfile::tempdir().unwrap();
    fs::set_permissions(public.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = public.path().join("mergan");
    fs::copy(env!("CARGO_BIN_EXE_mergan"), &program).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let other = "[ $(id -u) = 0 ] && exec setpriv --reuid 65534 --clear-groups \"$0\" \"$@\"; exec \"$0\" \"$@\"";
    let error = refused(other, text(&program), &["data", "convert", "shapes", text(&out)]);
    assert!(error.contains("cannot write") && error.contains("ermission denied"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
