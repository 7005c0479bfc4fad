//! `mergan reproduce`: all strategies from one first task, and the table.

use std::fs;

use crate::{complaint, mergan};

#[test]
fn strategies_fork_from_one_first_task_and_a_second_call_trains_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let reproduce = || {
        let mut command = mergan();
        command.args(["reproduce", "shapes", "--preset", "smoke", "--tasks", "2", "--strategies", "sft,ra", "--out"]);
        command.arg(&out).assert()
    };
    let first = reproduce().success();
    let table = String::from_utf8_lossy(&first.get_output().stdout).into_owned();
    assert!(table.contains("SFT") && table.contains("RA"), "{table}");
    let said = String::from_utf8_lossy(&first.get_output().stderr).into_owned();
    assert!(said.contains("expected training time: about") && said.contains("[ra] task 2 of 2 learned"), "{said}");
    assert!(["report.html", "results.json", "ledger.md"].iter().all(|file| out.join(file).is_file()));
    let samples = |run: &str| fs::read(out.join("seed0").join(run).join("tasks/01/samples.png")).unwrap();
    assert!(samples("sft") == samples("first-task") && samples("ra") == samples("first-task"));

    let again = reproduce().success();
    assert_eq!(String::from_utf8_lossy(&again.get_output().stdout), table);
    assert!(!String::from_utf8_lossy(&again.get_output().stderr).contains("learned"));
}

#[test]
fn what_cannot_be_trained_is_refused_first() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let mut command = mergan();
        complaint(command.arg("reproduce").args(arguments).arg("--out").arg(folder.path().join("out")).assert())
    };
    assert!(refused(&["shapes", "--strategies", "sft,sft"]).contains("--strategies names sft twice"));
    assert!(refused(&["shapes", "--strategies", "stf", "--preset", "smoke"]).contains("there is no strategy `stf`"));
    assert!(refused(&["spahes", "--preset", "smoke"]).contains("unknown dataset `spahes`"));
    assert!(!folder.path().join("out").exists());
}
