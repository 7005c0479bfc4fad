//! Reports of run directories made here: two strategies, three tasks, images of a few pixels.

mod fake;

use fake::FakeRun;
use mergan_metrics::ResultRow;
use mergan_report::{Error, html, ledger, load_run, results, table, write_report};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// SFT, which forgets, and RA, which does not, over three tasks.
fn two_runs() -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let sft = FakeRun { strategy: "sft", kept: 0.1, ..FakeRun::default() }.write(folder.path());
    let ra = FakeRun::default().write(folder.path());
    (folder, vec![sft, ra])
}

#[test]
fn writes_three_files_and_leaves_no_others() {
    let (folder, runs) = two_runs();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    let loaded: Vec<_> = runs.iter().map(|run| load_run(run).unwrap()).collect();
    write_report(&loaded, &out.join("report.html")).unwrap();

    let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["ledger.md", "report.html", "results.json"]);

    let text = fs::read_to_string(out.join("results.json")).unwrap();
    let rows: Vec<ResultRow> = serde_json::from_str(&text).unwrap();
    assert_eq!(rows, results(&loaded));
}

#[test]
fn results_hold_every_score_and_the_continual_metrics() {
    let (_folder, runs) = two_runs();
    let rows = results(&[load_run(&runs[0]).unwrap()]);
    let value = |task, class, metric: &str| {
        let mut found = rows.iter().filter(|row| row.task == task && row.score.class == class);
        found.find(|row| row.score.score.metric == metric).map(|row| row.score.score.value)
    };
    // Each class scores 0.9 when learned and 0.1 afterwards.
    assert_eq!(value(1, Some(0), "accuracy"), Some(0.9));
    assert_eq!(value(3, Some(0), "accuracy"), Some(0.1));
    assert!((value(3, None, "accuracy").unwrap() - 1.1 / 3.0).abs() < 1e-12);
    assert!((value(3, None, "average_accuracy").unwrap() - 1.1 / 3.0).abs() < 1e-12);
    assert!((value(3, None, "forgetting_chaudhry_2018").unwrap() - 0.8).abs() < 1e-12);
    assert!((value(3, None, "learning_accuracy").unwrap() - 0.9).abs() < 1e-12);
    assert!((value(3, None, "average_incremental_accuracy").unwrap() - (0.9 + 0.5 + 1.1 / 3.0) / 3.0).abs() < 1e-12);
    assert_eq!(rows.len(), 2 + 3 + 4 + 4);
    assert!(rows.iter().all(|row| row.strategy == "sft" && row.score.score.card.network == "digit-mlp"));
}

#[test]
fn ledger_says_what_was_compared() {
    let folder = tempfile::tempdir().unwrap();
    let run = |strategy, kept| FakeRun { strategy, kept, tasks: 5, ..FakeRun::default() }.write(folder.path());
    let runs: Vec<_> = [run("sft", 0.025), run("ra", 0.9)].iter().map(|run| load_run(run).unwrap()).collect();
    let text = ledger(&runs).unwrap();
    for expected in [
        "# Ledger: MNIST, preset quick",
        "| SFT | 5 | 20.00 | 19.87 | +0.13 | agrees |",
        "| RA | 5 | 90.00 | 98.19 | -8.19 | 8.2 points below |",
        "98.50 % of real test images",
        "forgetting (Chaudhry 2018)",
        "- narrower networks\n",
        "- its own lambda for ra (RA)\n",
        "| RA | 5.0 s |",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let text = table(&runs).unwrap();
    assert!(text.contains("SFT           5    20.00     19.87       +0.13            agrees"), "{text}");
}

#[test]
fn seeds_are_averaged() {
    let folder = tempfile::tempdir().unwrap();
    let run = |seed, kept| FakeRun { seed, kept, tasks: 5, ..FakeRun::default() }.write(folder.path());
    let runs: Vec<_> = [run(0, 0.9), run(1, 0.7)].iter().map(|run| load_run(run).unwrap()).collect();
    assert!(ledger(&runs).unwrap().contains("| RA | 5 | 82.00 ± 11.31 | 98.19 |"));
    let page = html(&runs).unwrap();
    assert!(page.contains("seeds 0, 1"));
    assert_eq!(page.matches("data-stepper>").count(), 2, "the second seed has samples of its own");
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let (_folder, runs) = two_runs();
    let runs: Vec<_> = runs.iter().map(|run| load_run(run).unwrap()).collect();
    let page = html(&runs).unwrap();
    for outside in ["http://", "https://", "url(", "@import", "<link", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let sources: Vec<_> = page.split("src=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(sources.len(), 1 + 2 * 3, "real images, and two runs of three tasks");
    for source in sources {
        let data = source.strip_prefix("data:image/png;base64,").expect("images are embedded");
        image::load_from_memory(&fake::decode_base64(data)).unwrap();
    }
    for expected in
        ["type=\"range\"", "prefers-color-scheme", "<svg", "losses", "--value:90%", "mergan train --strategy"]
    {
        assert!(page.contains(expected), "{expected}");
    }
}

#[test]
fn without_javascript_the_last_task_is_shown() {
    let (_folder, runs) = two_runs();
    let page = html(&[load_run(&runs[0]).unwrap()]).unwrap();
    assert!(page.contains("<label class=\"slider\" hidden>"));
    assert!(page.contains("<div data-task=\"1\" hidden><img") && page.contains("<div data-task=\"3\"><img"));
}

#[test]
fn names_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let run = FakeRun { strategy: "<b>&\"x", ..FakeRun::default() }.write(folder.path());
    let page = html(&[load_run(&run).unwrap()]).unwrap();
    assert!(!page.contains("<b>&\"x") && page.contains("&lt;b&gt;&amp;"));
}

#[test]
fn an_unfinished_run_shows_its_finished_tasks() {
    let (_folder, runs) = two_runs();
    fs::remove_file(runs[1].join("tasks/03/scores.json")).unwrap();
    fs::remove_file(runs[1].join("tasks/03/samples.png")).unwrap();
    let runs: Vec<_> = runs.iter().map(|run| load_run(run).unwrap()).collect();
    assert_eq!(runs[1].tasks.len(), 2);
    html(&runs).unwrap();
}

#[test]
fn a_single_run_of_one_task_without_losses_is_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let run = FakeRun { tasks: 1, ..FakeRun::default() }.write(folder.path());
    fs::write(run.join("events.jsonl"), "").unwrap();
    let page = html(&[load_run(&run).unwrap()]).unwrap();
    assert!(page.contains("No losses were recorded."));
}

#[test]
fn different_cards_are_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let left = FakeRun::default().write(folder.path());
    let right = FakeRun { strategy: "jtr", preset: "paper", ..FakeRun::default() }.write(folder.path());
    let runs: Vec<_> = [left, right].iter().map(|run| load_run(run).unwrap()).collect();
    for refused in [ledger(&runs), table(&runs), html(&runs)] {
        let Err(Error::Incomparable { source, .. }) = refused else { panic!("compared all the same") };
        assert_eq!(source.field, "preset");
    }
    assert!(matches!(html(&[]), Err(Error::NoRuns)));
}

#[test]
fn runs_that_no_mean_may_mix_are_refused() {
    let (_folder, runs) = two_runs();
    let twice = [&runs[1], &runs[1]].map(|run| load_run(run).unwrap());
    let Err(Error::Duplicate { strategy, seed: 0, .. }) = html(&twice) else { panic!("a run was counted twice") };
    assert_eq!(strategy, "ra");

    let mut reordered = [&runs[0], &runs[1]].map(|run| load_run(run).unwrap());
    reordered[1].tasks[2].scores.class_names.swap(0, 1);
    let Err(Error::Incomparable { source, .. }) = html(&reordered) else { panic!("compared all the same") };
    assert_eq!(source.to_string(), "classes differs: 0, 1, 2 and 1, 0, 2");
}

/// Spoils one file of a run and returns what reading it says.
fn message(file: &str, content: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let run = FakeRun::default().write(folder.path());
    match content {
        Some(content) => fs::write(run.join(file), content).unwrap(),
        None => fs::remove_file(run.join(file)).unwrap(),
    }
    let message = load_run(&run).unwrap_err().to_string();
    assert!(message.contains(file), "{message} does not name {file}");
    message
}

#[test]
fn errors_name_the_file_and_the_remedy() {
    assert!(message("config.toml", None).contains("mergan train"));
    assert!(message("config.toml", Some("strategy = \"ra\"\n")).contains("preset, seed, dataset and tasks"));
    assert!(message("events.jsonl", None).contains("cannot read"));
    assert!(message("events.jsonl", Some("{}\n{}\n")).contains("line 1"));
    assert!(message("tasks/02/scores.json", Some("{")).contains("line 1"));
    assert!(message("tasks/02/samples.png", Some("no image")).contains("not a whole PNG"));
    assert!(message("tasks/01/samples.png", None).contains("cannot read"));
    assert!(message("real.png", Some("")).contains("not a whole PNG"));
}

#[test]
fn scores_must_be_complete() {
    let scores = |task: usize, names: &str| {
        format!("{{\"task\":{task},\"classes\":[0,1],\"class_names\":{names},\"scores\":[]}}")
    };
    let both = "[\"zero\",\"one\"]";
    assert!(message("tasks/02/scores.json", Some(&scores(1, both))).contains("of task 1, not 2"));
    assert!(message("tasks/02/scores.json", Some(&scores(2, "[]"))).contains("2 classes have 0 names"));
    assert!(message("tasks/02/scores.json", Some(&scores(2, both))).contains("accuracy of class 0 is missing"));
}

#[test]
fn a_run_without_a_scored_task_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = FakeRun::default().write(folder.path());
    fs::remove_dir_all(run.join("tasks")).unwrap();
    assert!(matches!(load_run(&run), Err(Error::NoTask { .. })));
}

#[test]
fn a_report_that_cannot_be_written_leaves_nothing() {
    let (folder, runs) = two_runs();
    let runs: Vec<_> = runs.iter().map(|run| load_run(run).unwrap()).collect();
    let page = folder.path().join("missing/report.html");
    let error = write_report(&runs, &page).unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
    assert!(!folder.path().join("missing").exists());
}
