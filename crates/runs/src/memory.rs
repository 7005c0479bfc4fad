//! Whether this machine has the memory that a request takes.
//!
//! Rust ends the process when memory runs out, so what can be known before is checked before.

use std::sync::LazyLock;

use mergan_strategies::{Config, LeastMemory};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use crate::error::Error;

/// The bytes of memory that this process may have, if the system tells.
static MEMORY: LazyLock<Option<u64>> = LazyLock::new(|| {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(memory);
    let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    Some(limit.min(system.total_memory())).filter(|&bytes| bytes > 0)
});

/// Returns an error if a training takes more memory than this machine has, whatever else runs on it.
pub(crate) fn require_for_training(config: &Config, channels: usize, classes: usize) -> Result<(), Error> {
    let needed = LeastMemory::of(config, channels, classes);
    require(needed.total(), || {
        let LeastMemory { networks, batch, scoring } = needed;
        let [networks, batch, scoring] = [networks, batch, scoring].map(gigabytes);
        format!(
            "this configuration: {networks} for the networks (model.width, model.latent), {batch} for a batch \
             (training.batch), {scoring} for the images to be scored (evaluation.samples)"
        )
    })
}

/// Returns an error if this many generated images of `shape` take more memory than this machine has.
pub(crate) fn require_for_images(count: usize, classes: usize, shape: [usize; 3]) -> Result<(), Error> {
    let image = shape.iter().product::<usize>() as f64;
    require(count as f64 * classes as f64 * image, || format!("{count} images of each class; ask for fewer at a time"))
}

/// Returns an error if a picture of this many bytes and its parts take more memory than this machine has.
pub(crate) fn require_for_picture(bytes: usize) -> Result<(), Error> {
    require(2.0 * bytes as f64, || "the enlarged pictures; ask for fewer images at a time or a smaller scale".into())
}

fn require(needed: f64, what: impl FnOnce() -> String) -> Result<(), Error> {
    match *MEMORY {
        Some(here) if needed > here as f64 => {
            let (needed, here) = (gigabytes(needed), gigabytes(here as f64));
            Err(Error::Request(format!(
                "at least {needed} of memory are needed, and this machine has {here}, for {}",
                what()
            )))
        }
        _ => Ok(()),
    }
}

fn gigabytes(bytes: f64) -> String {
    format!("{:.1} GB", bytes / 1e9)
}
