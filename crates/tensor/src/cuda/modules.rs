//! The embedded kernels: PTX, which NVIDIA's driver compiles for the GPU that it finds.
//!
//! `cargo xtask ptx` compiles every `.cu` file, with the prelude and the `.cuh` files of its folder before it, to
//! `ptx/<set>/<module>.ptx`. A module is in the set `compute_80` if its name ends in `_tf32`, otherwise in
//! `compute_70`. Kernel names are unique across all modules. The build script finds these files and embeds them
//! compressed with DEFLATE, at a seventh of their size.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

/// The PTX of one `.cu` file.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// The file's name without its extension.
    pub name: &'static str,
    /// The virtual architecture that it is compiled for: `compute_70` or `compute_80`.
    pub set: &'static str,
    ptx: &'static LazyLock<String>,
}

impl Module {
    /// Returns the PTX, which is decompressed on first use.
    pub fn ptx(&self) -> &'static str {
        self.ptx
    }
}

/// All modules.
#[cfg(feature = "cuda")]
pub const MODULES: &[Module] = include!(concat!(env!("OUT_DIR"), "/modules.rs"));

/// No modules, because this build lacks the feature `cuda`.
#[cfg(not(feature = "cuda"))]
pub const MODULES: &[Module] = &[];

#[cfg(feature = "cuda")]
fn inflate(deflated: &[u8]) -> String {
    let ptx = std::io::read_to_string(flate2::read::DeflateDecoder::new(deflated));
    ptx.expect("the build script deflated a text")
}

/// A kernel of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The module that holds it.
    pub module: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The size of each parameter in bytes.
    pub parameters: Vec<usize>,
}

/// Returns every kernel, in the order of the modules.
pub fn kernels() -> impl Iterator<Item = Kernel> {
    MODULES.iter().flat_map(|module| {
        module.ptx().split(".entry ").skip(1).map(|entry| {
            let (name, rest) = entry.split_once('(').expect("an entry has a list of parameters");
            let (parameters, _) = rest.split_once(')').expect("the list of parameters ends");
            Kernel {
                module: module.name,
                name: name.trim(),
                parameters: parameters.split(',').filter_map(size).collect(),
            }
        })
    })
}

/// Returns the size of a parameter such as `.param .align 4 .b8 name[52]` or `.param .u64 .ptr .align 1 name`.
fn size(parameter: &str) -> Option<usize> {
    let mut words = parameter.split_whitespace();
    let bits = words.find_map(|word| match word {
        ".b8" | ".u8" | ".s8" => Some(8),
        ".b16" | ".u16" | ".s16" => Some(16),
        ".b32" | ".u32" | ".s32" | ".f32" => Some(32),
        ".b64" | ".u64" | ".s64" | ".f64" => Some(64),
        _ => None,
    })?;
    let array = parameter.rsplit_once('[').and_then(|(_, len)| len.trim_end().strip_suffix(']')?.parse::<usize>().ok());
    Some(bits / 8 * array.unwrap_or(1))
}

/// Returns the kernel of this name.
///
/// # Panics
/// Panics if there is none.
pub(super) fn kernel(name: &str) -> &'static Kernel {
    static KERNELS: OnceLock<HashMap<&'static str, Kernel>> = OnceLock::new();
    let all = KERNELS.get_or_init(|| kernels().map(|kernel| (kernel.name, kernel)).collect());
    all.get(name).unwrap_or_else(|| panic!("there is no kernel {name}"))
}
