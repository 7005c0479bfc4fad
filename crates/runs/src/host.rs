//! The machine and the time of a training, for its log.

use std::thread::available_parallelism;
use std::time::SystemTime;

use mergan_record::Host;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// Describes this machine.
pub(crate) fn host() -> Host {
    let parts =
        RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()).with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(parts);
    Host {
        cpu: system.cpus().first().map_or_else(|| std::env::consts::ARCH.into(), |cpu| cpu.brand().trim().into()),
        cores: available_parallelism().map_or(1, usize::from),
        memory: system.total_memory(),
    }
}

/// Returns the number of threads that compute fastest: one for each core that this process may use. Two threads on one
/// core would share its multipliers and its cache, which the kernels fill.
pub fn default_threads() -> usize {
    let allowed = available_parallelism().map_or(1, usize::from);
    System::physical_core_count().map_or(allowed, |cores| cores.clamp(1, allowed))
}

/// Returns the current time in RFC 3339 format: `2026-11-27T00:20:36Z`.
pub(crate) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
