//! Flips single bits in every kind of file of a run, and reads the file by a command that uses it. Each flip has to be
//! noticed, unless the command comes to the same results.
//!
//! `MERGAN_FLIPS=N` flips N bits of each file instead of the default, and `cargo test -p mergan-cli --test cli flips --
//! --nocapture` prints a line for each file.

use std::fs;
use std::path::Path;

use assert_cmd::Command;

use crate::interruption::copy;
use crate::{complaint, finished_run, generators, mergan};

/// The number of bits of each file that are flipped by default.
const FLIPS: usize = 5;

/// What came of the flips in a file.
#[derive(Debug, Default)]
struct Found {
    /// The command failed and named the file.
    refused: usize,
    /// It went on with a warning, or with the remark that the file was not checked.
    warned: usize,
    /// Its results are those of the undamaged file.
    same: usize,
    /// It went on to other results without a word: the bits.
    unnoticed: Vec<usize>,
}

/// Flips bits of a file of a finished run, and lets a command that writes to the given folder read it each time.
fn flip(file: &str, command: &dyn Fn(&mut Command, &Path, &Path)) -> Found {
    let scratch = tempfile::tempdir().unwrap();
    let (run, out) = (scratch.path().join("run"), scratch.path().join("out"));
    copy(finished_run(), &run);
    let read = || {
        let _ = fs::remove_dir_all(&out);
        fs::create_dir(&out).unwrap();
        let mut reader = mergan();
        command(&mut reader, &run, &out);
        let output = reader.output().unwrap();
        let mut results: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
        results.sort();
        let results: Vec<_> = results.iter().map(|path| fs::read(path).unwrap()).collect();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), results)
    };
    let (code, text, good) = read();
    assert!(code == Some(0) && !text.contains("not checked") && !good.is_empty(), "{file}: {text}");

    let path = run.join(file);
    let whole = fs::read(&path).unwrap();
    let flips = std::env::var("MERGAN_FLIPS").map_or(FLIPS, |flips| flips.parse().unwrap());
    let bits = 8 * whole.len();
    let mut found = Found::default();
    for number in 0..flips {
        // The bits are spread over the file, and are not always the same ones of their bytes.
        let bit = (number * (bits / flips) + 37 * number + bits / (2 * flips)) % bits;
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, damaged).unwrap();
        let (code, text, results) = read();
        assert!(!text.contains("panicked"), "{file}, bit {bit}: {text}");
        let name = path.file_name().unwrap().to_str().unwrap();
        match code {
            Some(1) if text.contains(name) => found.refused += 1,
            Some(0) if text.contains("warning") || text.contains("not checked") => found.warned += 1,
            Some(0) if results == good => found.same += 1,
            Some(0) => found.unnoticed.push(bit),
            _ => panic!("{file}, bit {bit}: {code:?}\n{text}"),
        }
    }
    let Found { refused, warned, same, unnoticed } = &found;
    println!("| `{file}` | {flips} | {refused} | {warned} | {same} | {} |", unnoticed.len());
    found
}

fn report(command: &mut Command, run: &Path, out: &Path) {
    command.arg("report").arg(run).arg("--out").arg(out.join("report.html"));
}

#[test]
fn flips_in_what_a_report_reads_are_noticed() {
    let of_task = ["scores.json", "samples.png", "embedding.json", "neighbours.json", "neighbours.png"];
    let of_task = of_task.map(|name| format!("tasks/03/{name}"));
    for file in of_task.iter().map(String::as_str).chain(["config.toml", "real.png"]) {
        let found = flip(file, &report);
        assert!(found.unnoticed.is_empty(), "{file}: {found:?}");
    }
}

#[test]
fn flips_in_a_generator_are_noticed() {
    let sample = |command: &mut Command, run: &Path, out: &Path| {
        command.arg("sample").arg(run).args(["--class", "ring", "--count", "2", "--out"]).arg(out.join("ring.npy"));
    };
    let found = flip("tasks/03/generator.safetensors", &sample);
    assert!(found.unnoticed.is_empty(), "{found:?}");
}

#[test]
fn flips_in_frames_are_noticed() {
    let animate = |command: &mut Command, run: &Path, out: &Path| {
        command.arg("animate").arg(run).arg("--out").arg(out.join("run.gif"));
    };
    let found = flip("frames/02-000004.png", &animate);
    assert!(found.unnoticed.is_empty(), "{found:?}");
}

/// The log has no checksums: a line that is no event any more is named, but a digit may become another one.
#[test]
fn flips_in_the_log_never_crash_a_report() {
    flip("events.jsonl", &report);
}

#[test]
fn a_damaged_generator_is_refused_by_every_command_and_nothing_is_overwritten() {
    let scratch = tempfile::tempdir().unwrap();
    let (run, out) = (scratch.path().join("run"), scratch.path().join("out.onnx"));
    copy(finished_run(), &run);
    let path = run.join("tasks/03/generator.safetensors");
    let mut damaged = fs::read(&path).unwrap();
    let last = damaged.len() - 3;
    damaged[last] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let pictures = crate::data::own_pictures();
    let commands: [&dyn Fn(&mut Command); 4] = [
        &|command| _ = command.arg("evaluate").arg(&run).arg("--save"),
        &|command| _ = command.arg("export").arg(&run).arg("--out").arg(&out),
        &|command| {
            _ = command.arg("sample").arg(&run).args(["--class", "ring", "--out"]).arg(out.with_extension("png"))
        },
        &|command| {
            command.arg("extend").arg(&run).args(["--name", "zebra", "--images"]).arg(pictures.path().join("dark"));
        },
    ];
    for arguments in commands {
        let mut command = mergan();
        arguments(&mut command);
        let error = complaint(command.assert());
        assert!(error.contains("generator.safetensors") && error.contains("checksum does not hold"), "{error}");
        assert!(error.contains("restore it from a copy"), "{error}");
    }
    assert!(fs::read(&path).unwrap() == damaged && !out.exists());
    assert_eq!(
        fs::read(run.join("tasks/03/scores.json")).unwrap(),
        fs::read(finished_run().join("tasks/03/scores.json")).unwrap()
    );
}

#[test]
fn damaged_scores_are_made_again_and_do_not_stop_a_training() {
    let scratch = tempfile::tempdir().unwrap();
    let run = scratch.path().join("run");
    copy(finished_run(), &run);
    let path = run.join("tasks/03/scores.json");
    let good = fs::read_to_string(&path).unwrap();
    let at = good.find("\"value\": ").unwrap() + "\"value\": 0.".len();
    let digit = if good.as_bytes()[at] == b'1' { "2" } else { "1" };
    let mut damaged = good.clone();
    damaged.replace_range(at..=at, digit);
    fs::write(&path, damaged).unwrap();
    let error = complaint(mergan().arg("report").arg(&run).arg("--out").arg(scratch.path().join("r.html")).assert());
    assert!(error.contains("scores.json") && error.contains("mergan evaluate --task T --save"), "{error}");
    let resumed = mergan().args(["train", "--resume"]).arg(&run).assert().success();
    let text = String::from_utf8_lossy(&resumed.get_output().stderr).into_owned();
    assert!(text.contains("warning") && text.contains("scores.json"), "{text}");
    assert!(generators(&run) == generators(finished_run()));
    mergan().arg("evaluate").arg(&run).args(["--task", "3", "--save"]).assert().success();
    assert_eq!(fs::read_to_string(&path).unwrap(), good);
}

#[test]
fn a_run_of_an_earlier_version_is_read_and_said_not_to_be_checked() {
    let scratch = tempfile::tempdir().unwrap();
    let run = scratch.path().join("run");
    copy(finished_run(), &run);
    let path = run.join("tasks/03/scores.json");
    let text = fs::read_to_string(&path).unwrap();
    let (scores, _) = text.rsplit_once(",\n  \"sha256\"").unwrap();
    fs::write(&path, format!("{scores}\n}}\n")).unwrap();
    let read = mergan().arg("report").arg(&run).arg("--out").arg(scratch.path().join("r.html")).assert().success();
    let text = String::from_utf8_lossy(&read.get_output().stderr).into_owned();
    assert!(text.contains("files without a checksum were not checked: tasks/03/scores.json"), "{text}");
}
