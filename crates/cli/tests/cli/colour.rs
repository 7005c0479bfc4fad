//! Tests reproductions in colour, 32x32 and 64x64, on small files that other software wrote
//! (`tests/golden/datasets`).

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::mergan;

fn files(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("tests/golden/datasets").join(name)
}

/// Trains strategies of the paper on two tasks, the first of which they share, and reports on them.
fn reproduction(dataset: &[&str], side: u32, network: &str, runs: &Path) -> String {
    let train = |strategy: &str, tasks: &str| {
        let run = runs.join(format!("{strategy}{tasks}"));
        let mut command = mergan();
        command.arg("train").args(dataset).args(["--preset", "smoke", "--strategy", strategy, "--tasks", tasks]);
        command.arg("--run").arg(&run);
        if tasks != "1" {
            command.arg("--first-task").arg(runs.join("sft1"));
        }
        command.assert().success();
        run
    };
    train("sft", "1");
    let forks = ["sft", "dgr", "jtr", "ra"].map(|strategy| train(strategy, "2"));
    for run in &forks {
        let scores = fs::read(run.join("tasks/02/scores.json")).unwrap();
        let scores: Value = serde_json::from_slice(&scores).unwrap();
        let rows = scores["scores"].as_array().unwrap();
        let of = |metric: &str| rows.iter().find(|row| row["metric"] == metric && row["class"].is_null());
        assert_eq!(of("accuracy").unwrap()["card"]["network"], network);
        assert!(of("fd_mlp").is_none(), "distances are named by their network");
        let samples = image::open(run.join("tasks/02/samples.png")).unwrap();
        assert_eq!((samples.color(), samples.width(), samples.height()), (image::ColorType::Rgb8, 10 * side, 2 * side));
    }
    let page = runs.join("report.html");
    mergan().arg("report").args(&forks).arg("--out").arg(&page).assert().success();
    let grid = runs.join("grid.png");
    let class = ["--class", "1", "--count", "4", "--out"];
    mergan().arg("sample").arg(&forks[3]).args(class).arg(&grid).assert().success();
    let grid = image::open(grid).unwrap();
    assert_eq!((grid.color(), grid.width(), grid.height()), (image::ColorType::Rgb8, 2 * side, 2 * side));
    fs::read_to_string(runs.join("ledger.md")).unwrap()
}

#[test]
fn svhn() {
    let runs = tempfile::tempdir().unwrap();
    let folder = files("svhn");
    reproduction(&["--dataset", folder.to_str().unwrap()], 32, "cnn-2x32-2x64-3x128-512-128", runs.path());
}

#[test]
fn lsun() {
    let runs = tempfile::tempdir().unwrap();
    let folder = files("lsun");
    let dataset = ["--dataset", "lsun", "--data-dir", folder.to_str().unwrap()];
    let ledger = reproduction(&dataset, 64, "cnn-2x16-2x32-3x64-3x128-3x128-256-128", runs.path());
    let config = fs::read_to_string(runs.path().join("ra2/config.toml")).unwrap();
    assert!(config.contains("architecture = \"resnet\"") && config.contains("width = 4"), "{config}");
    // The ledger shows the paper's numbers for LSUN beside ours.
    assert!(ledger.contains("# Ledger: LSUN") && ledger.contains("81.03") && ledger.contains("178.05"), "{ledger}");
}
