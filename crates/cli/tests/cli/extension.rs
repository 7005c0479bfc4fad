//! Tests that a finished run learns one more class.

use std::fs;
use std::path::{Path, PathBuf};

use mergan_datasets::load;
use serde_json::Value;

use crate::{complaint, finished_run, generators, mergan, new_run, scores_of};

/// Makes a folder of pictures of a shape.
pub fn pictures(folder: &Path, class: usize) -> PathBuf {
    let pictures = folder.join(format!("pictures{class}"));
    fs::create_dir(&pictures).unwrap();
    let images = load("shapes", &Default::default()).unwrap().train.of_class(class);
    for (number, image) in images.images().unwrap().outer_iter().enumerate() {
        let picture = image::GrayImage::from_raw(32, 32, image.iter().copied().collect()).unwrap();
        picture.save(pictures.join(format!("{number:03}.png"))).unwrap();
    }
    pictures
}

pub fn extend(run: &Path, name: &str, pictures: &Path, into: &Path) -> assert_cmd::assert::Assert {
    let mut command = mergan();
    command.arg("extend").arg(run).args(["--name", name, "--images"]).arg(pictures).arg("--into").arg(into);
    command.args(["--checkpoint-every", "3"]).assert()
}

fn generator(run: &Path, task: &str) -> Vec<u8> {
    fs::read(run.join(format!("tasks/{task}/generator.safetensors"))).unwrap()
}

fn scores(run: &Path) -> Value {
    scores_of(run, 4)
}

fn networks(scores: &Value) -> Vec<String> {
    let rows = scores["scores"].as_array().unwrap().iter();
    rows.map(|row| row["card"]["network"].as_str().unwrap().to_string()).collect()
}

#[test]
fn a_class_of_the_dataset_is_learned_and_scored_as_the_run_was() {
    let folder = tempfile::tempdir().unwrap();
    let (run, pictures) = (folder.path().join("longer"), pictures(folder.path(), 3));
    let before = generators(finished_run());
    let config = fs::read(finished_run().join("config.toml")).unwrap();
    let output = extend(finished_run(), "frame", &pictures, &run).success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    for expected in ["before, %", "disc", "mean", "frame", "frame by the same; 32 images of each class"] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    // The extended run left the original unchanged, and has its tasks.
    assert!(generators(finished_run()) == before && generators(&run) == before);
    assert_eq!(fs::read(finished_run().join("config.toml")).unwrap(), config);
    let scores = scores(&run);
    assert_eq!(scores["class_names"], serde_json::json!(["disc", "ring", "square", "frame"]));
    assert_eq!(scores["classes"], serde_json::json!([0, 1, 2, 3]));
    assert!(networks(&scores).iter().all(|network| network == "mlp-1024-512-256-128"));

    let png = folder.path().join("frames.png");
    mergan().arg("sample").arg(&run).args(["--class", "frame", "--out"]).arg(&png).assert().success();
    let output = mergan().arg("evaluate").arg(&run).arg("--json").assert().success();
    assert_eq!(serde_json::from_slice::<Value>(&output.get_output().stdout).unwrap(), scores);
    mergan().arg("report").arg(&run).arg("--out").arg(folder.path().join("report.html")).assert().success();
    assert_eq!(image::open(run.join("real.png")).unwrap().to_luma8().dimensions(), (10 * 32, 4 * 32));
}

#[test]
fn a_new_class_makes_room_and_an_interrupted_extension_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (run, pictures) = (folder.path().join("longer"), pictures(folder.path(), 6));
    let output = extend(finished_run(), "zebra", &pictures, &run).success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(text.contains("recognised by mlp-1024-512-256-128 (which recognises"), "{text}");
    assert!(text.contains("zebra by mlp-1024-512-256-128 trained on real images of zebra and on what the"), "{text}");
    let learned = generator(&run, "04");
    let scored = scores(&run);
    assert_eq!(scored["classes"], serde_json::json!([0, 1, 2, 10]));
    assert!(networks(&scored).iter().all(|network| network.contains("trained on real images of zebra")));

    // This imitates a process that was killed in the middle of the task.
    fs::remove_file(run.join("checkpoint/task04-end.safetensors")).unwrap();
    fs::remove_dir_all(run.join("tasks/04")).unwrap();
    mergan().args(["train", "--resume"]).arg(&run).assert().success();
    assert!(generator(&run, "04") == learned);
    assert_eq!(scores(&run), scored);

    // An extended run can be extended again.
    let again = folder.path().join("again");
    extend(&run, "gnu", &pictures, &again).success();
    let longest: Value = serde_json::from_slice(&fs::read(again.join("tasks/05/scores.json")).unwrap()).unwrap();
    assert_eq!(longest["class_names"], serde_json::json!(["disc", "ring", "square", "zebra", "gnu"]));
    mergan().arg("report").arg(&again).arg("--out").arg(folder.path().join("report.html")).assert().success();

    fs::remove_file(pictures.join("000.png")).unwrap();
    let error = complaint(mergan().arg("evaluate").arg(&run).assert());
    assert!(error.contains("are not those that this run began to learn"), "{error}");
}

#[test]
fn two_extensions_into_one_directory_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let (run, pictures) = (folder.path().join("run"), pictures(folder.path(), 4));
    // Another process is at work there, and has left a file.
    let partial = folder.path().join(".run.partial");
    fs::create_dir_all(partial.join("tasks/01")).unwrap();
    fs::write(partial.join("tasks/01/stray"), "").unwrap();
    let lock = fs::File::create(partial.join(".lock")).unwrap();
    lock.lock().unwrap();
    let error = complaint(extend(finished_run(), "zebra", &pictures, &run));
    assert!(error.contains("another process is assembling") && error.contains("--into"), "{error}");
    assert!(partial.join("tasks/01/stray").exists() && !run.exists());
    drop(lock);
    extend(finished_run(), "zebra", &pictures, &run).success();
    assert!(!run.join("tasks/01/stray").exists() && !partial.exists());
}

#[test]
fn what_cannot_be_extended_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (into, pictures) = (folder.path().join("longer"), pictures(folder.path(), 3));
    let jt = folder.path().join("jt");
    mergan().args(new_run("jt", &jt)).assert().success();
    for (run, name, pictures, expected) in [
        (finished_run(), "ring", &pictures, "knows ring already"),
        (finished_run(), "zebra", &folder.path().join("absent"), "absent"),
        (folder.path(), "zebra", &pictures, "config.toml"),
        (&jt, "zebra", &pictures, "strategy jt: it learns from real images of all classes"),
    ] {
        let error = complaint(extend(run, name, pictures, &into));
        assert!(error.contains(expected), "{error}");
        assert!(!into.exists());
    }
    fs::create_dir(&into).unwrap();
    let error = complaint(extend(finished_run(), "zebra", &pictures, &into));
    assert!(error.contains("exists already"), "{error}");

    fs::remove_file(jt.join("tasks/03/scores.json")).unwrap();
    let error = complaint(extend(&jt, "zebra", &pictures, &folder.path().join("other")));
    assert!(error.contains("has not learned its 3 tasks yet; finish it by `mergan train --resume"), "{error}");
}
