//! Tests faults: a run that is killed at random moments, or finds the disk full or read-only, continues to exactly
//! the bits of an uninterrupted one, or says clearly why it does not.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::interruption::{checkpoints, copy};
use crate::{cache, finished_run, generators, mergan, new_run};

/// The number of times that runs are killed in the test; `MERGAN_KILLS` sets more.
const KILLS: usize = 6;
/// The longest life of a process before it is killed, in milliseconds; `MERGAN_LIFE` sets more for slow machines.
const LIFE: u64 = 600;

/// Random numbers that are the same in every test run. The moments of the kills vary anyway.
struct Moments(u64);

impl Moments {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is {value}")))
}

fn options(iterations: &str) -> [String; 6] {
    let of = |name| format!("training.{name}={iterations}");
    ["--set".into(), of("first_iterations"), "--set".into(), of("iterations"), "--checkpoint-every".into(), "2".into()]
}

/// Returns everything that a run leaves for users, as bytes.
fn results(run: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![run.join("tasks"), run.join("frames")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push((path.strip_prefix(run).unwrap().into(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Starts or resumes the run.
fn spawn(run: &Path, options: &[String]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mergan"));
    if run.join("config.toml").exists() {
        command.args(["train", "--resume"]).arg(run).args(&options[4..]);
    } else {
        command.args(new_run("ra", run)).args(options);
    }
    command.env("MERGAN_DATA", cache()).stderr(Stdio::piped()).spawn().unwrap()
}

#[cfg(unix)]
#[test]
fn runs_killed_again_and_again_lose_nothing() {
    use std::os::unix::process::ExitStatusExt;
    let kills = setting("MERGAN_KILLS", KILLS as u64) as usize;
    let life = setting("MERGAN_LIFE", LIFE);
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let options = options("20");
    mergan().args(new_run("ra", &whole)).args(&options).assert().success();

    let (mut moments, mut struck, mut finished) = (Moments(1), [0; 3], 0);
    let run = |finished: usize| folder.path().join(format!("run{finished}"));
    while struck.iter().sum::<usize>() < kills {
        let mut child = spawn(&run(finished), &options);
        sleep(Duration::from_millis(moments.below(life)));
        let which = moments.below(3) as usize;
        let signal = ["KILL", "TERM", "INT"][which];
        // A process that has already ended cannot be killed.
        let sent = child.try_wait().unwrap().is_none()
            && Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success();
        let status = child.wait().unwrap();
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        let stopped = sent && (matches!(status.code(), Some(130 | 143)) || status.signal().is_some());
        let clean = (status.success() || stopped) && !text.contains("panicked");
        assert!(clean, "run {finished} after {struck:?} kills: {status}\n{text}");
        if stopped {
            struck[which] += 1;
        } else {
            // This run has finished, so the next kill strikes another run.
            assert_same(&run(finished), &whole);
            finished += 1;
        }
    }
    let last = spawn(&run(finished), &options).wait_with_output().unwrap();
    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
    assert_same(&run(finished), &whole);
    let [killed, terminated, interrupted] = struck;
    println!(
        "KILL {killed}, TERM {terminated}, INT {interrupted}; runs that came to their end: {}, none lost",
        finished + 1
    );
}

/// Asserts that two runs left the same files, byte by byte.
fn assert_same(run: &Path, whole: &Path) {
    let (found, expected) = (results(run), results(whole));
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));
    let differing: Vec<_> = found.iter().zip(&expected).filter(|(a, b)| a != b).map(|((path, _), _)| path).collect();
    assert!(differing.is_empty(), "{differing:?}");
    assert_eq!(checkpoints(run).len(), 2);
}

/// Runs a shell script in a mount namespace of its own, where it may mount; returns `None` if the system does not
/// permit it.
#[cfg(target_os = "linux")]
fn with_mounts(script: &str, folder: &Path) -> Option<Output> {
    let shell = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", script]).current_dir(folder);
        command.env("MERGAN", env!("CARGO_BIN_EXE_mergan")).env("MERGAN_DATA", cache()).output()
    };
    let permitted = shell("mount -t tmpfs tmpfs .").is_ok_and(|output| output.status.success());
    if !permitted {
        println!("mounting is not permitted here; a limit on the size of files stands in");
        return None;
    }
    Some(shell(script).unwrap())
}

/// Returns the arguments of a new run as words of a shell.
fn words(run: &str) -> String {
    new_run("ra", Path::new(run)).join(" ")
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_a_run_with_a_clear_error_and_room_lets_it_go_on() {
    for size in ["48k", "200k"] {
        let folder = tempfile::tempdir().unwrap();
        let new = words("disk/run");
        // The files are copied out of the namespace before it ends.
        let script = format!(
            "mkdir disk && mount -t tmpfs -o size={size} tmpfs disk && \"$MERGAN\" {new}; echo \"exit $?\" >&2; \
             mount -o remount,size=64m disk; if [ -e disk/run/config.toml ]; then set -- train --resume disk/run; \
             else set -- {new}; fi; \"$MERGAN\" \"$@\" && cp -r disk/run out"
        );
        let Some(output) = with_mounts(&script, folder.path()) else { return limited() };
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("exit 1\n") && text.contains("No space left on device"), "{size}: {text}");
        assert!(output.status.success() && !text.contains("panicked"), "{size}: {text}");
        assert!(results(&folder.path().join("out")) == results(finished_run()), "{size}");
    }
    limited();
}

/// A limit on the file size makes a write fail half-way, as a full disk does.
#[cfg(target_os = "linux")]
fn limited() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("trap '' XFSZ; ulimit -f 16; exec \"$MERGAN\" {}", words("run"));
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("MERGAN", env!("CARGO_BIN_EXE_mergan"))
        .env("MERGAN_DATA", cache())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("File too large") && text.contains("checkpoint"), "{text}");
    let run = folder.path().join("run");
    assert!(checkpoints(&run).is_empty() && !run.join("config.toml").exists(), "nothing half-written has a final name");
    mergan().args(new_run("ra", &run)).assert().success();
    assert!(generators(&run) == generators(finished_run()));
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_run_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy(finished_run(), &run);
    fs::remove_dir_all(run.join("tasks/03")).unwrap();
    let before = results(&run);
    let script = "mount --bind run run && mount -o remount,bind,ro run && \"$MERGAN\" train --resume run";
    if let Some(output) = with_mounts(script, folder.path()) {
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("Read-only file system") && text.contains("run/"), "{text}");
        assert!(results(&run) == before);
    }
    mergan().args(["train", "--resume"]).arg(&run).assert().success();
    assert!(generators(&run) == generators(finished_run()));
}
