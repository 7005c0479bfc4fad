//! Tests `mergan reproduce`: all strategies start from one first task, and the table is printed.

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
    assert!(said.contains("expected time: about") && said.contains("[ra] task 2 of 2 learned"), "{said}");
    assert!(["report.html", "results.json", "ledger.md"].iter().all(|file| out.join(file).is_file()));
    // Eight iterations and six, of which the first of each has no generator step, with two critic steps of 12 images; RA
    // replays as many in each generator step of the second task.
    let ledger = fs::read_to_string(out.join("ledger.md")).unwrap();
    for cost in ["| SFT | 2 | 12 | 28 | 336 | 0 |", "| RA | 2 | 12 | 28 | 336 | 60 |"] {
        assert!(ledger.contains(cost), "{cost} is not in\n{ledger}");
    }
    let samples = |run: &str| fs::read(out.join("seed0").join(run).join("tasks/01/samples.png")).unwrap();
    assert!(samples("sft") == samples("first-task") && samples("ra") == samples("first-task"));

    let again = reproduce().success();
    assert_eq!(String::from_utf8_lossy(&again.get_output().stdout), table);
    assert!(!String::from_utf8_lossy(&again.get_output().stderr).contains("learned"));
}

#[test]
fn class_orders_stand_beside_seeds_and_a_second_call_trains_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let reproduce = |orders: &str| {
        let mut command = mergan();
        command.args(["reproduce", "shapes", "--preset", "smoke", "--tasks", "2", "--strategies", "sft"]);
        let done = command.args(["--orders", orders, "--out"]).arg(&out).assert().success();
        String::from_utf8_lossy(&done.get_output().stderr).into_owned()
    };
    let ledger = || fs::read_to_string(out.join("ledger.md")).unwrap();
    // A single order is the dataset's own.
    assert!(reproduce("1").contains("[sft] task 2 of 2 learned"));
    assert!(!ledger().contains("## Class orders"));
    let said = reproduce("2");
    assert!(said.contains("[sft, seed 0, order 1] task 2 of 2 learned") && !said.contains("order 0] task"), "{said}");
    assert!(!reproduce("2").contains("learned"));

    let text = ledger();
    assert!(text.contains("seed 0, in 2 class orders") && text.contains("| class orders |"), "{text}");
    let (_, listed) = text.split_once("## Class orders\n\n").unwrap();
    assert!(listed.starts_with("- the dataset's own: ") && listed.contains("\n- a given one: "), "{listed}");
    let config = fs::read_to_string(out.join("seed0-order1/sft/config.toml")).unwrap();
    let order = config.split("order = [").nth(1).unwrap().split(']').next().unwrap();
    let order: Vec<usize> = order.split([',', '\n']).filter_map(|class| class.trim().parse().ok()).collect();
    assert_eq!(order, [1, 0], "{config}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_training_ends_with_the_process_that_started_it() {
    use std::process::{Command, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};
    let folder = tempfile::tempdir().unwrap();
    let mut reproduce = Command::new(env!("CARGO_BIN_EXE_mergan"));
    // Measuring this preset takes minutes.
    reproduce.args(["reproduce", "shapes", "--preset", "quick", "--tasks", "2", "--strategies", "sft", "--out"]);
    reproduce.arg(folder.path().join("out")).env("MERGAN_DATA", crate::cache());
    let mut parent = reproduce.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let process = |pid: &str, file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let child = loop {
        let tasks = fs::read_dir(format!("/proc/{}/task", parent.id())).unwrap();
        let children = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
        let child = children.collect::<String>().trim().to_string();
        if process(&child, "cmdline").contains("--estimate") || begun.elapsed() > Duration::from_secs(60) {
            break child;
        }
        sleep(Duration::from_millis(5));
    };
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(!child.is_empty(), "no training began");
    // A process that has ended, but that nobody has waited for, has no command line.
    while process(&child, "cmdline").contains("--estimate") {
        assert!(begun.elapsed() < Duration::from_secs(120), "the training goes on");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn own_images_are_known_again_by_a_relative_path() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["dark", "light"] {
        for i in 0..16u8 {
            let value = if class == "dark" { i } else { 255 - i };
            let path = folder.path().join("own").join(class).join(format!("{i}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::GrayImage::from_pixel(32, 32, image::Luma([value])).save(path).unwrap();
        }
    }
    let reproduce = |own: &str| {
        let mut command = mergan();
        command.args(["reproduce", own, "--preset", "smoke", "--tasks", "2", "--strategies", "sft"]);
        let done = command.current_dir(folder.path()).assert().success();
        String::from_utf8_lossy(&done.get_output().stderr).into_owned()
    };
    assert!(reproduce("own").contains("[sft] task 2 of 2 learned"));
    assert!(!reproduce("./own").contains("learned"));
    assert!(folder.path().join("runs/reproduce-own-smoke/report.html").is_file());
}

#[test]
fn what_cannot_be_trained_is_refused_first() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let mut command = mergan();
        complaint(command.arg("reproduce").args(arguments).arg("--out").arg(folder.path().join("out")).assert())
    };
    assert!(refused(&["shapes", "--strategies", "sft,sft"]).contains("--strategies names sft twice"));
    assert!(refused(&["shapes", "--strategies", "stf", "--preset", "smoke"]).contains("invalid value 'stf'"));
    assert!(refused(&["shapes", "--tasks", "2", "--orders", "3"]).contains("2 tasks of one class have 2 orders"));
    let orders = refused(&["shapes", "--preset", "smoke", "--tasks", "12", "--orders", "2", "--strategies", "sft"]);
    assert!(orders.contains("12 tasks"), "{orders}");
    assert!(refused(&["spahes", "--preset", "smoke"]).contains("unknown dataset `spahes`"));
    assert!(!folder.path().join("out").exists());
}
