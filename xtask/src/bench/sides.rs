//! Our process and PyTorch's, asked in turn.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::python::python;
use super::server::Server;
use super::{Common, Peer};
use crate::cargo::{cargo, must, root, target_directory};

/// The number of products of two 1024 x 1024 matrices per request.
const PRODUCTS: usize = 10;
/// Additions and multiplications of one product.
const PRODUCT_FLOPS: f64 = 2.0 * 1024.0 * 1024.0 * 1024.0;

/// The time between the turns of two sides. PyTorch's threads go on spinning for some ten milliseconds.
const PAUSE: Duration = Duration::from_millis(20);

/// The programs of a benchmark.
pub struct Programs {
    /// Our program, `benches/src/bin/NAME.rs`.
    pub ours: PathBuf,
    python: PathBuf,
    /// PyTorch's program, `benches/peers/torch_NAME.py`.
    peer: PathBuf,
}

impl Programs {
    /// Builds our program, and finds a Python for the other.
    pub fn new(name: &str, peer: &Peer) -> Result<Self> {
        let python = python(peer)?;
        Ok(Programs { ours: build(name)?, python, peer: root().join(format!("benches/peers/torch_{name}.py")) })
    }

    /// Starts all sides with these arguments.
    pub fn start(&self, common: &Common, arguments: &[String]) -> Result<Sides> {
        let start = |command: &mut Command| Server::start(common.instruct(command.current_dir(root())));
        let ours = start(Command::new(&self.ours).args(arguments))?;
        let peer = |format| start(Command::new(&self.python).arg(&self.peer).args(arguments).arg(format));
        Ok(Sides { servers: [ours, peer("nchw")?, peer("channels_last")?], times: Default::default() })
    }
}

/// Builds our program of this name, and returns its path.
pub fn build(name: &str) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--release", "--package", "mergan-benches", "--bin", name]);
    must(&mut build).context("the benchmark does not build")?;
    Ok(target_directory()?.join("release").join(name))
}

/// The running processes: ours, PyTorch with NCHW, and PyTorch with channels last.
pub struct Sides {
    servers: [Server; 3],
    times: [Vec<f64>; 3],
}

impl Sides {
    /// Returns what our process says at first.
    pub fn greeting(&self) -> Result<&str> {
        Ok(self.ours()?.1)
    }

    /// Returns the vector instructions of either side, and PyTorch's version.
    pub fn who(&self) -> Result<String> {
        let (torch, theirs) = self.servers[1].greeting().split_once(' ').context("PyTorch tells no instructions")?;
        Ok(format!("ours with {}, PyTorch {torch} with {}", self.ours()?.0, theirs.to_lowercase()))
    }

    fn ours(&self) -> Result<(&str, &str)> {
        self.servers[0].greeting().split_once(' ').context("our process tells no instructions")
    }

    /// Returns the milliseconds that our process takes once; they do not count for the medians.
    pub fn probe(&mut self, what: &str) -> Result<f64> {
        Ok(self.servers[0].ask(&format!("{what} 1"))?[0])
    }

    /// Asks all processes in turn, for `count` repetitions each. One more comes first and does not count: it fetches what the
    /// caches have lost, and wakes sleeping threads.
    pub fn round(&mut self, what: &str, count: usize) -> Result<()> {
        for (server, times) in self.servers.iter_mut().zip(&mut self.times) {
            thread::sleep(PAUSE);
            server.ask(&format!("{what} 1"))?;
            times.extend(server.ask(&format!("{what} {count}"))?);
        }
        Ok(())
    }

    /// Returns the medians of all rounds since the last call, in milliseconds.
    pub fn medians(&mut self) -> Timing {
        let [ours, nchw, channels_last] = std::mem::take(&mut self.times).map(median);
        Timing { ours, nchw, channels_last }
    }

    /// Resets the peak memory of the processes, so that earlier use does not count.
    pub fn forget_peak_memory(&self) -> Result<()> {
        self.servers.iter().try_for_each(Server::forget_peak_memory)
    }

    /// Returns the most memory that our process and PyTorch's smaller one have used since then, in MiB.
    pub fn peak_memory(&self) -> Result<[f64; 2]> {
        let [ours, nchw, channels_last] = &self.servers;
        Ok([ours.peak_memory()?, nchw.peak_memory()?.min(channels_last.peak_memory()?)])
    }

    /// Returns the rate of the best product of two 1024 x 1024 matrices, in GFLOP/s.
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
    /// Returns PyTorch's better time.
    pub fn peer(&self) -> f64 {
        self.nchw.min(self.channels_last)
    }

    /// Returns PyTorch's better time divided by ours, which is above 1 if ours is faster.
    pub fn ratio(&self) -> f64 {
        self.peer() / self.ours
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
