//! The files that are shipped: the PTX of every module, and a manifest of the sources they were made from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::nvrtc::{self, Nvrtc, Usage};
use crate::ptx;
use crate::sources::{Module, root, sha256};

/// The files by their path in the shipped folder.
pub type Files = BTreeMap<PathBuf, String>;

const MANIFEST: &str = "manifest.toml";
const ABOUT: &str = "# Made by `cargo xtask ptx` of the .cu files, with what the kernels use: the most over the architecture of the\n\
                     # set and sm_90.\n\n";

#[derive(Serialize)]
struct Manifest {
    nvrtc: &'static str,
    flags: [&'static str; 2],
    modules: BTreeMap<String, Entry>,
}

#[derive(Serialize)]
struct Entry {
    set: &'static str,
    /// SHA-256 of the source and its headers.
    source: String,
    /// SHA-256 of the PTX.
    ptx: String,
    kernels: Vec<Kernel>,
}

#[derive(Serialize)]
struct Kernel {
    name: String,
    /// The most threads of a block.
    threads: usize,
    registers: usize,
    spills: usize,
    shared: usize,
}

/// Returns the shipped folder.
pub fn folder() -> PathBuf {
    root().join("crates/tensor/ptx")
}

/// Compiles all modules.
///
/// # Errors
/// When one does not compile, or uses more than a GPU has.
pub fn compile(modules: &[Module], nvrtc: &Nvrtc) -> Result<Files> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        while let Some(module) = modules.get(next.fetch_add(1, Ordering::Relaxed)) {
            let made = make(module, nvrtc).with_context(|| module.file());
            done.lock().expect("compiling does not panic").push((module.name.clone(), made));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut files = Files::new();
    let mut entries = BTreeMap::new();
    for (name, made) in done.into_inner().expect("compiling does not panic") {
        let (entry, ptx) = made?;
        files.insert(Path::new(entry.set).join(&name).with_extension("ptx"), ptx);
        entries.insert(name, entry);
    }
    let manifest = Manifest { nvrtc: nvrtc::VERSION, flags: nvrtc::FLAGS, modules: entries };
    files.insert(MANIFEST.into(), ABOUT.to_string() + &toml::to_string(&manifest)?);
    Ok(files)
}

fn make(module: &Module, nvrtc: &Nvrtc) -> Result<(Entry, String)> {
    let (ptx, usage) = (nvrtc.ptx(module)?, nvrtc.usage(module)?);
    let text = ptx::Text::parse(&ptx)?;
    let kernels = usage.into_iter().map(|usage| {
        let entry = text.entries.iter().find(|entry| entry.name == usage.name);
        let threads = entry.with_context(|| format!("no kernel {} in the PTX", usage.name))?.max_threads;
        let threads = threads.with_context(|| format!("{} does not say its __launch_bounds__", usage.name))?;
        check_limits(&usage, threads)?;
        let Usage { name, registers, spills, shared } = usage;
        Ok(Kernel { name, threads, registers, spills, shared })
    });
    let kernels = kernels.collect::<Result<_>>()?;
    Ok((Entry { set: module.set(), source: module.hash(), ptx: sha256(ptx.as_bytes()), kernels }, ptx))
}

/// Refuses kernels that a GPU could not launch, or that would be slow on every GPU.
fn check_limits(usage: &Usage, threads: usize) -> Result<()> {
    const REGISTERS: usize = 65_536;
    const STATIC_SHARED: usize = 48 << 10;
    let Usage { name, registers, spills, shared } = usage;
    // Registers are allocated in groups of eight.
    let all = registers.next_multiple_of(8) * threads;
    ensure!(*spills == 0, "{name} spills {spills} bytes of registers to memory");
    ensure!(all <= REGISTERS, "{name} needs {all} registers for a block of {threads} threads; there are {REGISTERS}");
    ensure!(*shared <= STATIC_SHARED, "{name} has {shared} bytes of static shared memory; there are {STATIC_SHARED}");
    Ok(())
}

/// Writes the files, and removes everything else from the folder.
///
/// # Errors
/// When a file cannot be written.
pub fn write(files: &Files, folder: &Path) -> Result<()> {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder)).with_context(|| format!("making {}", folder.display()))?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    for name in present(folder)? {
        if !files.contains_key(&name) {
            fs::remove_file(folder.join(&name)).with_context(|| format!("removing {}", name.display()))?;
        }
    }
    Ok(())
}

/// Compares the files with the contents of the folder, byte for byte.
///
/// # Errors
/// When they differ; the error names the files.
pub fn check(files: &Files, folder: &Path) -> Result<()> {
    let mut wrong = Vec::new();
    for (name, text) in files {
        match fs::read_to_string(folder.join(name)) {
            Ok(there) if there == *text => {}
            Ok(_) => wrong.push(format!("{} is not what its source compiles to", name.display())),
            Err(error) => wrong.push(format!("{}: {error}", name.display())),
        }
    }
    let extra = present(folder)?.into_iter().filter(|name| !files.contains_key(name));
    wrong.extend(extra.map(|name| format!("{} comes from no source", name.display())));
    ensure!(wrong.is_empty(), "{}\nrun `cargo xtask ptx` and check the files in", wrong.join("\n"));
    Ok(())
}

/// Lists the files in the folder, which is two levels deep.
fn present(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let inner = if path.is_dir() { fs::read_dir(&path)?.collect::<Result<Vec<_>, _>>()? } else { Vec::new() };
        let paths = if path.is_dir() { inner.iter().map(|entry| entry.path()).collect() } else { vec![path] };
        names.extend(paths.iter().filter_map(|path| path.strip_prefix(folder).ok()).map(Path::to_path_buf));
    }
    Ok(names)
}
