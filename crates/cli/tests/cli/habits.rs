//! Tests the habits of the command line: suggestions, completions, exit codes, short options, colours.

use crate::{complaint, finished_run, mergan, run_of};

#[test]
fn a_slip_in_a_name_is_a_command_line_that_was_not_understood() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    for (option, slip, meant) in [("--strategy", "raa", "'ra'"), ("--preset", "qick", "'quick'")] {
        let mut arguments = run_of("1", "ra", &run).to_vec();
        let position = arguments.iter().position(|argument| *argument == option).unwrap();
        arguments[position + 1] = slip;
        let error = complaint(mergan().args(arguments).assert().code(2));
        assert!(error.contains(meant) && error.contains("similar value exists"), "{error}");
    }
    let train = |options: &[&str]| complaint(mergan().args(run_of("1", "ra", &run)).args(options).assert().code(2));
    assert!(train(&["--fit", "crap"]).contains("'crop'"));
    assert!(train(&["--device", "gpu"]).contains("choose auto, cpu or a GPU such as cuda:0"));
    let reproduce = ["reproduce", "shapes", "--strategies", "sft,raa"];
    assert!(complaint(mergan().args(reproduce).assert().code(2)).contains("'ra'"));
    assert!(!run.exists());
}

#[test]
fn shells_complete_the_names() {
    let output = mergan().args(["completions", "bash"]).assert().success();
    let script = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    for names in ["sft ewc dgr jtr ra jt", "smoke demo quick photo paper", "auto cpu cuda", "crop resize"] {
        assert!(script.contains(names), "{names}");
    }
}

#[test]
fn options_have_the_names_that_people_type() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("ring.png");
    mergan()
        .args(["-j", "1", "sample", "-c", "ring", "-n", "1", "-o"])
        .arg(&out)
        .arg(finished_run())
        .assert()
        .success();
    assert_eq!(image::image_dimensions(&out).unwrap(), (32, 32));
    let show = |grey: &str| {
        let arguments = ["config", "show", "--dataset", "shapes", "--strategy", "ra", grey];
        mergan().args(arguments).assert().get_output().clone()
    };
    assert_eq!(show("--gray"), show("--grey"));
    let help = mergan().arg("--help").assert().success().get_output().stdout.clone();
    let help = String::from_utf8(help).unwrap();
    for variable in ["MERGAN_DATA", "MERGAN_SIMD", "MERGAN_CUDA_GRAPHS", "NO_COLOR"] {
        assert!(help.contains(variable), "{help}");
    }
}

#[test]
fn the_device_takes_one_line_and_the_reason_for_it_is_a_detail() {
    let folder = tempfile::tempdir().unwrap();
    let said = |options: &[&str]| {
        let mut command = mergan();
        command.arg("sample").arg(finished_run()).args(["-n", "1", "-o"]).arg(folder.path().join("a.png"));
        String::from_utf8(command.args(options).assert().success().get_output().stderr.clone()).unwrap()
    };
    let lines = |text: &str| text.lines().filter(|line| line.contains("device")).map(String::from).collect::<Vec<_>>();
    assert_eq!(lines(&said(&["--device", "cpu"])), ["device: cpu"]);
    let quietly = said(&["--device", "cpu", "-q"]);
    assert!(quietly.is_empty(), "{quietly}");
}

#[test]
fn a_smoke_run_says_that_its_numbers_mean_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (run, page) = (folder.path().join("run"), folder.path().join("report.html"));
    let output = mergan().args(run_of("1", "sft", &run)).assert().success();
    let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(said.contains("warning: preset smoke is for tests: nothing is learned"), "{said}");
    mergan().arg("report").arg(&run).arg("-o").arg(&page).assert().success();
    let page = std::fs::read_to_string(&page).unwrap();
    let (note, numbers) = (page.find("preset smoke is for tests"), page.find("<h3>Scores"));
    assert!(note.is_some() && note < numbers, "the page says it too late");
}

/// Where colours are forced, the word `error:` is coloured; `NO_COLOR` and a pipe keep it plain.
#[test]
fn colours_are_for_terminals_only() {
    let error = complaint(mergan().args(["sample", "no-such-run", "-o", "a.png"]).assert());
    assert!(error.starts_with("error: "), "{error:?}");
    let mut coloured = mergan();
    coloured.args(["sample", "no-such-run", "-o", "a.png"]).env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR");
    let coloured = complaint(coloured.assert());
    assert!(coloured.starts_with("\u{1b}[") && coloured.contains("error:"), "{coloured:?}");
}
