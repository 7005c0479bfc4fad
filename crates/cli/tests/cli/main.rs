//! Tests the real binary, from its command line to its files. All runs are smoke runs on the drawn shapes, which take
//! seconds and need no network.

mod adapters;
mod brought;
mod colour;
mod data;
mod demo;
mod devices;
mod errors;
#[cfg(target_os = "linux")]
mod every_call;
mod extension;
mod faults;
mod fid;
mod flips;
mod habits;
mod identity;
mod interruption;
#[cfg(target_os = "linux")]
mod locks;
mod photos;
mod reproduce;
mod results;
mod sampling;
mod tutorial;
mod watch;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use assert_cmd::assert::Assert;

/// Returns the command, with the cache that all tests share.
fn mergan() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mergan"));
    command.env("MERGAN_DATA", cache());
    command
}

/// Returns the options of a new smoke run of three tasks.
fn new_run<'a>(strategy: &'a str, run: &'a Path) -> [&'a str; 11] {
    run_of("3", strategy, run)
}

/// Returns the options of a new smoke run of `tasks` tasks.
fn run_of<'a>(tasks: &'a str, strategy: &'a str, run: &'a Path) -> [&'a str; 11] {
    let run = run.to_str().expect("temporary directories have plain names");
    ["train", "--dataset", "shapes", "--strategy", strategy, "--preset", "smoke", "--tasks", tasks, "--run", run]
}

/// Returns the shared cache. The scoring classifier is trained once for all tests, as on a user's machine.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// Returns a finished run of replay alignment, made once per process for the tests that only read it. It stays in
/// cargo's folder for temporary files, because no code runs after a process's last test.
fn finished_run() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
        let run = folder.join("ra");
        mergan().args(new_run("ra", &run)).assert().success();
        run
    })
}

/// Returns the generators of the three tasks, as bytes.
fn generators(run: &Path) -> [Vec<u8>; 3] {
    [1, 2, 3].map(|task| fs::read(run.join(format!("tasks/{task:02}/generator.safetensors"))).unwrap())
}

/// Returns the scores of a task without the checksum that their file adds.
fn scores_of(run: &Path, task: usize) -> serde_json::Value {
    let text = fs::read(run.join(format!("tasks/{task:02}/scores.json"))).unwrap();
    let mut scores: serde_json::Value = serde_json::from_slice(&text).unwrap();
    scores.as_object_mut().unwrap().remove("sha256").unwrap();
    scores
}

/// Returns the accuracy on the past by task and iteration, according to the log. Lines repeated by a resumed run
/// count once.
fn gaps(run: &Path) -> BTreeMap<(u64, u64), f64> {
    let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let gaps = events.filter(|event| event["event"] == "gap");
    let number = |event: &serde_json::Value, name: &str| event[name].as_u64().unwrap();
    gaps.map(|gap| ((number(&gap, "task"), number(&gap, "iteration")), gap["accuracy"].as_f64().unwrap())).collect()
}

/// Returns the error output of a failed command.
fn complaint(assert: Assert) -> String {
    let output = assert.failure().get_output().clone();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("panicked"), "{text}");
    text
}
