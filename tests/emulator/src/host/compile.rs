//! Compiles the kernels for the host with g++. Earlier results are found by the hash of all inputs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};

use crate::sources::{Module, hash};

const SHIM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/host/shim");
const HEADERS: [&str; 2] = [include_str!("shim/cuda.h"), include_str!("shim/tensor_core.h")];
const HOOKS: &str = include_str!("shim/hooks.cpp");

/// The flags of every build. They give CUDA's aliasing rules, no fused multiply-add except where the source requests
/// it, and line numbers for the findings.
const FLAGS: [&str; 8] =
    ["-std=c++17", "-g", "-w", "-fPIC", "-fno-gnu-unique", "-fno-strict-aliasing", "-ffp-contract=off", "-mfma"];

/// The variants in which the kernels are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// The fast build, without checks.
    Fast,
    /// The checked build, which calls the runtime before every access to memory.
    Checked,
}

impl Build {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Build::Fast => &["-O2"],
            Build::Checked => &[
                "-O2",
                "-DEMU_CHECKED",
                "-fsanitize=thread",
                "-fsanitize=bounds,alignment,shift,signed-integer-overflow,integer-divide-by-zero",
            ],
        }
    }
}

/// Compiles modules into one shared library inside `cache`, and returns its path.
///
/// # Errors
/// When g++ is missing or rejects a module; the error contains its output.
pub fn compile(modules: &[Module], build: Build, cache: &Path) -> Result<PathBuf> {
    let version = Command::new("g++").arg("-dumpfullversion").output().context("starting g++; install it")?;
    let common = [&version.stdout[..], HEADERS[0].as_bytes(), HEADERS[1].as_bytes(), HOOKS.as_bytes()];
    // The hooks belong to the runtime and are the same in every build.
    let hooks =
        Unit { hash: hash(common), arguments: vec!["-O2".into(), format!("{SHIM}/hooks.cpp")], files: Vec::new() };
    let units = modules.iter().map(|module| {
        let unit = unit(module);
        let own = [build.flags().join(" "), module.name.clone(), unit.clone()];
        let all = common.into_iter().chain(own.iter().map(String::as_bytes));
        let mut arguments: Vec<String> = build.flags().iter().map(|&flag| flag.into()).collect();
        arguments.extend(["-include".into(), format!("{SHIM}/cuda.h")]);
        arguments.extend([format!("-DEMU_MODULE={}", module.name), "-xc++".into(), module.file()]);
        let files = vec![(module.file(), unit)];
        Unit { hash: hash(all), arguments, files }
    });
    let units: Vec<Unit> = units.chain([hooks]).collect();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    for share in units.chunks(threads) {
        thread::scope(|scope| {
            let started: Vec<_> = share.iter().map(|unit| scope.spawn(|| unit.object(cache))).collect();
            started.into_iter().try_for_each(|unit| unit.join().expect("compiling does not panic"))
        })?;
    }
    let objects = units.iter().map(|unit| cache.join(&unit.hash).join("unit.o"));
    let library = cache.join(hash(units.iter().map(|unit| unit.hash.as_bytes()))).with_extension("so");
    once(&library, |partial| {
        let mut link = Command::new("g++");
        link.args(["-shared", "-Wl,-Bsymbolic", "-Wl,-z,defs"]).args(objects).arg("-o").arg(partial);
        run(&mut link)
    })?;
    Ok(library)
}

/// Returns the module and its headers in a namespace of their own, and for each kernel the symbol that the runtime
/// looks up.
fn unit(module: &Module) -> String {
    let exports: String = module.kernels().iter().map(|kernel| format!("EMU_EXPORT({kernel})\n")).collect();
    let texts = module.headers.iter().map(|header| (header.name.clone(), &header.text));
    let texts = texts.chain([(module.file(), &module.source)]);
    let texts: String = texts.map(|(name, text)| format!("#line 1 \"{name}\"\n{text}\n")).collect();
    format!("namespace {} {{\n{texts}{exports}}}\n", module.name)
}

/// One invocation of g++.
struct Unit {
    hash: String,
    arguments: Vec<String>,
    files: Vec<(String, String)>,
}

impl Unit {
    fn object(&self, cache: &Path) -> Result<()> {
        let folder = cache.join(&self.hash);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        once(&folder.join("unit.o"), |partial| {
            for (name, text) in &self.files {
                fs::write(folder.join(name), text).with_context(|| format!("writing {name}"))?;
            }
            let mut compiler = Command::new("g++");
            compiler.current_dir(&folder).args(FLAGS).args(&self.arguments).arg("-c").arg("-o").arg(partial);
            run(&mut compiler)
        })
    }
}

/// Makes a file under another name and renames it, unless it already exists. If several processes call this, one
/// makes the file and the others wait.
fn once(file: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let lock = File::create(file.with_extension("lock")).with_context(|| format!("making {}", file.display()))?;
    lock.lock().context("waiting for another process to compile")?;
    if !file.exists() {
        let partial = file.with_extension("partial");
        make(&partial)?;
        fs::rename(&partial, file).with_context(|| format!("making {}", file.display()))?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?} says\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
