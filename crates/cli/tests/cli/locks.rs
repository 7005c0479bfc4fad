//! Tests file systems without locks, by a library that lets every `flock` fail as theirs does.

use std::fs;
use std::path::Path;
use std::process::Command;

use assert_cmd::assert::Assert;

use crate::every_call::library;
use crate::{complaint, finished_run, generators, mergan, new_run};

/// The error numbers of ENOLCK, ENOSYS and EOPNOTSUPP.
const ERRORS: [&str; 3] = ["37", "38", "95"];

/// Returns the command on a file system without locks.
fn without_locks(error: &str) -> assert_cmd::Command {
    let mut command = mergan();
    command.env("LD_PRELOAD", library()).env("MERGAN_FAULT_FLOCK", error);
    command
}

fn said(assert: Assert) -> String {
    String::from_utf8(assert.success().get_output().stderr.clone()).unwrap()
}

fn resume(run: &Path) -> Assert {
    without_locks(ERRORS[0]).args(["train", "--resume"]).arg(run).assert()
}

#[test]
fn a_run_is_trained_with_one_warning() {
    // The scoring classifier has to exist, because training it takes a lock of its own.
    finished_run();
    for error in ERRORS {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let text = said(without_locks(error).args(new_run("ra", &run)).assert());
        assert_eq!(text.matches("the file system has no locks").count(), 1, "{text}");
        assert!(text.contains("warning") && text.contains(".lock.holder"), "{text}");
        assert!(generators(&run) == generators(finished_run()));
        assert!(!run.join(".lock.holder").exists());
    }
}

#[test]
fn a_classifier_is_trained_in_a_cache_without_locks() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let cached = folder.path().join("cache");
    let text = said(without_locks(ERRORS[0]).args(new_run("sft", &run)).env("MERGAN_DATA", &cached).assert());
    assert!(text.contains("scorers/.lock.holder keeps other processes out"), "{text}");
    assert!(!cached.join("scorers/.lock.holder").exists());
}

#[test]
fn an_extension_is_assembled_without_locks() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, run) = (crate::data::own_pictures(), folder.path().join("run"));
    let mut command = without_locks(ERRORS[0]);
    command.arg("extend").arg(finished_run()).args(["--name", "zebra", "--images"]).arg(pictures.path().join("dark"));
    let text = said(command.arg("--into").arg(&run).assert());
    assert!(text.contains("the file system has no locks"), "{text}");
    assert!(run.join("tasks/04/scores.json").is_file() && !run.join(".lock.holder").exists());
}

#[test]
fn a_living_process_and_another_machine_keep_out_and_a_dead_process_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    crate::interruption::copy(finished_run(), &run);
    let holder = run.join(".lock.holder");
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host = host.trim();
    fs::write(&holder, format!("{host} {}\n", std::process::id())).unwrap();
    let error = complaint(resume(&run));
    assert!(error.contains("another process is training in"), "{error}");

    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    fs::write(&holder, format!("{host} {}\n", dead.id())).unwrap();
    let text = said(resume(&run));
    assert!(text.contains(&format!("process {}, which held it before, has ended", dead.id())), "{text}");
    assert!(!holder.exists());

    fs::write(&holder, "elsewhere 12\n").unwrap();
    let error = complaint(resume(&run));
    assert!(error.contains("process 12 on elsewhere") && error.contains("remove the file"), "{error}");
    assert_eq!(fs::read_to_string(&holder).unwrap(), "elsewhere 12\n");
}
