//! Ours and PyTorch's processes, asked in turn.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Common;
use super::python::python;
use super::server::Server;
use crate::cargo::{cargo, root, target_directory};

/// Products of two 1024 x 1024 matrices each time.
const PRODUCTS: usize = 10;
/// Additions and multiplications of one.
const PRODUCT_FLOPS: f64 = 2.0 * 1024.0 * 1024.0 * 1024.0;

/// The programs of a benchmark.
pub struct Programs {
    /// Ours, `benches/src/bin/NAME.rs`.
    pub ours: PathBuf,
    python: PathBuf,
    /// PyTorch's, `benches/peers/torch_NAME.py`.
    peer: PathBuf,
}

impl Programs {
    /// Builds ours, and finds a Python for the other.
    pub fn new(name: &str, common: &Common) -> Result<Self> {
        let python = python(common)?;
        let mut build = cargo();
        build.args(["build", "--release", "--package", "mergan-benches", "--bin", name]);
        ensure!(build.status().context("running cargo")?.success(), "the benchmark does not build");
        let ours = target_directory()?.join("release").join(name);
        Ok(Programs { ours, python, peer: root().join(format!("benches/peers/torch_{name}.py")) })
    }

    /// Starts all sides with these arguments.
    pub fn start(&self, arguments: &[String]) -> Result<Sides> {
        let ours = Server::start(Command::new(&self.ours).args(arguments).current_dir(root()))?;
        let peer = |format| Server::start(Command::new(&self.python).arg(&self.peer).args(arguments).arg(format));
        Ok(Sides { servers: [ours, peer("nchw")?, peer("channels_last")?], times: Default::default() })
    }
}

/// The running processes: ours, PyTorch with NCHW, PyTorch with channels last.
pub struct Sides {
    servers: [Server; 3],
    times: [Vec<f64>; 3],
}

impl Sides {
    /// The first line of ours.
    pub fn greeting(&self) -> &str {
        self.servers[0].greeting()
    }

    /// PyTorch's version.
    pub fn torch(&self) -> &str {
        self.servers[1].greeting()
    }

    /// The milliseconds that ours takes once, which are not kept.
    pub fn probe(&mut self, what: &str) -> Result<f64> {
        Ok(self.servers[0].ask(&format!("{what} 1"))?[0])
    }

    /// Asks all in turn, for `count` repetitions each.
    pub fn round(&mut self, what: &str, count: usize) -> Result<()> {
        for (server, times) in self.servers.iter_mut().zip(&mut self.times) {
            times.extend(server.ask(&format!("{what} {count}"))?);
        }
        Ok(())
    }

    /// The medians of all rounds since the last call, milliseconds.
    pub fn medians(&mut self) -> Timing {
        let [ours, nchw, channels_last] = std::mem::take(&mut self.times).map(median);
        Timing { ours, nchw, channels_last }
    }

    /// What the processes have needed so far does not count as memory.
    pub fn forget_peak_memory(&self) -> Result<()> {
        self.servers.iter().try_for_each(Server::forget_peak_memory)
    }

    /// The most memory that ours and PyTorch's smaller process had since then, MiB.
    pub fn peak_memory(&self) -> Result<[f64; 2]> {
        let [ours, nchw, channels_last] = &self.servers;
        Ok([ours.peak_memory()?, nchw.peak_memory()?.min(channels_last.peak_memory()?)])
    }

    /// The rate of the best product of two 1024 x 1024 matrices, GFLOP/s.
    pub fn best_product(&mut self) -> Result<f64> {
        let mut best = 0.0;
        for server in &mut self.servers {
            for milliseconds in server.ask(&format!("product {PRODUCTS}"))? {
                best = f64::max(best, PRODUCT_FLOPS / milliseconds / 1e6);
            }
        }
        Ok(best)
    }
}

/// Medians in milliseconds.
#[derive(Clone, Copy)]
pub struct Timing {
    pub ours: f64,
    pub nchw: f64,
    pub channels_last: f64,
}

impl Timing {
    /// PyTorch's better time.
    pub fn peer(&self) -> f64 {
        self.nchw.min(self.channels_last)
    }

    /// PyTorch's better time over ours: above 1 where ours is faster.
    pub fn ratio(&self) -> f64 {
        self.peer() / self.ours
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
