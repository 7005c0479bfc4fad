//! Tests reports of run directories made here: two strategies, three tasks, images of a few pixels.

mod fake;

use fake::{FakeRun, rescore};
use mergan_record::metric::{
    ACCURACY, BUDGET, COVERAGE, FID, FRECHET, FRECHET_CNN, INITIAL_ACCURACY, KID, NEXT_ACCURACY, REPLAY_SHIFT,
    REVERSE_ACCURACY, Shown, shown_in,
};
use mergan_record::{ClassNeighbours, Embedding, Layout, Neighbours, Point, ResultRow};
use mergan_report::{Error, Run, compare, compared_rows, html, ledger, load_run, results, table, write_report};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// Writes runs of SFT, which forgets, and RA, which does not, over three tasks.
fn two_runs() -> (TempDir, [PathBuf; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let sft = FakeRun { strategy: "sft", kept: 0.1, ..FakeRun::default() }.write(folder.path());
    let ra = FakeRun::default().write(folder.path());
    (folder, [sft, ra])
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
    assert_eq!(value(2, Some(0), "replayed_images"), Some(640.0));
    assert_eq!(value(3, Some(1), "replayed_images"), Some(641.0));
    assert_eq!(value(3, None, "kept_generator_parameters"), Some(3000.0));
    assert_eq!((value(3, None, "kept_images"), value(2, None, "kept_bytes")), (Some(10.0), Some(8010.0)));
    // Twenty iterations a task, the first without a generator step, with two critic steps each.
    assert_eq!((value(2, None, "generator_steps"), value(3, None, "critic_steps")), (Some(38.0), Some(120.0)));
    assert_eq!((value(3, None, "critic_images"), value(3, None, "training_seconds")), (Some(7680.0), Some(3.0)));
    assert_eq!(value(3, None, "all_replayed_images"), Some(3.0 * 640.0 + 1.0));
    assert_eq!(rows.len(), 2 + 3 + 4 + (1 + 2) + 3 * 9 + 5);
    assert_eq!(value(3, None, "forward_transfer_gem"), None, "nobody scored a class before it was learned");
    let is_count = |metric: &str| metric == "replayed_images" || BUDGET.contains(&metric);
    let network = |metric: &str| if is_count(metric) { "none" } else { "digit-mlp" };
    assert!(rows.iter().map(|row| &row.score.score).all(|score| score.card.network == network(&score.metric)));
    assert!(rows.iter().all(|row| row.strategy == "sft"));
}

#[test]
fn continual_metrics_of_a_known_matrix() {
    const R: [[f64; 4]; 4] =
        [[0.80, 0.10, 0.05, 0.02], [0.85, 0.88, 0.12, 0.04], [0.75, 0.60, 0.92, 0.10], [0.90, 0.65, 0.70, 0.95]];
    let folder = tempfile::tempdir().unwrap();
    let run = FakeRun { tasks: 4, ..FakeRun::default() }.write(folder.path());
    for (task, row) in (1..).zip(R) {
        let scores: Vec<_> = row.into_iter().enumerate().collect();
        rescore(
            &run,
            task,
            &[(ACCURACY, &scores[..task]), (NEXT_ACCURACY, scores.get(task..=task).unwrap_or_default())],
        );
    }
    let initial: Vec<_> = (0..4).map(|class| (class, 0.1)).collect();
    rescore(&run, 1, &[(INITIAL_ACCURACY, &initial)]);

    let rows = results(&[load_run(&run).unwrap()]);
    for (metric, expected) in [
        ("average_accuracy", 0.8),
        ("learning_accuracy", 0.8875),
        ("average_incremental_accuracy", 0.805416667),
        ("backward_transfer_gem", -0.116666667),
        ("forward_transfer_gem", 0.006666667),
        ("forgetting_chaudhry_2018", 0.133333333),
    ] {
        let found = rows.iter().find(|row| row.score.score.metric == metric).expect(metric).score.score.value;
        assert!((found - expected).abs() < 1e-9, "{metric}: {found}");
    }
    let mut keys = shown_in(Shown::Continual).map(|metric| metric.key);
    assert!(keys.all(|key| rows.iter().any(|row| row.score.score.metric == key)), "a metric of the list has no code");
}

#[test]
fn strategies_are_compared_seed_by_seed() {
    let folder = tempfile::tempdir().unwrap();
    let run =
        |strategy, seed, kept| FakeRun { strategy, seed, kept, tasks: 2, ..FakeRun::default() }.write(folder.path());
    let runs = [run("ra", 0, 0.9), run("ra", 1, 0.8), run("ra", 2, 0.7), run("jtr", 1, 0.4), run("jtr", 2, 0.5)];
    let runs = runs.map(|run| load_run(&run).unwrap());
    // After two tasks the average is the mean of 0.9 and what was kept; seed 1 differs by 20 points, seed 2 by 10.
    let text = ledger(&runs).unwrap();
    let expected = "| RA minus JTR | 2 | +15.00 | 7.07 | -48.53 to +78.53 | 2 of 2 | 0.2048 | 0.2048 | no |";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("after 2 tasks, seed by seed") && text.contains("Not told apart: RA and JTR."), "{text}");
    assert!(html(&runs).unwrap().contains("RA minus JTR"));
    assert!(!ledger(&runs[..1]).unwrap().contains("seed by seed"), "one seed has no spread");
}

#[test]
fn verdicts_follow_the_interval_over_the_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    for (strategy, seeds) in [
        ("sft", &[0.198, 0.199, 0.199][..]),
        ("jtr", &[0.969, 0.989, 0.979]),
        ("ra", &[0.97, 0.971, 0.972]),
        ("jt", &[0.99, 0.991, 0.992]),
        ("dgr", &[0.9]),
        ("separate", &[0.99, 0.98]),
    ] {
        for (seed, &accuracy) in (0..).zip(seeds) {
            let dir = FakeRun { strategy, seed, tasks: 5, ..FakeRun::default() }.write(folder.path());
            rescore(&dir, 5, &[(ACCURACY, &[0, 1, 2, 3, 4].map(|class| (class, accuracy)))]);
            runs.push(load_run(&dir).unwrap());
        }
    }
    let (ledger, page, terminal) = (ledger(&runs).unwrap(), html(&runs).unwrap(), table(&runs).unwrap());
    let [beside, printed] = [&ledger, &terminal].map(|text| text.split("beside the paper").nth(1).unwrap());
    for (strategy, verdict) in [
        ("SFT", "agrees"),
        ("JTR", "cannot be told apart: needs 7 seeds"),
        ("RA", "below"),
        ("JT", "above"),
        ("DGR", "no interval: needs 2 seeds or more"),
        ("separate", "not in the paper"),
    ] {
        let row = beside.lines().find(|line| line.starts_with(&format!("| {strategy} | 5 |"))).unwrap();
        assert!(row.ends_with(&format!("| {verdict} |")), "{row}");
        let row = printed.lines().find(|line| line.starts_with(&format!("{strategy} "))).unwrap();
        assert!(row.ends_with(&format!("  {verdict}")), "{row}");
        assert!(page.contains(&format!("<td>{verdict}</td>")), "{verdict}");
    }
    assert!(ledger.contains("further than 1 percentage point to either side"), "{ledger}");
}

#[test]
fn pairs_are_named_by_whether_they_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let run = |strategy, seed, kept| {
        let dir = FakeRun { strategy, seed, kept, tasks: 2, ..FakeRun::default() }.write(folder.path());
        load_run(&dir).unwrap()
    };
    let mut runs = vec![run("dgr", 0, 0.4)];
    for seed in 0..3 {
        let noise = 0.02 * seed as f64;
        runs.extend([run("sft", seed, 0.1 + 0.1 * noise), run("jtr", seed, 0.82 - noise), run("ra", seed, 0.8)]);
    }
    let text = ledger(&runs).unwrap();
    let expected = "Told apart: SFT and JTR; SFT and RA. Not told apart: JTR and RA. Not compared, because they share fewer \
                    than two seeds with this score: DGR and SFT; DGR and JTR; DGR and RA.";
    assert!(text.contains(expected) && html(&runs).unwrap().contains(expected), "{text}");
    assert!(text.contains("corrected for 3 pairs by Holm's method"), "{text}");
    assert!(!text.contains("seed by seed: reverse accuracy"), "nobody measured it");
    // Where the reverse accuracy was measured, it is compared too, and first.
    for run in &mut runs {
        let (card, seed) = (run.card().clone(), run.config.seed as f64);
        let value = if run.config.strategy == "ra" { 0.9 } else { 0.7 + 0.001 * seed };
        run.tasks[1].scores.record(REVERSE_ACCURACY, &[(0, value), (1, value)], &card);
    }
    let text = ledger(&runs).unwrap();
    let [reverse, accuracy] =
        ["reverse accuracy", "accuracy"].map(|name| text.find(&format!("seed by seed: {name}\n")));
    assert!(reverse.unwrap() < accuracy.unwrap(), "{text}");
    assert!(text.contains("Told apart: SFT and RA; JTR and RA. Not told apart: SFT and JTR."), "{text}");
}

#[test]
fn what_the_scores_cost_stands_beside_them() {
    let (_folder, runs) = two_runs();
    let runs = runs.map(|run| load_run(&run).unwrap());
    let (text, page) = (ledger(&runs).unwrap(), html(&runs).unwrap());
    assert!(text.contains("| kept |") && text.contains("| 12.0 kB |"), "{text}");
    assert!(text.contains("| SFT | 3 | 57 | 120 | 7680 | 1921 | 3.0 s | 3000 | 0 | 10 | 12.0 kB |"), "{text}");
    assert!(page.contains("<td>7680</td>") && page.contains("What the scores cost"));
    let terminal = compare(&runs).unwrap();
    assert!(terminal.contains("kept parameters of generators") && terminal.contains("3000"), "{terminal}");
}

#[test]
fn what_earlier_versions_did_not_record_is_not_made_up() {
    let (_folder, runs) = two_runs();
    for (dir, task) in [(&runs[0], 1), (&runs[1], 3)] {
        let log = fs::read_to_string(dir.join("events.jsonl")).unwrap();
        let end = |line: &&str| line.contains("task_end") && line.contains(&format!("\"task\":{task},"));
        let without = log.lines().map(|line| match end(&line) {
            true => format!("{{\"event\":\"task_end\",\"task\":{task},\"seconds\":1.0}}\n"),
            false => format!("{line}\n"),
        });
        fs::write(dir.join("events.jsonl"), without.collect::<String>()).unwrap();
        let config = fs::read_to_string(dir.join("config.toml")).unwrap();
        fs::write(dir.join("config.toml"), config.replace("critic_steps = 2\n", "")).unwrap();
    }
    let text = ledger(&runs.map(|run| load_run(&run).unwrap())).unwrap();
    // The first run says how many images were replayed, if not how many in a task without past classes.
    assert!(text.contains("| SFT | 3 | 57 | – | – | 1921 | 3.0 s | 3000 | 0 | 10 | 12.0 kB |"), "{text}");
    assert!(text.contains("| RA | 3 | 57 | – | – | 640 | 3.0 s | 3000 | 0 | 10 | 12.0 kB |"), "{text}");
    assert!(text.contains("earlier versions did not record it"), "{text}");
}

#[test]
fn images_that_dgr_replays_are_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let run = |strategy| load_run(&FakeRun { strategy, tasks: 1, ..FakeRun::default() }.write(folder.path())).unwrap();
    let text = ledger(&[run("dgr"), run("sft")]).unwrap();
    assert!(text.contains("| DGR | 1 | 19 | 40 | 2560 | – | 1.0 s |"), "{text}");
    assert!(text.contains("| SFT | 1 | 19 | 40 | 2560 | 0 | 1.0 s |"), "{text}");
}

#[test]
fn scores_over_class_orders_count_each_order_once() {
    const OTHER: &[usize] = &[2, 0, 1];
    let folder = tempfile::tempdir().unwrap();
    let run = |strategy, seed, order, kept| {
        let dir = FakeRun { strategy, seed, order, kept, ..FakeRun::default() }.write(folder.path());
        load_run(&dir).unwrap()
    };
    let runs = [
        run("ra", 0, Some(OTHER), 0.9),
        run("sft", 0, None, 0.3),
        run("sft", 1, None, 0.0),
        run("sft", 0, Some(OTHER), 0.3),
        run("sft", 1, Some(OTHER), 0.6),
        run("ra", 0, None, 0.75),
        run("ra", 1, None, 0.45),
        run("ra", 1, Some(OTHER), 0.9),
    ];
    let (text, page) = (ledger(&runs).unwrap(), html(&runs).unwrap());
    // After three tasks SFT has 40 and 60 % in the two orders, RA 70 and 90 %.
    for expected in [
        "seeds 0, 1, in 2 class orders.",
        "| strategy | tasks | ours, % | paper, % | difference | kept | class orders | preset | verdict |",
        "| RA | 3 | 80.00 ± 14.14 | – | – | 12.0 kB | 2 | quick | not in the paper |",
        "| SFT | 3 | 50.00 ± 14.14 |",
        "## Strategies class order by class order: accuracy",
        "| RA minus SFT | 2 | +30.00 | 0.00 |",
        "- the dataset's own: 0, 1, 2\n- a given one: 2, 0, 1\n",
        "mean ± sample standard deviation. The paper has one class order",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(page.contains("<th scope=\"col\">class orders</th>") && page.contains("a given one: 2, 0, 1"));
    // Runs in one order that is not the dataset's own are over seeds, and the order is named.
    let text = ledger(&[runs[0].clone(), runs[3].clone()]).unwrap();
    assert!(text.contains("- a given one: 2, 0, 1\n") && text.contains("| seeds |"), "{text}");
    assert!(text.contains("The paper has one class order") && !text.contains("mean over its seeds"), "{text}");
    let rows = results(&runs[..2]);
    assert!(rows.iter().all(|row| row.order == (row.strategy == "ra").then(|| OTHER.to_vec())));
    // Every strategy needs every order, and columns of single runs cannot be in different ones.
    let Err(Error::Incomparable { source, .. }) = ledger(&runs[..4]) else { panic!("compared all the same") };
    assert_eq!(source.to_string(), "order differs: [2, 0, 1] and the dataset's own; [2, 0, 1]");
    assert!(ledger(&runs[..4]).unwrap_err().to_string().contains("`mergan reproduce --orders N`"));
    assert!(compare(&runs[..2]).is_err());
    let Err(Error::Duplicate { .. }) = ledger(&[runs[0].clone(), runs[0].clone()]) else { panic!("counted twice") };
}

#[test]
fn the_scores_lead_with_what_accuracy_hides() {
    let (_folder, runs) = two_runs();
    rescore(&runs[1], 3, &[(REVERSE_ACCURACY, &[(0, 0.5)]), (COVERAGE, &[(0, 0.25)])]);
    let runs = runs.map(|run| load_run(&run).unwrap());
    let (text, page, terminal) = (ledger(&runs).unwrap(), html(&runs).unwrap(), table(&runs).unwrap());
    let header = "| strategy | tasks | reverse accuracy, % | coverage, % | FD-mlp-1024-512-256-128 | \
                  FD-mlp-1024-512-256-128, all classes at once | accuracy, % | accuracy with standing statistics, % |";
    let lines: Vec<_> = text.lines().collect();
    let at = lines.iter().position(|line| *line == header).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(lines[at + 2], "| real images | all classes | – | – | – | – | 98.50 | – |");
    assert!(lines.contains(&"| real images | all classes | 98.50 | – | – | – | – | – | – |"), "{text}");
    assert!(text.find("reverse accuracy, %") < text.find("beside the paper"), "{text}");
    assert!(text.contains("Not measured: recall; the reverse accuracy of as many real images"), "{text}");
    assert!(page.find(">reverse accuracy, %<").unwrap() < page.find("beside the paper").unwrap());
    assert!(terminal.find("  reverse").unwrap() < terminal.find("beside the paper").unwrap(), "{terminal}");
    assert!(!terminal.contains("standing"), "a column without a number: {terminal}");
    assert!(compare(&runs).unwrap().contains("accuracy of real images of all classes, %"));
    // Without the accuracy of real images there is no row.
    let mut unknown = runs;
    for row in unknown.iter_mut().flat_map(|run| &mut run.tasks).flat_map(|task| &mut task.scores.scores) {
        row.score.card.test_accuracy = None;
    }
    assert!(!ledger(&unknown).unwrap().contains("| real images |"));
}

#[test]
fn the_past_is_followed_through_the_tasks() {
    let (_folder, runs) = two_runs();
    let page = html(&runs.map(|run| load_run(&run).unwrap())).unwrap();
    assert!(page.contains("Images of each class that each task replayed") && page.contains("<td>641</td>"));
    assert!(page.contains("accuracy on past classes against the iteration") && page.contains("stability gap"));
}

#[test]
fn scores_beside_the_accuracy_are_tabled_with_their_warnings() {
    let (_folder, runs) = two_runs();
    let three = |value: f64| (0..3).map(|class| (class, value)).collect::<Vec<_>>();
    rescore(&runs[0], 3, &[(REVERSE_ACCURACY, &three(0.5)), (FRECHET, &three(12.345)), (REPLAY_SHIFT, &three(0.0625))]);
    let mut runs = runs.map(|run| load_run(&run).unwrap());
    runs[0].tasks[2].scores.warn(FRECHET, None, "3 samples of 128 features".into());
    let (ledger, page) = (ledger(&runs).unwrap(), html(&runs).unwrap());
    for expected in
        ["| SFT | 3 | 50.00 | 12.35 | – | 36.67 | – |", "- 3 samples of 128 features\n", "| SFT | 3 | – | – | 0.0625 |"]
    {
        assert!(ledger.contains(expected), "{expected} is not in\n{ledger}");
    }
    assert!(page.contains("FD-mlp-1024-512-256-128") && page.contains("3 samples of 128 features"));
    assert!(ledger.contains("images. 64 generated images of each class"), "{ledger}");
    assert!(!page.contains("FID<") && !ledger.contains("| FID"));
}

#[test]
fn columns_follow_the_network_and_what_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let dir = FakeRun::default().write(folder.path());
    rescore(&dir, 3, &[(FID, &[(0, 12.5), (1, 13.5)]), (KID, &[(0, 0.123456)]), (FRECHET_CNN, &[(0, 1.0)])]);
    let header = |run: Run| {
        let text = ledger(&[run]).unwrap();
        let mut lines = text.lines().filter(|line| line.contains("standing statistics, %"));
        lines.next().unwrap().split(" | ").skip(3).map(String::from).collect::<Vec<_>>().join(", ")
    };
    let mut run = load_run(&dir).unwrap();
    assert!(ledger(std::slice::from_ref(&run)).unwrap().contains("| – | – | 13.00 | 0.12346 | 90.00 | – |"));
    let mlp = "FD-mlp-1024-512-256-128, FD-mlp-1024-512-256-128, all classes at once, FID, KID, accuracy, %, accuracy with standing statistics, % |";
    assert_eq!(header(run.clone()), mlp);
    for row in run.tasks.iter_mut().flat_map(|task| &mut task.scores.scores) {
        row.score.card.network = "cnn-64".into();
    }
    assert_eq!(
        header(run),
        "FD-cnn, FD-cnn, all classes at once, FID, KID, accuracy, %, accuracy with standing statistics, % |"
    );
}

#[test]
fn what_a_solver_names_is_told_apart_from_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let dir = FakeRun { strategy: "dgr", ..FakeRun::default() }.write(folder.path());
    fs::write(dir.join("events.jsonl"), "").unwrap();
    let mut run = load_run(&dir).unwrap();
    run.tasks[2].scores.warn(ACCURACY, Some(0), "only 3 of 64".into());
    run.tasks[2].scores.warn(ACCURACY, None, "fewer than 64 images of some classes".into());
    let text = ledger(std::slice::from_ref(&run)).unwrap();
    assert!(text.contains("At most 64 generated images") && text.contains("- fewer than 64 images"), "{text}");
    assert!(!text.contains("only 3 of 64"), "the ledger has no scores of single classes");
    assert!(html(&[run]).unwrap().contains("carry no class that they were asked for"));
}

#[test]
fn ten_strategies_are_told_apart_in_charts() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let runs =
        names.map(|strategy| load_run(&FakeRun { strategy, ..FakeRun::default() }.write(folder.path())).unwrap());
    let page = html(&runs).unwrap();
    let legend = page.split("<figcaption class=\"legend\">").nth(1).unwrap().split("</figcaption>").next().unwrap();
    let keys: BTreeSet<_> =
        legend.split("<span class=\"series-").skip(1).map(|key| key.split("</span>").next()).collect();
    assert_eq!(keys.len(), 10, "{legend}");
}

#[test]
fn runs_stand_side_by_side_after_the_tasks_that_all_have() {
    let (_folder, runs) = two_runs();
    fs::remove_file(runs[1].join("tasks/03/scores.json")).unwrap();
    let runs = runs.map(|run| load_run(&run).unwrap());
    let text = compare(&runs).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..3], ["after", "2", "tasks"]);
    assert!(lines.contains(&vec!["strategy", "SFT", "RA"]), "{text}");
    assert!(lines.contains(&vec!["accuracy,", "%", "50.00", "90.00"]), "{text}");
    assert!(lines.contains(&vec!["forgetting", "(Chaudhry", "2018),", "%", "80.00", "0.00"]), "{text}");
    let rows = compared_rows(&runs).unwrap();
    assert!(rows.iter().all(|row| row.row.task == 2));
    let json = serde_json::to_value(&rows[0]).unwrap();
    assert_eq!((json["strategy"].as_str(), json["metric"].as_str()), (Some("sft"), Some("accuracy")));
    assert!(json["run"].as_str().unwrap().ends_with("sft-0") && json["card"]["network"] == "digit-mlp");
    // A run may be compared with itself, but no mean may count it twice.
    assert!(compare(&[runs[0].clone(), runs[0].clone()]).is_ok());
    assert!(compare(&[]).is_err());
}

#[test]
fn a_difference_in_any_metric_is_refused_with_its_remedy() {
    let (_folder, runs) = two_runs();
    let mut runs = runs.map(|run| load_run(&run).unwrap());
    for run in &mut runs {
        let card = run.card().clone();
        run.tasks[2].scores.record(REVERSE_ACCURACY, &[(0, 0.5)], &card);
    }
    compare(&runs).unwrap();
    let last = runs[1].tasks[2].scores.scores.last_mut().unwrap();
    last.score.card.samples_per_class = Some(6400);
    let error = compare(&runs).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("sft-0") && message.contains("ra-0") && message.contains("--samples N"), "{message}");
    let Error::Incomparable { source, .. } = error else { panic!("another error") };
    assert_eq!(source.to_string(), "samples_per_class differs: 64 and 6400");
}

#[test]
fn ledger_says_what_was_compared() {
    let folder = tempfile::tempdir().unwrap();
    let run = |strategy, kept| FakeRun { strategy, kept, tasks: 5, ..FakeRun::default() }.write(folder.path());
    let runs: Vec<_> = [run("sft", 0.025), run("ra", 0.9)].iter().map(|run| load_run(run).unwrap()).collect();
    let text = ledger(&runs).unwrap();
    for expected in [
        "# Ledger: MNIST, preset quick",
        "| SFT | 5 | 20.00 | 19.87 | +0.13 | 20.0 kB | 1 | quick | no interval: needs 2 seeds or more |",
        "| RA | 5 | 90.00 | 98.19 | -8.19 | 20.0 kB | 1 | quick | no interval: needs 2 seeds or more |",
        "| EWC | 5 | not run | 70.62 | – | – | – | – | not run |",
        "| RA | 10 | not run | 97.01 | – | – | – | – | not run |",
        "## Where paper and released code differ",
        "98.50 % of real test images",
        "forgetting (Chaudhry 2018)",
        "- narrower networks\n",
        "- its own lambda for ra (RA)\n",
        "| RA | 5.0 s |",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let text = table(&runs).unwrap();
    assert!(
        text.contains(
            "SFT                    5    20.00     19.87       +0.13  20.0 kB      1   quick  no interval: needs 2 seeds or more"
        ),
        "{text}"
    );
    assert!(!text.contains("not run"), "{text}");
}

#[test]
fn seeds_are_averaged() {
    let folder = tempfile::tempdir().unwrap();
    let run = |seed, kept| FakeRun { seed, kept, tasks: 5, ..FakeRun::default() }.write(folder.path());
    let runs: Vec<_> = [run(0, 0.9), run(1, 0.7)].iter().map(|run| load_run(run).unwrap()).collect();
    assert!(ledger(&runs).unwrap().contains("| RA | 5 | 82.00 ± 11.31 | 98.19 |"));
    let page = html(&runs).unwrap();
    assert!(page.contains("seeds 0, 1"));
    let steppers = page.matches("data-stepper>").count();
    assert_eq!(steppers, 3, "samples, those before and after a task, and the second seed's");
    assert!(page.contains("<polygon"), "bands lie behind the means");
    let alone = html(&runs[..1]).unwrap();
    assert!(!alone.contains("<polygon"), "one seed has no spread");
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
    assert_eq!(
        sources.len(),
        1 + 2 * 3 + 2 * 2,
        "real images, two runs of three tasks, and before and after two of them"
    );
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
fn images_before_a_task_stand_above_those_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = FakeRun { tasks: 2, ..FakeRun::default() }.write(folder.path());
    // The grids have cells of four pixels. Before the task they are all 10; after it they are all 200, with one more
    // row.
    image::GrayImage::from_pixel(12, 4, image::Luma([10])).save(run.join("tasks/01/samples.png")).unwrap();
    image::GrayImage::from_pixel(12, 8, image::Luma([200])).save(run.join("tasks/02/samples.png")).unwrap();
    let page = html(&[load_run(&run).unwrap()]).unwrap();
    let instances = page.split("id=\"instances\"").nth(1).unwrap();
    let data = instances.split("base64,").nth(1).unwrap().split('"').next().unwrap();
    let shown = image::load_from_memory(&fake::decode_base64(data)).unwrap().to_luma8();
    assert_eq!(shown.dimensions(), (12, 8));
    assert_eq!([shown.get_pixel(5, 2).0[0], shown.get_pixel(5, 6).0[0]], [10, 200]);
    // DGR's solver chooses the class of each image, whatever the latents, so old and new images do not pair up.
    let dgr = FakeRun { strategy: "dgr", ..FakeRun::default() }.write(folder.path());
    assert!(!html(&[load_run(&dgr).unwrap()]).unwrap().contains("id=\"instances\""));
}

#[test]
fn images_lie_among_real_ones_where_that_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let dir = FakeRun::default().write(folder.path());
    assert!(!html(&[load_run(&dir).unwrap()]).unwrap().contains("id=\"real\""));

    let run = Layout::new(&dir);
    let point = |class, real, x| Point { class, real, x, y: x * x };
    let points = vec![point(0, true, 1.0), point(0, false, 1.5), point(2, true, -3.0)];
    let embedding = Embedding { network: "digit-mlp".into(), perplexity: 20.0, points };
    fs::write(run.embedding(3), serde_json::to_string(&embedding).unwrap()).unwrap();
    let classes =
        (0..3).map(|class| ClassNeighbours { class, generated: Some(0.25), test: (class > 0).then_some(0.5) });
    let neighbours = Neighbours { images: 50, classes: classes.collect() };
    fs::write(run.neighbours(3), serde_json::to_string(&neighbours).unwrap()).unwrap();
    let message = load_run(&dir).unwrap_err().to_string();
    assert!(message.contains("neighbours.png"), "{message}");
    image::GrayImage::new(40, 12).save(run.neighbours_grid(3)).unwrap();
    let page = html(&[load_run(&dir).unwrap()]).unwrap();
    for expected in
        ["t-SNE (perplexity 20) of the features of digit-mlp", "<td>0.250</td>", "<td>0.500</td>", "<td>–</td>"]
    {
        assert!(page.contains(expected), "{expected}");
    }
    fs::write(run.embedding(3), "{").unwrap();
    let message = load_run(&dir).unwrap_err().to_string();
    assert!(message.contains("embedding.json") && message.contains("mergan evaluate --task T --save"), "{message}");
}

#[test]
fn the_first_answer_is_who_forgets() {
    let (_folder, runs) = two_runs();
    let page = html(&runs.map(|run| load_run(&run).unwrap())).unwrap();
    let verdict = page.split("Who forgets, after 3 tasks").nth(1).unwrap().split("</ul>").next().unwrap();
    let [ra, sft] = ["<b>RA</b>", "<b>SFT</b>"].map(|name| verdict.find(name).unwrap());
    assert!(ra < sft, "who has forgotten least comes first: {verdict}");
    assert!(verdict.contains("0.0 points forgotten") && verdict.contains("80.0 points forgotten"), "{verdict}");
    let one = FakeRun { tasks: 1, ..FakeRun::default() };
    let folder = tempfile::tempdir().unwrap();
    assert!(!html(&[load_run(&one.write(folder.path())).unwrap()]).unwrap().contains("Who forgets"));
}

#[test]
fn the_page_says_how_it_was_made() {
    let (_folder, runs) = two_runs();
    let page = html(&runs.map(|run| load_run(&run).unwrap())).unwrap();
    let made = page.split("id=\"made\"").nth(1).unwrap();
    assert!(made.contains("mergan train --strategy sft") && made.contains("mergan train --strategy ra"), "{made}");
    assert!(made.contains("mergan report "), "{made}");
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

/// Replaces or removes one file of a run and returns the error of reading it.
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
