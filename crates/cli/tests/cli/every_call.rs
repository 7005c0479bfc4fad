//! Lets every call of the file system fail in turn, in the manner of SQLite's tests: the n-th open, read, write, sync,
//! rename and so on of a command returns an error, does half its work, or is the last that its process makes. Then
//! the command is called again without faults, and has to come to the results of an undisturbed one.
//!
//! By default some points of each command are tried; `MERGAN_FAULTS=all` tries all, and `MERGAN_FAULTS=N` as many as
//! that. `cargo test -p mergan-cli --test cli every_call -- --nocapture` prints a line for each command.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mergan_datasets::{FetchOptions, Manifest, fetch, hex};
use sha2::{Digest, Sha256};

use crate::data::own_pictures;
use crate::interruption::copy;
use crate::{cache, finished_run, mergan, run_of};

/// The number of points of each command that are tried by default.
const POINTS: usize = 30;
/// What happens at a point; `tests/faults` says what each means.
const FAULTS: [&str; 5] = ["eio", "enospc", "kill", "eio-on", "short"];

/// A command that writes files.
struct Subject<'a> {
    name: &'a str,
    /// Makes what the command needs in an empty folder.
    prepare: &'a dyn Fn(&Path),
    /// The command, given the folder. A second call continues what a first one left.
    command: &'a dyn Fn(&Path) -> Command,
    /// The files that the command makes for users, below the folder.
    results: &'a dyn Fn(&Path) -> Files,
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A call on a file, as the log of the library has it.
#[derive(Clone)]
struct Call {
    number: usize,
    name: String,
    file: PathBuf,
}

/// Returns the library that is loaded in front of the command. Cargo has built it beside this test.
pub fn library() -> PathBuf {
    let library = std::env::current_exe().unwrap().with_file_name("libmergan_faults.so");
    assert!(library.is_file(), "{} is not there", library.display());
    library
}

/// Runs a command with faults in the folder, and returns its output and its calls.
fn disturbed(command: &mut Command, folder: &Path, fault: &[(&str, String)]) -> (Output, Vec<Call>) {
    let log = folder.with_extension("log");
    let _ = fs::remove_file(&log);
    command.env("LD_PRELOAD", library()).env("MERGAN_FAULT_FOLDERS", folder).env("MERGAN_FAULT_LOG", &log);
    let output = command.envs(fault.iter().map(|(name, value)| (name, value))).output().unwrap();
    let calls = fs::read_to_string(&log).unwrap_or_default();
    let calls = calls.lines().map(|line| {
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().unwrap();
        Call { number: word().parse().unwrap(), name: word().into(), file: word().into() }
    });
    (output, calls.collect())
}

/// Tries the points of a command and prints a line of the table.
fn survives(subject: &Subject) {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("place");
    let fresh = || {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        (subject.prepare)(&folder);
    };
    fresh();
    let (output, calls) = disturbed(&mut (subject.command)(&folder), &folder, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let good = (subject.results)(&folder);
    assert!(!good.is_empty());
    let renames = calls.iter().enumerate().filter(|(_, call)| call.name == "rename");
    for (number, rename) in renames.clone() {
        let folder = rename.file.parent();
        let lasts = calls[number..].iter().any(|call| call.name == "fsync" && Some(&*call.file) == folder);
        assert!(lasts, "a power cut may undo the renaming of {}", rename.file.display());
    }
    assert!(renames.count() > 0);

    let (mut tried, mut ends, mut lost) = (0, [0; 3], Vec::new());
    for (number, fault) in points(calls.len()) {
        fresh();
        tried += 1;
        let settings = [("MERGAN_FAULT_AT", number.to_string()), ("MERGAN_FAULT", fault.to_string())];
        let (output, made) = disturbed(&mut (subject.command)(&folder), &folder, &settings);
        let text = String::from_utf8_lossy(&output.stderr);
        let from_then_on: Vec<_> = made.iter().filter(|call| call.number >= number).collect();
        let struck =
            from_then_on.first().map_or_else(String::new, |call| format!("{} {}", call.name, call.file.display()));
        let mut complain = |what: &str| lost.push(format!("{fault} at {number}, {struck}: {what}\n{text}"));

        if text.contains("panicked") {
            complain("a panic");
        }
        let left = (subject.results)(&folder);
        if let Some((path, _)) = left.iter().find(|(path, bytes)| good.get(*path) != Some(bytes)) {
            complain(&format!("{} is not complete", path.display()));
        }
        match (output.status.code(), output.status.signal()) {
            (Some(0), _) => {
                ends[2] += 1;
                if left != good {
                    complain("it claims to have finished");
                }
            }
            (Some(1), _) => {
                ends[0] += 1;
                if !from_then_on.iter().any(|call| names(&text, &call.file)) {
                    complain("the error does not name the file");
                }
            }
            (_, Some(9)) if fault == "kill" => ends[1] += 1,
            _ => complain(&format!("it ended with {}", output.status)),
        }
        let again = (subject.command)(&folder).output().unwrap();
        if !again.status.success() {
            complain(&format!("the second call fails: {}", String::from_utf8_lossy(&again.stderr)));
        } else if let now = (subject.results)(&folder)
            && now != good
        {
            let files = good.keys().chain(now.keys());
            let other: Vec<_> = files.filter(|path| good.get(*path) != now.get(*path)).collect();
            complain(&format!("the second call comes to other results: {other:?}"));
        }
    }
    let [error, killed, finished] = ends;
    println!(
        "| command | calls | points tried | error | killed | finished | lost |\n|---|---:|---:|---:|---:|---:|---:|"
    );
    let (name, calls) = (subject.name, calls.len());
    println!("| {name} | {calls} | {tried} | {error} | {killed} | {finished} | {} |", lost.len());
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

/// Returns the calls that are to fail, each with what happens there.
fn points(calls: usize) -> Vec<(usize, &'static str)> {
    let chosen = std::env::var("MERGAN_FAULTS").unwrap_or_default();
    let all = (1..=calls).flat_map(|call| FAULTS.map(|fault| (call, fault)));
    if chosen == "all" {
        return all.collect();
    }
    let wanted = if chosen.is_empty() { POINTS } else { chosen.parse().expect("MERGAN_FAULTS is a number or `all`") };
    // An odd step that is no multiple of five meets every kind of fault.
    let step = (calls * FAULTS.len() / wanted).max(1);
    let step = (step..).find(|step| !step.is_multiple_of(FAULTS.len())).expect("some number is no multiple");
    all.skip(step / 2).step_by(step).collect()
}

/// Returns whether an error names a file, or the file of which it is the unfinished state.
fn names(text: &str, file: &Path) -> bool {
    let name = file.file_name().unwrap().to_str().unwrap();
    let temporary = name.strip_prefix('.').and_then(|name| name.rsplit_once('.')).map(|(name, _)| name);
    // `.NAME.PROCESS.tmp` has two parts more than the name.
    let of_process = temporary.and_then(|name| name.rsplit_once('.')).map(|(name, _)| name);
    [Some(name), temporary, of_process].into_iter().flatten().any(|name| !name.is_empty() && text.contains(name))
}

/// Returns the files below these paths, if they exist, as bytes.
fn files(folder: &Path, below: &[&str]) -> Files {
    let mut found = Files::new();
    let mut open: Vec<_> = below.iter().map(|path| folder.join(path)).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.is_file() && !path.file_name().unwrap().as_encoded_bytes().starts_with(b".") {
            found.insert(path.strip_prefix(folder).unwrap().into(), fs::read(&path).unwrap());
        }
    }
    found
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mergan"));
    command.env("MERGAN_DATA", cache());
    command
}

/// The files of a run that are the same in each run.
fn of_run(folder: &Path, run: &str) -> Files {
    files(&folder.join(run), &["tasks", "frames", "config.toml", "data.json", "real.png", "scorer.safetensors"])
}

const SHORT: [&str; 4] = ["--set", "training.first_iterations=2", "--set", "training.iterations=2"];
const OFTEN: [&str; 2] = ["--checkpoint-every", "1"];

#[test]
fn training() {
    // The scoring classifier has to exist, so that its training is not part of each point.
    finished_run();
    survives(&Subject {
        name: "train",
        prepare: &|_| (),
        command: &|folder| {
            let (mut command, run) = (program(), folder.join("run"));
            if run.join("config.toml").exists() {
                command.args(["train", "--resume"]).arg(&run);
            } else {
                command.args(run_of("2", "ra", &run)).args(SHORT);
            }
            command.args(OFTEN);
            command
        },
        results: &|folder| of_run(folder, "run"),
    });
}

#[test]
fn extending() {
    let (pictures, scratch) = (own_pictures(), tempfile::tempdir().unwrap());
    let base = scratch.path().join("base");
    mergan().args(run_of("1", "ra", &base)).args(SHORT).assert().success();
    survives(&Subject {
        name: "extend",
        prepare: &|folder| copy(&base, &folder.join("base")),
        command: &|folder| {
            let (mut command, into) = (program(), folder.join("into"));
            if into.exists() {
                command.args(["train", "--resume"]).arg(&into);
            } else {
                command.arg("extend").arg(folder.join("base")).args(["--name", "zebra", "--images"]);
                command.arg(pictures.path().join("dark")).arg("--into").arg(&into);
            }
            command.args(OFTEN);
            command
        },
        results: &|folder| of_run(folder, "into"),
    });
}

#[cfg(feature = "hdf5")]
#[test]
fn converting() {
    let pictures = own_pictures();
    survives(&Subject {
        name: "data convert",
        prepare: &|folder| copy(pictures.path(), &folder.join("pictures")),
        command: &|folder| {
            let mut command = program();
            command.args(["data", "convert"]).args([folder.join("pictures"), folder.join("out.h5")]);
            command
        },
        results: &|folder| files(folder, &["out.h5"]),
    });
}

#[test]
fn reporting() {
    survives(&Subject {
        name: "report",
        prepare: &|folder| copy(finished_run(), &folder.join("run")),
        command: &|folder| {
            let mut command = program();
            command.arg("report").arg(folder.join("run")).arg("--out").arg(folder.join("report/report.html"));
            command
        },
        results: &|folder| files(folder, &["report"]),
    });
}

/// The files of a small dataset, each with its length.
const FETCHED: [(&str, usize); 2] = [("images", 200_000), ("labels", 1_000)];
/// The folder in which the next test fetches.
const FETCH: &str = "MERGAN_TEST_FETCH";

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|number| (number % 251) as u8).collect()
}

/// Fetches the small dataset as `mergan data fetch` does a known one, whose files are too large for a test.
#[test]
#[ignore = "the next test calls it, in a process of its own"]
fn a_small_dataset_is_fetched() {
    let Some(folder) = std::env::var_os(FETCH).map(PathBuf::from) else { return };
    let file = |(name, length)| {
        let sha256 = hex(Sha256::digest(content(length)));
        format!("[[files]]\nname = '{name}'\nremote = '{name}'\nsize = {length}\nsha256 = '{sha256}'\n")
    };
    let manifest = format!(
        "name = 'toy'\ndescription = ''\nlicence = ''\nshape = [1, 1, 1]\nclasses = ['a']\n\
         splits = {{ train = 1, validation = 0, test = 0 }}\n{}",
        FETCHED.map(file).concat()
    );
    let options = FetchOptions {
        cache: folder.join("cache"),
        data_dir: Some(folder.join("archives")),
        offline: true,
        ..FetchOptions::default()
    };
    if let Err(error) = fetch(&Manifest::parse(&manifest).unwrap(), &options) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

#[test]
fn fetching() {
    survives(&Subject {
        name: "data fetch",
        prepare: &|folder| {
            fs::create_dir(folder.join("archives")).unwrap();
            for (name, length) in FETCHED {
                fs::write(folder.join(format!("archives/{name}.gz")), content(length)).unwrap();
            }
        },
        command: &|folder| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "every_call::a_small_dataset_is_fetched", "--ignored", "--nocapture"]);
            command.env(FETCH, folder);
            command
        },
        results: &|folder| files(folder, &["cache"]),
    });
}
