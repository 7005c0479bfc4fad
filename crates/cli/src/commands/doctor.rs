//! `mergan doctor`: shows what this machine has for training, and whether it is intact.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use mergan_datasets::{ImageOptions, Manifest, names};
use mergan_tensor::cuda::{self, Precision};
use serde::Serialize;

use crate::args::DoctorArguments;
use crate::console::Console;
use crate::data::size;
use crate::exit::ExitCode;
use mergan_runs::Scorer;

/// The result of one check.
#[derive(Serialize)]
struct Finding {
    name: String,
    state: State,
    detail: String,
}

/// The state found by a check.
#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// The thing is present and intact.
    Fine,
    /// The thing is missing, but is obtained automatically or not needed.
    Absent,
    /// The user has to act.
    Fault,
}

/// The free bytes of disk below which a run is unlikely to finish.
const FREE: u64 = 200_000_000;

/// Runs `mergan doctor`. The exit code says whether the user has to act.
pub fn run(arguments: &DoctorArguments, console: &Console) -> Result<ExitCode> {
    let cache = arguments.data.cache();
    let mut findings = vec![processor(), gpu(), disk(&cache)];
    for name in names() {
        let manifest = arguments.data.info(name, &ImageOptions::default(), console)?;
        findings.push(dataset(&manifest, arguments));
        findings.extend(scorers(&manifest, &cache));
    }
    if arguments.json {
        console.print(serde_json::to_string_pretty(&findings).expect("findings are text"))?;
    } else {
        for Finding { name, state, detail } in &findings {
            let state = match state {
                State::Fine => "fine",
                State::Absent => "absent",
                State::Fault => "FAULT",
            };
            console.print(format!("{name:<24} {state:<8} {detail}"))?;
        }
    }
    let faults = findings.iter().any(|finding| finding.state == State::Fault);
    Ok(if faults { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Finding {
    fn new(name: impl Into<String>, state: State, detail: impl Into<String>) -> Self {
        Finding { name: name.into(), state, detail: detail.into() }
    }
}

fn processor() -> Finding {
    let chosen = mergan_tensor::microkernel();
    let detail = format!(
        "{}; instructions {}; microkernel {chosen}, threads {}",
        std::env::consts::ARCH,
        instructions().join(" "),
        rayon::current_num_threads()
    );
    Finding::new("processor", State::Fine, detail)
}

/// Returns the vector instructions for which there are kernels.
fn instructions() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let known = [
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let known = [];
    let here: Vec<_> = known.into_iter().filter(|(_, here)| *here).map(|(name, _)| name).collect();
    if here.is_empty() { vec!["portable"] } else { here }
}

/// Checks the GPU that a training would use.
fn gpu() -> Finding {
    match cuda::open(0, Precision::F32) {
        Ok(device) => Finding::new("gpu", State::Fine, device.to_string()),
        Err(reason) => Finding::new("gpu", State::Absent, format!("{reason}; the processor does the work")),
    }
}

fn disk(cache: &Path) -> Finding {
    let cache = std::path::absolute(cache).unwrap_or_else(|_| cache.into());
    // Where the cache would be made. If a file is in its place, nothing can be written there.
    let folder = cache.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    // Free space is of no use on a disk that cannot be written to.
    match tempfile::tempfile_in(folder).and_then(|mut file| file.write_all(b"doctor")).and_then(|()| free_bytes(folder))
    {
        Ok(free) => {
            let state = if free < FREE { State::Fault } else { State::Fine };
            Finding::new("disk", state, format!("{} free where the cache is, {}", size(free), cache.display()))
        }
        Err(error) => {
            let remedy = "nothing can be kept there; choose another cache with --cache or MERGAN_DATA";
            Finding::new("disk", State::Fault, format!("{}: {error}; {remedy}", folder.display()))
        }
    }
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail * found.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> std::io::Result<u64> {
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "free space is not known on this system"))
}

/// Reads every file of a dataset and compares its checksum.
fn dataset(manifest: &Manifest, arguments: &DoctorArguments) -> Finding {
    let name = format!("data {}", manifest.name);
    if !manifest.by_hand.is_empty() {
        let (state, detail) = match manifest.is_cached(&arguments.data.cache()) {
            true => (State::Fine, "placed by hand".into()),
            false => (State::Absent, format!("placed by hand: `mergan data fetch {}` says how", manifest.name)),
        };
        return Finding::new(name, state, detail);
    }
    if manifest.files.is_empty() {
        return Finding::new(name, State::Fine, "drawn in code");
    }
    let cache = arguments.data.cache();
    if !manifest.is_cached(&cache) {
        let remedy = format!("`mergan data fetch {}` brings {}", manifest.name, size(manifest.size()));
        return Finding::new(name, State::Absent, remedy);
    }
    match arguments.data.verify(manifest) {
        Ok(()) => {
            let files = manifest.files.len();
            Finding::new(name, State::Fine, format!("{files} files, {}: checksums hold", size(manifest.size())))
        }
        Err(error) => Finding::new(name, State::Fault, format!("{error:#}").replace('\n', " ")),
    }
}

/// Checks the classifiers that score a dataset's images; there is one for each version of its data.
fn scorers(manifest: &Manifest, cache: &Path) -> Vec<Finding> {
    let name = format!("scorer {}", manifest.name);
    let is_its = |path: &PathBuf| {
        let file = path.file_name().and_then(|file| file.to_str());
        file.is_some_and(|file| file.starts_with(&format!("{}-", manifest.name)))
    };
    let finding = |path: PathBuf| match Scorer::open(&path, manifest.shape) {
        Ok(scorer) => {
            let detail = match scorer.test_accuracy() {
                Some(share) => format!("recognises {:.2} % of test images", 100.0 * share),
                None => "not tested".into(),
            };
            let detail = format!("SHA-256 {}, {detail}", scorer.sha256());
            Finding::new(&name, State::Fine, detail)
        }
        Err(error) => Finding::new(&name, State::Fault, error.to_string()),
    };
    let findings: Vec<_> = Scorer::files(cache).into_iter().filter(is_its).map(finding).collect();
    if findings.is_empty() {
        return vec![Finding::new(name, State::Absent, "it is trained before the first run is scored")];
    }
    findings
}
