//! Tests bad input: it must lead to one clear error, a non-zero exit code, and no half-written files.

use std::fs;
use std::path::Path;

use crate::{complaint, finished_run, mergan, new_run, run_of};

/// Returns the error of a new run with these options. No run directory may be left.
fn refusal(strategy: &str, options: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let error = complaint(mergan().args(new_run(strategy, &run)).args(options).assert());
    assert!(!run.exists(), "something was written: {error}");
    error
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    for (option, value, expected) in [
        (
            "--dataset",
            "mnits",
            "unknown dataset `mnits`, and no such file or folder; known datasets: mnist, fashion, svhn,",
        ),
        ("--strategy", "ewcx", "[possible values: sft, ewc, dgr, jtr, ra, jt,"),
        ("--preset", "fast", "[possible values: smoke, demo, quick, photo, paper]"),
    ] {
        let arguments = new_run("ra", &run);
        let position = arguments.iter().position(|argument| *argument == option).unwrap();
        let mut arguments = arguments.to_vec();
        arguments[position + 1] = value;
        let error = complaint(mergan().args(arguments).assert());
        assert!(error.contains(expected), "{error}");
    }
    let sample = ["--class", "star", "--out", "star.png"];
    let error = complaint(mergan().arg("sample").arg(finished_run()).args(sample).assert());
    assert!(error.contains("no class `star`; choose one of: disc, ring, square"), "{error}");
}

#[test]
fn a_bad_configuration_is_refused_before_anything_is_written() {
    for (options, expected) in [
        (&["--set", "training.speed=1"][..], "unknown field `speed`"),
        (&["--set", "training.rate=-1"], "training.rate: it must be a positive number"),
        (&["--set", "training.rate=fast"], "configuration, training.rate: invalid type: string \"fast\""),
        (&["--set", "options.lambda=[1]"], "lambda: invalid type: sequence"),
        (&["--set", "training.rate"], "NAME=VALUE"),
        (&["--set", "options.lambda=much"], "strategy ra"),
        (&["--set", "sequence.classes_per_task=4"], "more classes than the 10"),
        (&["--config", "no-such-file.toml"], "reading no-such-file.toml"),
        (&["--first-task", "no-such-run"], "--first-task takes a finished run of one task"),
        (&["--seed", "9223372036854775808"], "--seed"),
        (&["--scorer", "no-such-file"], "no-such-file"),
    ] {
        let error = refusal("ra", options);
        assert!(error.contains(expected), "{options:?}: {error}");
    }
}

#[test]
fn what_no_machine_can_do_is_refused_before_anything_is_written() {
    const MEMORY: &str = "of memory are needed, and this machine has";
    for (value, expected) in [
        ("model.width=16384", MEMORY),
        ("model.width=100000", "model.width: it must be from 1 to 16384"),
        ("model.width=1000000000", "model.width: it must be from 1 to 16384"),
        ("model.latent=1000000000000", "model.latent: it must be from 1 to 16384"),
        ("training.batch=9223372036854775807", MEMORY),
        ("training.critic_steps=9223372036854775807", "training.critic_steps: it must be from 1 to 1000"),
        ("evaluation.samples=10000000000", MEMORY),
        ("evaluation.batch=9223372036854775807", MEMORY),
        ("evaluation.gap_samples=100000000000", MEMORY),
    ] {
        let error = refusal("ra", &["--set", value]);
        assert!(error.contains(expected), "{value}: {error}");
    }
    assert!(refusal("ra", &["--threads", "100000"]).contains("1..=1024"));

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("ring.npy");
    let mut sample = mergan();
    sample.arg("sample").arg(finished_run()).args(["--class", "ring", "--count", "1000000000000", "--out"]).arg(&out);
    assert!(complaint(sample.assert()).contains(MEMORY));
    assert!(!out.exists());
    let evaluate = ["--samples", "1000000000000"];
    assert!(complaint(mergan().arg("evaluate").arg(finished_run()).args(evaluate).assert()).contains(MEMORY));
}

#[test]
fn a_class_with_too_few_images_for_a_batch_is_named_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for (class, count) in [("cat", 40), ("dog", 40), ("eel", 13)] {
        let pictures = folder.path().join("pets").join(class);
        fs::create_dir_all(&pictures).unwrap();
        for i in 0..count {
            image::GrayImage::from_pixel(8, 8, image::Luma([i])).save(pictures.join(format!("{i}.png"))).unwrap();
        }
    }
    let (pets, run, cache) = (folder.path().join("pets"), folder.path().join("run"), folder.path().join("cache"));
    let train = |batch: &str| {
        let mut command = mergan();
        command.args(["train", "--strategy", "sft", "--preset", "smoke", "--set", batch, "--dataset"]).arg(&pets);
        command.arg("--run").arg(&run).arg("--cache").arg(&cache);
        command
    };
    let error = complaint(train("training.batch=32").assert());
    let batch = error.split("--set ").nth(1).unwrap_or_else(|| panic!("no remedy: {error}")).trim();
    assert!(error.contains("eel: ") && error.contains("a batch takes 32"), "{error}");
    assert!(!run.exists() && !cache.exists(), "something was written");
    train(batch).assert().success();
}

#[test]
fn an_existing_run_is_left_alone_and_other_peoples_files_are_not_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let error = complaint(mergan().args(["train", "--resume"]).arg(folder.path()).assert());
    assert!(error.contains("config.toml"), "{error}");

    let others =
        ["notes.txt", ".env", ".git/config", ".ipynb_checkpoints/notes.ipynb"].map(|name| folder.path().join(name));
    for path in &others {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "mine").unwrap();
    }
    mergan().args(run_of("1", "sft", folder.path())).assert().success();
    mergan().args(["train", "--resume"]).arg(folder.path()).assert().success();
    assert!(others.iter().all(|path| fs::read(path).unwrap() == b"mine"));

    let config = fs::read(folder.path().join("config.toml")).unwrap();
    let error = complaint(mergan().args(new_run("ra", folder.path())).assert());
    assert!(error.contains("exists already; go on with it by `mergan train --resume"), "{error}");
    // The command can be copied also where a shell would divide the path.
    let divided = folder.path().join("my runs");
    fs::create_dir(&divided).unwrap();
    fs::write(divided.join("config.toml"), &config).unwrap();
    let error = complaint(mergan().args(new_run("ra", &divided)).assert());
    assert!(error.contains(&format!("--resume '{}'`", divided.display())), "{error}");
    assert_eq!(fs::read(folder.path().join("config.toml")).unwrap(), config);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.safetensors");
    fs::write(&other, "no weights").unwrap();
    let sample = |source: &Path, out: &str| {
        let mut command = mergan();
        command.arg("sample").arg(source).args(["--class", "ring", "--out", out]);
        complaint(command.assert())
    };
    assert!(sample(&other, "ring.png").contains("other.safetensors is not a readable safetensors file"));
    assert!(sample(folder.path(), "ring.png").contains("holds no finished task"));
    assert!(sample(finished_run(), "ring.gif").contains("must end in .png, .npy or / for a folder"));
    assert!(sample(finished_run(), "/no/such/folder/ring.png").contains("/no/such/folder/ring.png"));

    let evaluate = |options: &[&str]| complaint(mergan().arg("evaluate").arg(finished_run()).args(options).assert());
    assert!(evaluate(&["--task", "9"]).contains("task 9 is not learned; choose one of 1 to 3"));
    assert!(complaint(mergan().arg("report").arg(folder.path()).assert()).contains("config.toml"));
}

#[test]
fn nonsense_on_the_command_line_is_refused() {
    for arguments in [&["train"][..], &["train", "--resume", "a", "--run", "b"], &["export", "a"], &["--threads", "0"]]
    {
        let error = complaint(mergan().args(arguments).assert());
        assert!(error.contains("Usage") || error.contains("--help"), "{error}");
    }
    let error = complaint(mergan().args(["data", "list"]).env("MERGAN_SIMD", "sse9").assert());
    assert!(error.contains("MERGAN_SIMD"), "{error}");
}

#[test]
#[cfg(target_os = "linux")]
fn the_doctor_notices_a_cache_that_cannot_be_written_to() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let disk = |cache: &str| {
        let output = mergan().current_dir(&folder).args(["doctor", "--cache", cache]).assert().get_output().clone();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.success(), text.lines().find(|line| line.starts_with("disk")).unwrap().to_string())
    };
    for cache in ["/proc/mergan", "/dev/full/mergan", "file/mergan"] {
        let (fine, disk) = disk(cache);
        assert!(!fine && disk.contains("FAULT"), "{disk}");
        assert!(disk.contains("choose another cache with --cache or MERGAN_DATA"), "{disk}");
    }
    let (fine, disk) = disk("new/mergan");
    assert!(fine && disk.contains("fine"), "{disk}");
}

#[test]
fn a_report_that_fails_makes_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("new/report.html");
    for flags in [&[][..], &["--watch"]] {
        let error = complaint(mergan().args(["report", "no-such-run", "--out"]).arg(&page).args(flags).assert());
        assert!(error.contains("no-such-run"), "{error}");
        assert!(!folder.path().join("new").exists());
    }
}
