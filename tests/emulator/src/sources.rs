//! The kernels' sources. Every `.cu` file is a module; the prelude and the `.cuh` files of its folder precede it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// The file that precedes every `.cu` file of the project.
const PRELUDE: &str = "crates/tensor/src/cuda/prelude.cuh";

/// A text with the name that compilers see.
#[derive(Clone, Debug)]
pub struct Header {
    /// The file's name.
    pub name: String,
    /// The content.
    pub text: String,
}

/// A `.cu` file with its headers.
#[derive(Clone, Debug)]
pub struct Module {
    /// The file's name without its ending.
    pub name: String,
    /// The headers that precede it, in order.
    pub headers: Vec<Header>,
    /// The text of the file.
    pub source: String,
}

impl Module {
    /// Returns the virtual architecture that it is compiled for; file names mark the modules for tensor cores.
    pub fn set(&self) -> &'static str {
        if self.name.ends_with("_tf32") { "compute_80" } else { "compute_70" }
    }

    /// Returns the names of its kernels in the order of the file: everything declared `extern "C" __global__ void`.
    pub fn kernels(&self) -> Vec<&str> {
        let declared = self.source.split("extern \"C\" __global__ void").skip(1);
        declared
            .filter_map(|rest| {
                let rest = rest.trim_start();
                let rest = match rest.strip_prefix("__launch_bounds__") {
                    Some(bounds) => bounds.split_once(')')?.1.trim_start(),
                    None => rest,
                };
                rest.split_once('(').map(|(name, _)| name.trim())
            })
            .collect()
    }

    /// Returns the SHA-256 of everything that determines what the kernels compute, in hexadecimal.
    pub fn hash(&self) -> String {
        let texts = self.headers.iter().map(|header| &header.text).chain([&self.source]);
        hash(texts.map(String::as_bytes))
    }

    /// Returns the file's name.
    pub fn file(&self) -> String {
        format!("{}.cu", self.name)
    }

    /// Returns the module with `from` replaced by `to`, in the file or in its headers.
    ///
    /// # Errors
    /// When `from` does not occur exactly once.
    pub fn patched(&self, from: &str, to: &str) -> Result<Module> {
        let mut patched = self.clone();
        let texts = patched.headers.iter_mut().map(|header| &mut header.text).chain([&mut patched.source]);
        let mut places = 0;
        for text in texts {
            places += text.matches(from).count();
            *text = text.replace(from, to);
        }
        ensure!(places == 1, "{} has {places} places like `{from}`, not one", self.file());
        Ok(patched)
    }
}

/// Returns the SHA-256 of texts, each preceded by its length, in hexadecimal.
pub fn hash<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    hexadecimal(&hash.finalize())
}

/// Returns the SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the root of the workspace. `MERGAN_ROOT` overrides it, for a machine that has only a part of the
/// workspace.
pub fn root() -> PathBuf {
    env::var_os("MERGAN_ROOT").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), PathBuf::from)
}

/// Returns all modules of the project, ordered by name.
///
/// # Errors
/// When a file cannot be read.
pub fn modules() -> Result<Vec<Module>> {
    let mut files = Vec::new();
    find(&root().join("crates/tensor/src"), "cu", &mut files)?;
    let mut modules = files.iter().map(|file| load(file)).collect::<Result<Vec<_>>>()?;
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(modules)
}

/// Loads a `.cu` file with its headers.
///
/// # Errors
/// When a file cannot be read.
pub fn load(file: &Path) -> Result<Module> {
    let mut headers = Vec::new();
    find(file.parent().unwrap_or(file), "cuh", &mut headers)?;
    headers.sort();
    let prelude = root().join(PRELUDE);
    headers.retain(|header| *header != prelude);
    let headers = [prelude].into_iter().chain(headers).map(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Header { name, text: read(&path)? })
    });
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Module { name, headers: headers.collect::<Result<_>>()?, source: read(file)? })
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

/// Adds the files with this ending in a folder and its subfolders.
fn find(folder: &Path, ending: &str, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, ending, files)?;
        } else if path.extension().is_some_and(|extension| extension == ending) {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_found_with_and_without_bounds() {
        let source = "extern \"C\" __global__ void plain(int n) {}\n__device__ void helper() {}\n\
                      extern \"C\" __global__ void __launch_bounds__(256)\nbounded(float* x) {}";
        let module = Module { name: "two_tf32".into(), headers: Vec::new(), source: source.into() };
        assert_eq!(module.kernels(), ["plain", "bounded"]);
        assert_eq!(module.set(), "compute_80");
        let patched = module.patched("int n", "long n").unwrap();
        assert_ne!(patched.hash(), module.hash());
        assert!(module.patched("void", "int").is_err());
    }
}
