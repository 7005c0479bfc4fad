//! The launches that both executors accept, the errors in them, and the order in which they run.

use std::ffi::c_void;

use crate::findings::Finding;
use crate::memory::OutOfBounds;

/// A launch with the parameters of `cuLaunchKernel`.
pub struct Launch<'a> {
    /// The name of the kernel.
    pub kernel: &'a str,
    /// The number of blocks along x, y and z.
    pub grid: [u32; 3],
    /// The number of threads of a block along x, y and z.
    pub block: [u32; 3],
    /// The size of dynamic shared memory in bytes.
    pub shared: usize,
    /// A pointer to each argument.
    pub arguments: &'a [*mut c_void],
}

impl Launch<'_> {
    /// Returns the number of threads of a block.
    pub fn threads(&self) -> usize {
        self.block.iter().map(|&threads| threads as usize).product()
    }

    /// Refuses launches that a GPU would refuse. The bound on shared memory is that of the smallest GPU on which PTX
    /// for `compute_80` may run.
    pub fn check(&self, static_shared: usize) -> Result<(), LaunchError> {
        const THREADS: usize = 1024;
        const GRID: [u32; 3] = [0x7fff_ffff, 0xffff, 0xffff];
        const BLOCK: [u32; 3] = [1024, 1024, 64];
        const STATIC_SHARED: usize = 48 << 10;
        const SHARED: usize = 99 << 10;
        let limit = |what: &'static str, value: usize, most: usize| match value {
            value if value == 0 || value > most => {
                Err(LaunchError::Limit { kernel: self.kernel.into(), what, value, most })
            }
            _ => Ok(()),
        };
        for axis in 0..3 {
            limit("blocks of the grid along one axis", self.grid[axis] as usize, GRID[axis] as usize)?;
            limit("threads of a block along one axis", self.block[axis] as usize, BLOCK[axis] as usize)?;
        }
        limit("threads of a block", self.threads(), THREADS)?;
        limit("bytes of static shared memory", static_shared.max(1), STATIC_SHARED)?;
        limit("bytes of shared memory", (static_shared + self.shared).max(1), SHARED)
    }
}

/// A device that executes kernels without a GPU.
pub trait Executor: Send + Sync {
    /// Allocates `len` bytes of memory and returns their address.
    fn allocate(&self, len: usize) -> u64;

    /// Frees memory.
    ///
    /// # Errors
    /// When nothing was allocated at this address.
    fn free(&self, address: u64) -> Result<(), LaunchError>;

    /// Copies to the device.
    ///
    /// # Errors
    /// When no buffer holds that many bytes at the address.
    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), LaunchError>;

    /// Copies from the device.
    ///
    /// # Errors
    /// When no buffer holds that many bytes at the address.
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), LaunchError>;

    /// Runs a kernel to its end.
    ///
    /// # Errors
    /// When there is no such kernel, a GPU could not launch it this way, or the checks found something.
    ///
    /// # Safety
    /// There is an argument of the right type for each parameter. If the executor does not check accesses to memory,
    /// the kernel's pointers point to this device's memory.
    unsafe fn launch(&self, launch: &Launch) -> Result<(), LaunchError>;
}

/// Why a launch failed.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The device's modules do not have the kernel.
    #[error("there is no kernel `{0}`")]
    UnknownKernel(String),
    /// A size is outside the range that a GPU can launch.
    #[error("{kernel}: {value} {what}, where 1 to {most} are possible")]
    Limit {
        /// The kernel.
        kernel: String,
        /// The name of the quantity.
        what: &'static str,
        /// The requested amount.
        value: usize,
        /// The largest amount possible.
        most: usize,
    },
    /// The number of arguments differs from that of the kernel's parameters.
    #[error("{kernel}: {given} arguments for {expected} parameters")]
    Arguments {
        /// The kernel.
        kernel: String,
        /// The number of arguments.
        given: usize,
        /// The number of parameters.
        expected: usize,
    },
    /// The checks found something wrong in the kernel.
    #[error("{}", .0.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n"))]
    Findings(Vec<Finding>),
    /// A copy lies outside of every buffer.
    #[error("copy of {0}")]
    Copy(#[from] OutOfBounds),
    /// There is no buffer at the address to be freed.
    #[error("no buffer begins at {0:#x}")]
    Free(u64),
}

/// The order in which blocks, warps and lanes run. A correct kernel computes the same in every order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// From the first to the last.
    Forward,
    /// From the last to the first.
    Backward,
    /// In an order shuffled with this seed.
    Shuffled(u64),
}

impl Schedule {
    /// Returns the numbers below `count` in the order of the schedule; `turn` makes successive shuffles differ.
    pub fn order(self, count: usize, turn: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        match self {
            Schedule::Forward => {}
            Schedule::Backward => order.reverse(),
            Schedule::Shuffled(seed) => {
                for place in (1..count).rev() {
                    let draw = mixed(seed ^ mixed(turn << 32 | place as u64));
                    order.swap(place, (draw % (place as u64 + 1)) as usize);
                }
            }
        }
        order
    }
}

/// Computes the finaliser of splitmix64.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schedule_names_everyone_once() {
        for schedule in [Schedule::Forward, Schedule::Backward, Schedule::Shuffled(3)] {
            let mut order = schedule.order(33, 5);
            assert_eq!(order == (0..33).collect::<Vec<_>>(), schedule == Schedule::Forward);
            order.sort_unstable();
            assert_eq!(order, (0..33).collect::<Vec<_>>());
        }
        assert_ne!(Schedule::Shuffled(3).order(33, 5), Schedule::Shuffled(3).order(33, 6));
    }

    #[test]
    fn launches_that_no_gpu_takes_are_refused() {
        let launch = Launch { kernel: "k", grid: [1, 1, 1], block: [32, 32, 2], shared: 0, arguments: &[] };
        let error = launch.check(0).unwrap_err().to_string();
        assert_eq!(error, "k: 2048 threads of a block, where 1 to 1024 are possible");
        let launch = Launch { block: [32, 1, 1], shared: 60 << 10, ..launch };
        assert!(launch.check(1 << 10).is_ok());
        assert!(launch.check(49 << 10).is_err() && launch.check(40 << 10).is_err());
        assert!(Launch { grid: [1, 0, 1], ..launch }.check(0).is_err());
    }
}
