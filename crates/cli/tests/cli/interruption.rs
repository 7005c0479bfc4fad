//! Tests that runs that are killed, interrupted or damaged can be resumed.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{cache, complaint, finished_run, gaps, generators, mergan, new_run};

/// Options that make tasks long enough to be interrupted half-way.
const LONG: [&str; 8] = [
    "--set",
    "training.first_iterations=60",
    "--set",
    "training.iterations=60",
    "--set",
    "training.batch=24",
    "--checkpoint-every",
    "7",
];

fn spawn(arguments: &[&str], run: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mergan"))
        .args(new_run("ra", run))
        .args(arguments)
        .env("MERGAN_DATA", cache())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the log contains a text.
fn wait_for(run: &Path, text: &str) {
    let begun = Instant::now();
    while !fs::read_to_string(run.join("events.jsonl")).unwrap_or_default().contains(text) {
        assert!(begun.elapsed() < Duration::from_secs(120), "the run never came to {text}");
        sleep(Duration::from_millis(1));
    }
}

pub fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run.join("checkpoint")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn resume(run: &Path) -> assert_cmd::assert::Assert {
    mergan().args(["train", "--resume"]).arg(run).assert()
}

#[test]
fn a_killed_run_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    mergan().args(new_run("ra", &whole)).args(LONG).assert().success();

    let mut child = spawn(&LONG, &killed);
    wait_for(&killed, "\"tasks\":1,\"iterations\":28");
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(!killed.join("tasks/02").exists(), "it was killed in the middle of the second task");
    // A process that is killed while writing an event leaves a line like this.
    let events = killed.join("events.jsonl");
    fs::write(&events, fs::read_to_string(&events).unwrap() + "{\"event\":\"progr").unwrap();

    resume(&killed).success();
    assert!(generators(&killed) == generators(&whole));
    assert_eq!(gaps(&killed), gaps(&whole));
    assert_eq!(checkpoints(&killed).len(), 2);
    mergan().arg("report").arg(&killed).arg("--out").arg(folder.path().join("report.html")).assert().success();
    // A finished run has nothing left to do.
    resume(&killed).success();
    assert!(generators(&killed) == generators(&whole));
}

#[test]
fn a_run_killed_before_its_scores_were_written_is_scored() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy_of_finished(folder.path());
    let scores = run.join("tasks/03/scores.json");
    let before = fs::read(&scores).unwrap();
    fs::remove_dir_all(run.join("tasks/03")).unwrap();
    resume(&run).success();
    assert_eq!(fs::read(&scores).unwrap(), before);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_at_a_checkpoint() {
    use std::os::unix::process::ExitStatusExt;
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let child = spawn(&LONG, &run);
        wait_for(&run, "\"task\":1,\"iteration\":3,");
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status, ExitStatus::from_raw(code << 8));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("go on with `mergan train --resume"), "{text}");
        assert!(!checkpoints(&run).is_empty());
    }
}

#[cfg(unix)]
fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
}

/// Waits until a file exists.
fn wait_for_file(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{} never appeared", path.display());
        sleep(Duration::from_millis(1));
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_scoring_of_a_task() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let samples = ["--set", "evaluation.samples=300000", "--set", "evaluation.reverse_samples=300000"];
    let child = spawn(&samples, &run);
    // The generator is written before its images are scored.
    wait_for_file(&run.join("tasks/01/generator.safetensors"));
    signal(&child, "TERM");
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(143), "{text}");
    assert!(text.contains("go on with `mergan train --resume"), "{text}");
    assert!(!run.join("tasks/01/scores.json").exists());
    assert!(run.join("checkpoint/task01-end.safetensors").is_file());
}

#[cfg(unix)]
#[test]
fn a_second_signal_does_not_wait_for_the_iteration() {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    // An iteration takes seconds, so the signals arrive in the middle of one.
    let mut child = spawn(&["--set", "training.critic_steps=1000"], &run);
    // This grid is the last file of the first iteration; soon after it the second one is under way.
    wait_for_file(&run.join("frames/01-000001.png"));
    sleep(Duration::from_millis(200));
    signal(&child, "INT");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("a second signal ends the process at once")));
    // Signals that follow the first too closely count as one with it, so some are sent until the process ends.
    while child.try_wait().unwrap().is_none() {
        signal(&child, "INT");
        sleep(Duration::from_millis(100));
    }
    assert!(lines.any(|line| line.contains("is lost; go on with `mergan train --resume")));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let left = checkpoints(&run);
    assert!(left.len() == 1 && left[0].ends_with("task01-000000.safetensors"), "{left:?}");
}

#[test]
fn a_damaged_note_falls_back_to_the_older_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy_of_finished(folder.path());
    for (key, damaged) in [("microkernel", "microkernem"), ("iteration", "itera\u{1}ion")] {
        fs::remove_dir_all(run.join("tasks/03")).unwrap();
        let newest = checkpoints(&run).pop().unwrap();
        let mut bytes = fs::read(&newest).unwrap();
        let at = bytes.windows(key.len()).position(|window| window == key.as_bytes()).unwrap();
        bytes[at..at + key.len()].copy_from_slice(damaged.as_bytes());
        fs::write(&newest, bytes).unwrap();
        let text = String::from_utf8(resume(&run).success().get_output().stderr.clone()).unwrap();
        assert!(text.contains("warning") && text.contains("trying an older checkpoint"), "{text}");
        assert!(generators(&run) == generators(finished_run()));
    }
}

#[test]
fn a_checkpoint_that_cannot_be_opened_falls_back_to_the_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy_of_finished(folder.path());
    fs::remove_dir_all(run.join("tasks/03")).unwrap();
    let newest = checkpoints(&run).pop().unwrap();
    fs::remove_file(&newest).unwrap();
    // Reading a folder is an error of the system, like that of a bad sector.
    fs::create_dir(&newest).unwrap();
    let before = checkpoints(&run);
    let text = complaint(resume(&run));
    assert!(text.contains("trying an older checkpoint"), "{text}");
    fs::remove_dir(&newest).unwrap();
    assert!(before.len() == 2);
    resume(&run).success();
    assert!(generators(&run) == generators(finished_run()));
}

#[test]
fn a_damaged_log_is_set_aside_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy_of_finished(folder.path());
    let (events, report) = (run.join("events.jsonl"), folder.path().join("report.html"));
    let whole = fs::read(&events).unwrap();
    let damage = |at: usize, bit: u8| {
        let mut bytes = whole.clone();
        bytes[at] ^= bit;
        bytes
    };
    let not_text = damage(whole.len() / 2, 0x80);
    let no_event = damage(whole.iter().position(|&byte| byte == b'{').unwrap(), 1);
    for (number, damaged) in [(1, &not_text), (2, &no_event)] {
        fs::remove_dir_all(run.join("tasks/03")).unwrap();
        fs::write(&events, damaged).unwrap();
        let text = String::from_utf8(resume(&run).success().get_output().stderr.clone()).unwrap();
        let aside = run.join(format!("events.damaged{number}.jsonl"));
        assert!(text.contains("is damaged in line") && text.contains(aside.to_str().unwrap()), "{text}");
        assert!(fs::read(aside).unwrap() == *damaged);
        assert!(generators(&run) == generators(finished_run()));
        mergan().arg("report").arg(&run).arg("--out").arg(&report).assert().success();
    }
    fs::remove_file(&events).unwrap();
    let text = String::from_utf8(resume(&run).success().get_output().stderr.clone()).unwrap();
    assert!(text.contains("events.jsonl cannot be read"), "{text}");
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy_of_finished(folder.path());
    fs::remove_dir_all(run.join("tasks/03")).unwrap();
    let newest = checkpoints(&run).pop().unwrap();
    OpenOptions::new().write(true).open(&newest).unwrap().set_len(1000).unwrap();
    let text = String::from_utf8(resume(&run).success().get_output().stderr.clone()).unwrap();
    assert!(text.contains("warning") && text.contains("trying an older checkpoint"), "{text}");
    assert!(generators(&run) == generators(finished_run()));

    // A single flipped bit of a weight cannot be noticed by the file format.
    fs::remove_dir_all(run.join("tasks/03")).unwrap();
    let newest = checkpoints(&run).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let text = String::from_utf8(resume(&run).success().get_output().stderr.clone()).unwrap();
    assert!(text.contains("checksum does not hold") && text.contains("trying an older checkpoint"), "{text}");
    assert!(generators(&run) == generators(finished_run()));

    for path in checkpoints(&run) {
        fs::write(path, "no checkpoint").unwrap();
    }
    assert!(complaint(resume(&run)).contains("holds no checkpoint that can be read"));
}

#[test]
fn a_changed_configuration_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy_of_finished(folder.path());
    let config = run.join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("penalty = 10.0", "penalty = 11.0")).unwrap();
    let error = complaint(resume(&run));
    assert!(error.contains("another configuration") && error.contains("penalty = 11"), "{error}");
    fs::write(&config, "strategy = [").unwrap();
    assert!(complaint(resume(&run)).contains("config.toml"));
}

#[test]
fn another_device_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy_of_finished(folder.path());
    let warned = || String::from_utf8(resume(&run).success().get_output().stderr.clone()).unwrap();
    assert!(!warned().contains("rounds differently"));
    let events = run.join("events.jsonl");
    let log = fs::read_to_string(&events).unwrap();
    fs::write(&events, log.replace("\"device\":\"cpu\"", "\"device\":\"NVIDIA H100 in f32\"")).unwrap();
    let text = warned();
    assert!(text.contains("trained on NVIDIA H100 in f32 and goes on on cpu") && text.contains("--device"), "{text}");
    assert!(!warned().contains("rounds differently"), "it went on on the processor meanwhile");
}

#[test]
fn two_processes_do_not_train_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut child = spawn(&LONG, &run);
    wait_for(&run, "\"task\":1,\"iteration\":1,");
    assert!(complaint(resume(&run)).contains("another process is training in"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[cfg(unix)]
#[test]
fn a_lock_that_is_a_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy_of_finished(folder.path());
    let victim = folder.path().join("victim");
    fs::write(&victim, "text").unwrap();
    fs::remove_file(run.join(".lock")).unwrap();
    std::os::unix::fs::symlink(&victim, run.join(".lock")).unwrap();
    let error = complaint(resume(&run));
    assert!(error.contains("locking") && error.contains(".lock"), "{error}");
    assert_eq!(fs::read_to_string(victim).unwrap(), "text");
}

#[test]
fn a_diverged_run_says_where_and_keeps_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let error = complaint(mergan().args(new_run("sft", &run)).args(["--set", "training.rate=1e9"]).assert());
    assert!(error.contains("task 1, iteration") && error.contains("last checkpoint is kept"), "{error}");
    assert_eq!(checkpoints(&run).len(), 1);
}

/// Makes a copy that a test may damage.
fn copy_of_finished(folder: &Path) -> PathBuf {
    let to = folder.join("copy");
    copy(finished_run(), &to);
    to
}

/// Copies a directory recursively.
pub fn copy(from: &Path, to: &Path) {
    let mut open = vec![(from.to_path_buf(), to.to_path_buf())];
    while let Some((from, to)) = open.pop() {
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
            if from.is_dir() {
                open.push((from, to));
            } else {
                fs::copy(from, to).unwrap();
            }
        }
    }
}
