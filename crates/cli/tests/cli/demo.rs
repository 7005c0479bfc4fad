//! Tests the demo, with fewer iterations than it takes to learn anything.

use std::fs;
use std::path::Path;

use assert_cmd::Command;

use crate::{complaint, mergan};

/// Returns the command of a demo that takes seconds.
fn demo(out: &Path) -> Command {
    let mut command = mergan();
    command.args(["demo", "--set", "training.iterations=3", "--set", "training.first_iterations=4"]);
    command.args(["--set", "evaluation.samples=8", "--out"]).arg(out);
    command
}

#[test]
fn the_demo_shows_what_to_expect_then_the_runs_side_by_side_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let output = demo(&out).assert().success().get_output().clone();
    let [said, printed] = [&output.stderr, &output.stdout].map(|text| String::from_utf8(text.clone()).unwrap());
    let first = said.lines().next().unwrap();
    assert!(first.starts_with("Three generators learn to draw a ring, then a triangle, then a plus"), "{said}");
    assert!(said.lines().take(5).any(|line| line.contains("minute on two cores")), "{said}");
    let shown = ["ring  triangle      plus", "SFT", "RA", "JTR", "forgetting.png", "report.html"];
    assert!(shown.iter().all(|text| printed.contains(text)), "{printed}");

    // Three strategies below each other, each after three tasks, with five images in a row.
    let picture = image::open(out.join("forgetting.png")).unwrap();
    assert!(picture.width() > 3 * 5 * 64 && picture.height() > 3 * (1 + 2 + 3) * 32, "{picture:?}");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(["SFT", "RA", "JTR"].iter().all(|strategy| page.contains(strategy)));

    // Only what is missing is done again, to the same bits.
    let generator = |strategy: &str| out.join(strategy).join("tasks/03/generator.safetensors");
    let read = |strategy: &str| fs::read(generator(strategy)).unwrap();
    let (kept, removed) = (fs::metadata(generator("ra")).unwrap().modified().unwrap(), read("jtr"));
    fs::remove_dir_all(out.join("jtr")).unwrap();
    fs::remove_file(out.join("forgetting.png")).unwrap();
    demo(&out).assert().success();
    assert_eq!(fs::metadata(generator("ra")).unwrap().modified().unwrap(), kept);
    assert!(read("jtr") == removed && out.join("forgetting.png").is_file());
}

#[test]
fn another_run_in_the_demos_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    mergan().args(crate::run_of("1", "sft", &folder.path().join("sft"))).assert().success();
    let config = fs::read(folder.path().join("sft/config.toml")).unwrap();
    let error = complaint(demo(folder.path()).assert());
    assert!(error.contains("sft holds another run than this demo; choose another folder with --out"), "{error}");
    assert_eq!(fs::read(folder.path().join("sft/config.toml")).unwrap(), config);
    assert!(!folder.path().join("first-task").exists());
    let error = complaint(demo(folder.path()).args(["--set", "training.speed=1"]).assert());
    assert!(error.contains("unknown field `speed`"), "{error}");
}
