//! Tests the output of the commands.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use image::AnimationDecoder;
use serde_json::Value;

use crate::{complaint, finished_run, gaps, generators, mergan, new_run, run_of, scores_of};

#[test]
fn every_strategy_trains_and_the_report_compares_them() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first");
    mergan().args(run_of("1", "sft", &first)).assert().success();
    let runs = ["sft", "jtr", "ra", "jt"].map(|strategy| folder.path().join(strategy));
    for run in &runs {
        let strategy = run.file_name().unwrap().to_str().unwrap();
        mergan().args(new_run(strategy, run)).arg("--first-task").arg(&first).assert().success();
        let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
        assert_eq!(events.matches("\"event\":\"task_end\"").count(), 3, "{events}");
        for file in ["config.toml", "real.png", "tasks/03/samples.png", "tasks/03/scores.json"] {
            assert!(run.join(file).is_file(), "{strategy} has no {file}");
        }
    }
    // The runs share the first task and nothing else.
    let all = runs.each_ref().map(|run| generators(run));
    assert!(all.iter().all(|[first, ..]| *first == all[0][0]));
    assert!(all[1..].iter().all(|[.., last]| *last != all[0][2]));

    let page = folder.path().join("report/report.html");
    let output = mergan().arg("report").args(&runs).arg("--out").arg(&page).assert().success();
    let table = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(["SFT", "JTR", "RA", "JT"].iter().all(|strategy| table.contains(strategy)), "{table}");
    assert!(fs::read_to_string(&page).unwrap().contains("mergan train --dataset shapes --strategy jtr"));
    let results: Value = serde_json::from_slice(&fs::read(page.with_file_name("results.json")).unwrap()).unwrap();
    let scores = results.as_array().unwrap().iter().filter(|row| row["metric"] == "accuracy");
    assert_eq!(scores.count(), 4 * (2 + 3 + 4), "each class and the mean, after each task");
    let replayed = |strategy: &str| {
        let rows = results.as_array().unwrap().iter();
        let rows = rows.filter(|row| row["strategy"] == strategy && row["metric"] == "replayed_images");
        rows.map(|row| (row["task"].as_u64().unwrap(), row["class"].as_u64().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(replayed("ra"), [(2, 0), (3, 0), (3, 1)]);
    assert_eq!(replayed("jtr"), replayed("ra"));
    assert_eq!((replayed("sft"), replayed("jt")), (vec![], vec![]));
}

#[test]
fn a_shared_first_task_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (first, fork) = (folder.path().join("first"), folder.path().join("fork"));
    mergan().args(run_of("1", "sft", &first)).assert().success();
    mergan().args(new_run("ra", &fork)).arg("--first-task").arg(&first).assert().success();
    assert!(generators(&fork) == generators(finished_run()));
    // The fork has the frames of all tasks, too.
    let frames = |run: &Path| fs::read_dir(run.join("frames")).unwrap().count();
    assert_eq!(frames(&fork), frames(finished_run()));
}

#[test]
fn looking_at_the_past_while_training_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let blind = folder.path().join("blind");
    mergan().args(new_run("ra", &blind)).args(["--set", "evaluation.gap_every=0"]).assert().success();
    assert!(generators(&blind) == generators(finished_run()));
    assert!(gaps(&blind).is_empty());
    // The past is scored after the first iteration and every second one of each later task.
    let expected: Vec<_> =
        [2, 3].into_iter().flat_map(|task| [1, 2, 4, 6].map(|iteration| (task, iteration))).collect();
    assert_eq!(gaps(finished_run()).into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn an_estimate_is_a_number_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let seconds = |options: &[&str]| -> f64 {
        let output = mergan().args(new_run("ra", &run)).arg("--estimate").args(options).assert().success();
        String::from_utf8_lossy(&output.get_output().stdout).trim().parse().unwrap()
    };
    // The run to fork from need not exist, and its task does not count.
    let long = ["--set", "training.first_iterations=1000000"];
    assert!(seconds(&long) > 10.0 * seconds(&[&long[..], &["--first-task", "later"]].concat()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    let output = mergan().args(["train", "--estimate", "--resume"]).arg(finished_run()).assert().success();
    assert_eq!(output.get_output().stdout, b"0.0\n");
}

#[test]
fn threads_do_not_change_the_result() {
    let folder = tempfile::tempdir().unwrap();
    for strategy in ["jtr", "jt"] {
        let runs = ["1", "2"].map(|threads| {
            let run = folder.path().join(format!("{strategy}{threads}"));
            mergan().args(new_run(strategy, &run)).args(["--threads", threads]).assert().success();
            generators(&run)
        });
        assert!(runs[0] == runs[1], "{strategy}");
    }
}

#[test]
fn samples_are_written_as_grid_and_as_array() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    let sample = |class: &str, name: &str| {
        let source = finished_run().join(if name.ends_with("npy") { "tasks/03/generator.safetensors" } else { "" });
        let options = ["--class", class, "--count", "20", "--out"];
        mergan().arg("sample").arg(source).args(options).arg(out(name)).assert().success();
    };
    sample("ring", "grid.png");
    sample("1", "array.npy");
    let grid = image::open(out("grid.png")).unwrap().to_luma8();
    assert_eq!(grid.dimensions(), (5 * 32, 4 * 32));

    let array = fs::read(out("array.npy")).unwrap();
    let pixels = array.strip_prefix(b"\x93NUMPY\x01\x00").unwrap();
    let header = usize::from(u16::from_le_bytes([pixels[0], pixels[1]]));
    assert_eq!((10 + header) % 64, 0);
    let text = std::str::from_utf8(&pixels[2..2 + header]).unwrap();
    assert!(text.contains("'shape': (20, 1, 32, 32)") && text.ends_with('\n'), "{text}");
    // Class 1 is `ring`, so the array's second image is the grid's second cell.
    let images = &pixels[2 + header..];
    assert_eq!(images.len(), 20 * 32 * 32);
    assert!(
        (0..32).all(|y| (0..32).all(|x| images[1024 + y * 32 + x] == grid.get_pixel(32 + x as u32, y as u32).0[0]))
    );
}

/// Reads the numbers of a `.npy` file of f32, after its header of 128 bytes.
fn floats(path: &Path) -> Vec<f32> {
    let file = fs::read(path).unwrap();
    file[128..].as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// Writes latents of 16 numbers as NumPy does.
fn write_latents(path: &Path, latents: &[[f32; 16]]) {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 16), }}\n", latents.len());
    let numbers = latents.iter().flatten().flat_map(|number| number.to_le_bytes());
    let file = b"\x93NUMPY\x01\x00".iter().copied().chain((header.len() as u16).to_le_bytes());
    fs::write(path, file.chain(header.bytes()).chain(numbers).collect::<Vec<_>>()).unwrap();
}

#[test]
fn a_sample_depends_on_its_batch_only_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let [latents, out] = ["latents.npy", "images.npy"].map(|name| folder.path().join(name));
    let all: Vec<[f32; 16]> = (0..40).map(|row| std::array::from_fn(|i| ((row * 16 + i) as f32 * 0.7).sin())).collect();
    let sample = |rows: &[[f32; 16]], options: &[&str]| {
        write_latents(&latents, rows);
        let mut command = mergan();
        command.arg("sample").arg(finished_run()).args(["--class", "ring", "--floats", "--latents"]).arg(&latents);
        command.arg("--out").arg(&out).args(options).assert().success();
        floats(&out)
    };
    let (together, alone) = (sample(&all, &[]), sample(&all[17..18], &[]));
    assert_eq!((together.len(), alone.len()), (40 * 1024, 1024));
    let farthest = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(farthest(&together[17 * 1024..18 * 1024], &alone) < 1e-5);
    let batch = ["--batch-statistics"];
    let (together, alone) = (sample(&all, &batch), sample(&all[17..18], &batch));
    assert!(farthest(&together[17 * 1024..18 * 1024], &alone) > 1e-2);

    let refused = |options: &[&str]| {
        let mut command = mergan();
        command.arg("sample").arg(finished_run()).args(["--class", "ring", "--latents"]).arg(&latents);
        complaint(command.args(options).assert())
    };
    assert!(refused(&["--floats", "--out", "grid.png"]).contains("a PNG holds bytes"));
    assert!(refused(&["--count", "3", "--out", "images.npy"]).contains("--count"));
    let mut drawn = mergan();
    drawn.arg("sample").arg(finished_run()).args("--class ring --count 3 --floats --out images.npy".split(' '));
    assert!(complaint(drawn.assert()).contains("--floats"));
    write_latents(&latents, &[]);
    assert!(refused(&["--out", "images.npy"]).contains("holds 0 latents of 16 numbers; the generator takes 16"));
    fs::write(&latents, "no numbers").unwrap();
    assert!(refused(&["--out", "images.npy"]).contains("latents.npy is no matrix of f32 or f64 numbers"));
}

#[test]
fn a_generator_is_exported_with_its_statistics() {
    let folder = tempfile::tempdir().unwrap();
    let export = |name: &str| {
        let out = folder.path().join(name);
        let mut command = mergan();
        (command.arg("export").arg(finished_run()).arg("--out").arg(&out).assert(), out)
    };
    let (done, weights) = export("generator.safetensors");
    done.success();
    assert_eq!(fs::read(weights).unwrap(), generators(finished_run())[2]);
    let (done, model) = export("generator.onnx");
    done.success();
    let model = fs::read(model).unwrap();
    for name in
        ["latent", "class", "image", "norm0.scale", "ConvTranspose", "{\"0\":\"disc\",\"1\":\"ring\",\"2\":\"square\"}"]
    {
        assert!(model.windows(name.len()).any(|window| window == name.as_bytes()), "{name}");
    }
    assert!(complaint(export("generator.pt").0).contains("must end in .onnx or .safetensors"));
}

#[test]
fn a_run_is_shown_as_it_learned() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("learning.gif");
    mergan()
        .arg("animate")
        .arg(finished_run())
        .args(["--columns", "4", "--scale", "1", "--out"])
        .arg(&out)
        .assert()
        .success();
    let decoder = image::codecs::gif::GifDecoder::new(BufReader::new(File::open(&out).unwrap())).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    // There is a frame after 1, 2, 4 and all iterations of each of three tasks; the last has three rows of images.
    assert_eq!(frames.len(), 12);
    let [first, last] = [&frames[0], &frames[11]].map(|frame| frame.buffer());
    assert_eq!(last.dimensions(), (4 * 32, 3 * 32));
    let lit = |image: &image::RgbaImage, y: u32| (0..128).any(|x| image.get_pixel(x, y).0[0] > 100);
    assert!(!(32..96).any(|y| lit(first, y)) && (64..96).any(|y| lit(last, y)));
    let nothing = mergan().arg("animate").arg(folder.path()).arg("--out").arg(&out).assert();
    assert!(complaint(nothing).contains("frames; give a run directory"));
}

#[test]
fn evaluation_gives_the_numbers_of_the_run() {
    let run = finished_run();
    let output = mergan().arg("evaluate").arg(run).arg("--json").assert().success();
    let again: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let scores = scores_of(run, 3);
    assert_eq!(again, scores);

    let has = |metric: &str| {
        let rows = scores["scores"].as_array().unwrap().iter().filter(|row| row["metric"] == metric);
        rows.map(|row| row["class"].as_u64()).collect::<Vec<_>>()
    };
    let learned = [Some(0), Some(1), Some(2), None];
    for metric in ["accuracy", "standing_accuracy", "fd_mlp", "reverse_accuracy"] {
        assert_eq!(has(metric), learned, "{metric}");
    }
    for metric in ["replay_confidence", "replay_accuracy", "replay_shift"] {
        assert_eq!(has(metric), [Some(0), Some(1), None], "{metric}");
    }
    // The third task replays from the generator that the second one left.
    let before: Value = serde_json::from_slice(&fs::read(run.join("tasks/02/scores.json")).unwrap()).unwrap();
    let values = |scores: &Value, metric: &str| {
        let rows = scores["scores"].as_array().unwrap().iter().filter(|row| row["metric"] == metric);
        rows.map(|row| row["value"].as_f64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(values(&scores, "replay_accuracy"), values(&before, "accuracy"));
    assert!(values(&scores, "replay_shift").iter().all(|&shift| shift > 0.0));
    assert_eq!(has("fd_mlp_pooled"), [None]);
    assert_eq!(has("next_accuracy"), [], "nothing comes after the last task");
    // There are 10 test images of each shape, and the features have 128 numbers.
    let distance = scores["scores"].as_array().unwrap().iter().find(|row| row["metric"] == "fd_mlp").unwrap();
    assert!(distance["warning"].as_str().unwrap().contains("real images: 10 samples of 128 features"), "{distance}");
    assert_eq!(distance["card"]["real_images"], "all test images");
    // The classifier trained only for this measurement is not kept, so its card names no weights.
    let reverse = scores["scores"].as_array().unwrap().iter().find(|row| row["metric"] == "reverse_accuracy").unwrap();
    assert!(reverse["card"]["network"].as_str().unwrap().contains("5 epochs in batches of 256"), "{reverse}");
    assert!(distance["card"].get("sha256").is_some() && reverse["card"].get("sha256").is_none(), "{reverse}");

    let standing =
        scores["scores"].as_array().unwrap().iter().find(|row| row["metric"] == "standing_accuracy").unwrap();
    assert_eq!(standing["card"]["statistics"], "standing, of 20 batches of 16");

    let output = mergan().arg("evaluate").arg(run).args(["--task", "1", "--samples", "8"]).assert().success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(text.contains("after task 1, 8 images") && text.contains("real test images"), "{text}");
}

#[test]
fn a_generator_whose_classes_a_solver_names_is_scored_too() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("dgr");
    mergan().args(new_run("dgr", &run)).assert().success();
    let scores: Value = serde_json::from_slice(&fs::read(run.join("tasks/03/scores.json")).unwrap()).unwrap();
    let values = |metric: &str| {
        let rows = scores["scores"].as_array().unwrap().iter().filter(|row| row["metric"] == metric);
        rows.map(|row| row["value"].as_f64().expect("a number")).collect::<Vec<_>>()
    };
    for (metric, rows) in [
        ("accuracy", 4),
        ("standing_accuracy", 4),
        ("replay_confidence", 3),
        ("replay_accuracy", 3),
        ("fd_mlp_pooled", 1),
    ] {
        assert_eq!(values(metric).len(), rows, "{metric}");
    }
    let shifts = values("replay_shift");
    assert!(shifts.len() >= 2 && shifts.iter().all(|&shift| shift > 0.0), "{shifts:?}");
    let rows = scores["scores"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["card"]["grouping"] == "mixed"), "no image is made for a class");
    // After six iterations the solver does not know all shapes.
    let mean = rows.iter().find(|row| row["metric"] == "accuracy" && row["class"].is_null()).unwrap();
    assert_eq!(mean["warning"], "the solver named fewer than 32 images of some classes");
    assert_eq!(gaps(&run).len(), 2 * 4);
}

#[test]
fn runs_are_compared_unless_their_cards_differ() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("sft");
    mergan().args(new_run("sft", &other)).assert().success();
    let compare = |options: &[&str]| mergan().arg("compare").arg(finished_run()).arg(&other).args(options).assert();
    let text = String::from_utf8(compare(&[]).success().get_output().stdout.clone()).unwrap();
    for expected in ["RA", "SFT", "reverse accuracy, %", "FD-mlp-1024-512-256-128", "FWT (forward transfer, GEM), %"] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    let rows: Value = serde_json::from_slice(&compare(&["--json"]).success().get_output().stdout).unwrap();
    assert!(rows.as_array().unwrap().iter().any(|row| row["strategy"] == "sft" && row["metric"] == "fd_mlp"));

    mergan().arg("evaluate").arg(&other).args(["--samples", "20", "--save"]).assert().success();
    let error = complaint(compare(&[]));
    assert!(error.contains("samples_per_class differs: 32 and 20") && error.contains("--samples N --save"), "{error}");
}

#[test]
fn datasets_are_listed_and_described() {
    let output = mergan().args(["data", "list", "--json"]).assert().success();
    let list: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert!(list.as_array().unwrap().iter().any(|dataset| dataset["name"] == "mnist"));
    let output = mergan().args(["data", "info", "shapes"]).assert().success();
    assert!(String::from_utf8_lossy(&output.get_output().stdout).contains("triangle"));
    mergan().args(["data", "fetch", "shapes", "--offline"]).assert().success();
}

#[test]
fn every_command_shows_an_example() {
    for command in [
        &["data"][..],
        &["data", "list"],
        &["data", "fetch"],
        &["data", "info"],
        &["train"],
        &["extend"],
        &["sample"],
        &["evaluate"],
        &["export"],
        &["animate"],
        &["fid"],
        &["compare"],
        &["report"],
        &["doctor"],
        &["completions"],
        &["man"],
    ] {
        let output = mergan().args(command).arg("--help").assert().success();
        let help = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
        assert!(help.contains(&format!("  mergan {}", command[0])), "{help}");
    }
}
