//! `cargo xtask gpu`: the checks that need a GPU, run here or packed for a machine that has little besides one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::cargo::{cargo, commit, data_cache, must, root, target_directory};

/// The arguments of `cargo xtask gpu`.
#[derive(Args)]
pub struct Arguments {
    /// Run nothing, but make an archive whose `run.sh` does so on a machine without cargo and without a network.
    #[arg(long, value_name = "FILE.tar.gz")]
    pack: Option<PathBuf>,
}

/// The script that runs the bundle.
const SCRIPT: &str = include_str!("run.sh");

/// The largest size of the archive in bytes, so that it can be sent around.
const LARGEST: u64 = 60 << 20;

/// The exit code of `run.sh` while it is not done.
const NEXT_SLICE: i32 = 75;

/// Packs the bundle, or runs it and keeps the result.
pub fn run(arguments: &Arguments) -> Result<()> {
    let folder = target_directory()?.join("gpu");
    assemble(&folder)?;
    match &arguments.pack {
        Some(archive) => pack(&folder, archive),
        None => run_here(&folder),
    }
}

/// Assembles the test of the kernels, the command, the benchmarks and their peers, the kernels' source, MNIST and the
/// classifier that scores it. What an interrupted run of the same commit has done stays.
fn assemble(folder: &Path) -> Result<()> {
    let commit = commit().unwrap_or_else(|| "unknown".into());
    let same = fs::read_to_string(folder.join("commit")).is_ok_and(|before| before == commit);
    let parts = ["bin", "peers", "source", "data"].map(|part| folder.join(part));
    let old = if same { parts.to_vec() } else { vec![folder.to_path_buf()] };
    for old in old.iter().filter(|old| old.exists()) {
        fs::remove_dir_all(old).with_context(|| format!("removing {}", old.display()))?;
    }
    for (package, target, name) in [
        ("mergan-emulator", ["--test", "it"], "kernels-test"),
        ("mergan-cli", ["--bin", "mergan"], "mergan"),
        ("mergan-benches", ["--bin", "gpu-step"], "gpu-step"),
        ("mergan-benches", ["--bin", "gpu-kernels"], "gpu-kernels"),
    ] {
        let program = build(package, target)?;
        let packed = folder.join("bin").join(name);
        copy(&program, &packed)?;
        must(Command::new("strip").arg(&packed))?;
    }
    for peer in ["torch_gpu_step.py", "torch_step.py", "server.py"] {
        copy(&root().join("benches/peers").join(peer), &folder.join("peers").join(peer))?;
    }
    copy_all(&root().join("crates/tensor/src"), &folder.join("source/crates/tensor/src"), &["cu", "cuh"])?;
    add_data(folder)?;
    fs::write(folder.join("commit"), commit).context("writing the commit")?;
    let script = folder.join("run.sh");
    fs::write(&script, SCRIPT).and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))?;
    Ok(())
}

/// Adds MNIST, fetched if it is not here, and the classifier that scores it, trained if it is not here.
fn add_data(folder: &Path) -> Result<()> {
    let (mergan, run, cache) = (folder.join("bin/mergan"), tempfile::tempdir()?, data_cache());
    let mut train = Command::new(mergan);
    train.args([
        "train",
        "--dataset",
        "mnist",
        "--strategy",
        "sft",
        "--preset",
        "smoke",
        "--tasks",
        "1",
        "--device",
        "cpu",
    ]);
    must(train.arg("--cache").arg(&cache).arg("--run").arg(run.path().join("run")))
        .context("MNIST cannot be prepared")?;
    copy_all(&cache.join("mnist"), &folder.join("data/mnist"), &[])?;
    let scorers = fs::read_dir(cache.join("scorers"))?.collect::<std::io::Result<Vec<_>>>()?;
    for scorer in scorers.iter().filter(|scorer| scorer.file_name().to_string_lossy().starts_with("mnist-")) {
        copy(&scorer.path(), &folder.join("data/scorers").join(scorer.file_name()))?;
    }
    Ok(())
}

/// Builds a program in release and returns its path.
fn build(package: &str, target: [&str; 2]) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(if target[0] == "--test" { &["test", "--no-run"][..] } else { &["build"] }).arg("--release");
    build.args(["--message-format", "json-render-diagnostics", "--package", package]).args(target);
    let output = build.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("running cargo")?;
    ensure!(output.status.success(), "{package} does not build");
    let messages = String::from_utf8(output.stdout).context("reading cargo's messages")?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let made = messages.filter(|message| message["target"]["name"] == target[1]);
    let program = made.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    program.with_context(|| format!("cargo names no program of {package}"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Copies the files of a folder and its subfolders, either all of them or those with one of these endings.
fn copy_all(from: &Path, to: &Path, endings: &[&str]) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let path = entry?.path();
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let inside = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_all(&path, &inside, endings)?;
        } else if endings.is_empty() || endings.contains(&ending.as_str()) {
            copy(&path, &inside)?;
        }
    }
    Ok(())
}

fn pack(folder: &Path, archive: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(archive).arg("--transform=s,^\\.,mergan-gpu,").arg("-C").arg(folder).arg(".");
    must(&mut tar)?;
    let bytes = fs::metadata(archive)?.len();
    ensure!(bytes < LARGEST, "{} has {bytes} bytes; at most {LARGEST} may be sent", archive.display());
    println!(
        "{archive} ({:.1} MiB). On the machine with the GPU:\n\n    tar -xzf {name} -C /tmp && /tmp/mergan-gpu/run.sh OUT\n\nWhile that \
         exits with {NEXT_SLICE}, run it again. If the machine has changed meanwhile, put what OUT held into /tmp/mergan-gpu/earlier \
         first. In the end OUT/result.md goes into benches/results as DATE-gpu-DEVICE.md.",
        bytes as f64 / f64::from(1 << 20),
        name = archive.file_name().unwrap_or_default().to_string_lossy(),
        archive = archive.display(),
    );
    Ok(())
}

fn run_here(folder: &Path) -> Result<()> {
    loop {
        let status = Command::new(folder.join("run.sh")).status().context("starting run.sh")?;
        match status.code() {
            Some(NEXT_SLICE) => {}
            Some(3) => bail!("this machine has no GPU; `--pack FILE.tar.gz` makes a bundle for one that has"),
            Some(0 | 1) => {
                let result = root().join("benches/results").join(format!("{}-gpu.md", today()?));
                copy(&folder.join("out/result.md"), &result)?;
                ensure!(status.success(), "a step failed; {} says which", result.display());
                println!("{}", result.display());
                return Ok(());
            }
            _ => bail!("run.sh ended with {status}"),
        }
    }
}

/// Returns the current date in UTC.
fn today() -> Result<String> {
    let output = Command::new("date").args(["-u", "+%F"]).output().context("starting date")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a bundle of programs that print that they ran, and end as told.
    fn bundle(test: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let program = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        program("bin/kernels-test", test);
        program("bin/gpu-step", "echo \"width $1: 1 ms\"");
        program("bin/gpu-kernels", "echo \"width $1: 1 us\"");
        // A training leaves an older and a newer checkpoint.
        program(
            "bin/mergan",
            "[ \"$2\" = --resume ] && exit; while [ $# -gt 1 ]; do shift; [ \"$1\" = --run ] && run=$2; done; mkdir -p \
             $run/checkpoint; touch -d yesterday $run/checkpoint/old; touch $run/checkpoint/new",
        );
        program("path/nvidia-smi", "echo 'Some GPU, 580.0'");
        program("path/python3", "exit 1");
        fs::write(folder.path().join("commit"), "abc1234").unwrap();
        fs::write(folder.path().join("run.sh"), SCRIPT).unwrap();
        folder
    }

    /// Runs a slice that ends after 100 seconds, of which so many have passed, and returns its exit code and what it said.
    fn slice(folder: &Path, path: &Path, passed: u32) -> (Option<i32>, String) {
        let mut run = Command::new("bash");
        // bash counts SECONDS on from the value that it finds.
        run.arg(folder.join("run.sh")).env("SLICE_SECONDS", "100").env("SECONDS", passed.to_string()).env_remove("OUT");
        let output = run.env("PATH", format!("{}:/usr/bin:/bin", path.display())).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    /// Makes one of the programs end as if it were cut off.
    fn cut_off(folder: &Path) {
        fs::write(folder.join("bin/gpu-step"), "#!/bin/sh\nexit 124\n").unwrap();
    }

    /// Returns the names of the steps that the programs of a bundle noted, and what its result says.
    fn done(folder: &Path) -> (Vec<String>, String) {
        let ran = fs::read_to_string(folder.join("ran")).unwrap_or_default();
        let result = fs::read_to_string(folder.join("out/result.md")).unwrap();
        (ran.lines().map(String::from).collect(), result)
    }

    #[test]
    fn without_a_gpu_nothing_runs() {
        let folder = bundle("echo 'test result: ok. 1 passed'");
        let (code, said) = slice(folder.path(), Path::new("/nowhere"), 0);
        if !Path::new("/usr/bin/nvidia-smi").exists() {
            assert_eq!((code, said.contains("NOT RUN: there is no GPU")), (Some(3), true), "{said}");
            assert!(!folder.path().join("out/result.md").exists());
        }
    }

    const TEST: &str =
        "echo \"$4\" >> ran; echo 'add_f32\tT3 GPU\thash' >> \"$MERGAN_LEDGER\"; echo 'test result: ok. 1 passed'";

    #[test]
    fn a_run_goes_on_on_a_new_machine_where_the_last_slice_ended() {
        let first = bundle(TEST);
        cut_off(first.path());
        let (code, said) = slice(first.path(), &first.path().join("path"), 40);
        assert_eq!((code, said.contains("first-use goes on in the next slice")), (Some(NEXT_SLICE), true), "{said}");
        let (ran, result) = done(first.path());
        assert_eq!(ran, ["gpu::ten_iterations"]);
        assert!(result.contains("Not finished: first-use") && result.contains("## smoke: passed"), "{result}");

        let second = bundle(TEST);
        copy_all(&first.path().join("out"), &second.path().join("earlier"), &[]).unwrap();
        let (code, said) = slice(second.path(), &second.path().join("path"), 0);
        assert_eq!(code, Some(0), "{said}");
        let (ran, result) = done(second.path());
        assert!(
            ran.contains(&"gpu::every_operation".into()) && !ran.contains(&"gpu::ten_iterations".into()),
            "{ran:?}"
        );
        for expected in [
            "Some GPU, 580.0, commit abc1234",
            "## smoke: passed",
            "width 64: 1 us",
            "NOT RUN: what is measured beside PyTorch",
            "## train-jtr: passed",
            "add_f32\tT3 GPU\thash",
        ] {
            assert!(result.contains(expected), "{expected} in {result}");
        }

        let mut list = Command::new("bash");
        list.arg("-c").arg("cat state.tar.gz.* | tar -tzf -").current_dir(second.path().join("out"));
        let names = String::from_utf8(list.output().unwrap().stdout).unwrap();
        assert!(names.contains("state/run-ra/checkpoint/new") && !names.contains("checkpoint/old"), "{names}");
    }

    #[test]
    fn a_step_for_which_a_whole_slice_is_too_short_fails() {
        let folder = bundle(TEST);
        cut_off(folder.path());
        let (code, said) = slice(folder.path(), &folder.path().join("path"), 0);
        assert_eq!(code, Some(1), "{said}");
        assert!(done(folder.path()).1.contains("## first-use: FAILED (124)"), "{said}");
    }

    #[test]
    fn near_its_end_a_slice_starts_nothing() {
        let folder = bundle(TEST);
        let (code, said) = slice(folder.path(), &folder.path().join("path"), 80);
        assert_eq!((code, said.contains("smoke goes on in the next slice")), (Some(NEXT_SLICE), true), "{said}");
        assert!(done(folder.path()).0.is_empty());
    }

    #[test]
    fn a_step_that_fails_fails_the_run_and_is_named() {
        let folder = bundle("echo 'test result: ok. 1 passed'; case \"$4\" in *ra) exit 5;; esac");
        let (code, said) = slice(folder.path(), &folder.path().join("path"), 0);
        assert_eq!(code, Some(1), "{said}");
        let (_, result) = done(folder.path());
        assert!(
            result.contains("## beside-the-cpu-ra: FAILED (5)") && result.contains("## operations: passed"),
            "{result}"
        );
    }
}
