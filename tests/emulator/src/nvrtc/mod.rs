//! Tier T0: NVRTC, NVIDIA's compiler, which needs neither a driver nor a GPU.
//!
//! Its output is the same from run to run, so a fresh compile can be compared with the files that are checked in.

mod fetch;
mod library;
mod log;

use std::path::Path;

use anyhow::{Context, Result, ensure};

pub use self::fetch::VERSION;
use self::library::Library;
pub use self::log::Usage;
use crate::sources::Module;

/// The flags for every module: the same language version as on the host's tier, and line numbers for debugging.
pub const FLAGS: [&str; 2] = ["--std=c++17", "--generate-line-info"];

/// The version of PTX that is shipped. NVRTC emits a newer one, but the instructions are older, and a driver refuses
/// a version that it does not know. This one came with CUDA 11.0. It is the first with `cp.async`, TF32 and the lines
/// of inlined functions.
const PTX_VERSION: &str = "7.0";

/// The architecture whose machine code is examined in addition to that of the module's own.
const NEWEST: &str = "sm_90";

/// NVRTC as a loaded library.
pub struct Nvrtc {
    library: Library,
}

impl Nvrtc {
    /// Loads NVRTC from `cache`; fetches it from PyPI if it is missing.
    ///
    /// # Errors
    /// When it can be neither found nor fetched, or is not as expected.
    pub fn open(cache: &Path) -> Result<Nvrtc> {
        let folder = fetch::fetch(cache)?;
        Ok(Nvrtc { library: Library::load(&folder)? })
    }

    /// Compiles a module to the PTX that is shipped.
    ///
    /// # Errors
    /// When it does not compile; the error contains the compiler's output.
    pub fn ptx(&self, module: &Module) -> Result<String> {
        Ok(lowered(&self.run(module, module.set(), &[])?.ptx))
    }

    /// Returns the resources that the module's kernels use, found by compiling it to machine code: for each the
    /// larger amount of the module's own architecture and `sm_90`.
    ///
    /// # Errors
    /// When it does not compile; the error contains the compiler's output.
    pub fn usage(&self, module: &Module) -> Result<Vec<Usage>> {
        let usage = |architecture: &str| {
            let output = self.run(module, architecture, &["--ptxas-options=-v"])?;
            log::usages(&output.log, module).with_context(|| format!("what ptxas says of {}", module.file()))
        };
        let (own, newest) = (usage(&module.set().replace("compute", "sm"))?, usage(NEWEST)?);
        Ok(own.into_iter().zip(newest).map(|(own, newest)| own.max(newest)).collect())
    }

    fn run(&self, module: &Module, architecture: &str, more: &[&str]) -> Result<library::Output> {
        // The compiler is given names without folders, so that the output is the same on every machine.
        let file = module.file();
        let headers = module.headers.iter().map(|header| (header.name.as_str(), header.text.as_str()));
        let headers: Vec<(&str, &str)> = headers.chain([(file.as_str(), module.source.as_str())]).collect();
        let source: String = headers.iter().map(|(name, _)| format!("#include \"{name}\"\n")).collect();
        let mut options = vec![format!("--gpu-architecture={architecture}")];
        options.extend(FLAGS.iter().chain(more).map(|&flag| flag.to_string()));
        let output = self.library.compile(&module.name, &source, &headers, &options)?;
        ensure!(output.compiled, "{file} does not compile for {architecture}:\n{}", output.log);
        Ok(output)
    }
}

/// Returns the same PTX with an older version number, without the comments that name the compiler's build, and
/// without the folder in which it believes the files to lie.
fn lowered(ptx: &str) -> String {
    let lines = ptx.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [".version", _] => format!(".version {PTX_VERSION}"),
            [".file", number, path] => {
                format!(".file {number} \"{}", path.rsplit(['/', '"']).find(|part| !part.is_empty()).unwrap_or(path))
                    + "\""
            }
            _ => line.trim_end().to_string(),
        }
    });
    lines
        .skip_while(|line| line.is_empty() || line.starts_with("//"))
        .fold(String::new(), |text, line| text + &line + "\n")
}

#[cfg(test)]
mod tests {
    use super::lowered;

    #[test]
    fn what_ships_is_the_same_everywhere() {
        let ptx =
            "//\n// Compiler Build ID: 7\n//\n\n.version 9.0\n.target sm_75 \n\t.file\t1 \"/some/where/add.cu\"\n";
        assert_eq!(lowered(ptx), ".version 7.0\n.target sm_75\n.file 1 \"add.cu\"\n");
    }
}
