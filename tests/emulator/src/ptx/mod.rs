//! Tier T2: an interpreter for the shipped PTX itself.
//!
//! A warp executes an instruction in all of its lanes at once. Lanes that took different branches wait for each other
//! at the earliest place (`warp.rs`). Every access to memory is checked by the same rules as in the checked build of
//! the host's tier. An unknown instruction or modifier is an error when the module is loaded.

mod access;
mod arithmetic;
mod block;
mod collective;
mod decode;
mod execute;
mod instruction;
mod kernel;
mod names;
mod text;
mod warp;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use anyhow::{Result, bail};

use self::block::{Block, Stop};
use self::kernel::Kernel;
pub(crate) use self::text::Text;
use self::warp::{Status, Warp};
use crate::launch::{Executor, Launch, LaunchError, Schedule};
use crate::memory::Memory;
use crate::shadow::Clock;

/// A device that interprets PTX.
pub struct Interpreter {
    kernels: HashMap<String, Kernel>,
    schedule: Schedule,
    inner: Mutex<(Memory, Clock)>,
}

impl Interpreter {
    /// Loads modules.
    ///
    /// # Errors
    /// When one contains something unknown, or two contain a kernel of the same name.
    pub fn new<'a>(modules: impl IntoIterator<Item = &'a str>, schedule: Schedule) -> Result<Interpreter> {
        let mut memory = Memory::new(true);
        let mut kernels = HashMap::new();
        for module in modules {
            let text = Text::parse(module)?;
            let variables = text.variables.iter().map(|variable| {
                let address = memory.allocate(variable.bytes);
                memory.write(address, &variable.value)?;
                Ok((variable.name.clone(), address as u64))
            });
            let variables = variables.collect::<Result<HashMap<_, _>>>()?;
            for entry in &text.entries {
                let kernel = Kernel::new(entry, &text, &variables)?;
                if let Some(other) = kernels.insert(entry.name.clone(), kernel) {
                    bail!("two kernels are called {}", other.name);
                }
            }
        }
        Ok(Interpreter { kernels, schedule, inner: Mutex::new((memory, Clock::default())) })
    }

    fn lock(&self) -> MutexGuard<'_, (Memory, Clock)> {
        // A panic of another thread leaves no inconsistent state that matters here.
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Runs the blocks one after the other.
    fn run(&self, launch: &Launch, block: &mut Block) -> Result<(), Stop> {
        let (kernel, threads) = (block.kernel, launch.threads());
        let warp = |first: usize| Warp::new(first as u16, kernel.counts, kernel.local);
        let mut warps: Vec<Warp> = (0..threads).step_by(32).map(warp).collect();
        let [x, y, z] = launch.grid.map(|blocks| blocks as usize);
        for linear in self.schedule.order(x * y * z, 0) {
            let index = [linear % x, linear / x % y, linear / x / y].map(|index| index as u32);
            block.begin(index, warps.len());
            for warp in &mut warps {
                let lanes = (threads - usize::from(warp.first)).min(32);
                warp.begin(u32::MAX >> (32 - lanes), |thread| special(launch, index, thread));
            }
            let mut turn = 0;
            while warps.iter().any(|warp| warp.status != Status::Done) {
                for place in self.schedule.order(warps.len(), turn) {
                    execute::run(&mut warps[place], block)?;
                }
                open_barrier(&mut warps, block)?;
                turn += 1;
            }
        }
        Ok(())
    }
}

/// Releases the warps at the barrier once no other warp can run.
fn open_barrier(warps: &mut [Warp], block: &mut Block) -> Result<(), Stop> {
    let Some(first) = warps.iter().find(|warp| warp.status == Status::Barrier).map(|warp| warp.at) else {
        return Ok(());
    };
    for warp in warps.iter_mut() {
        let what = match warp.status {
            Status::Done => "divergent barrier: these threads have left the kernel while others wait",
            _ if warp.at != first => "divergent barrier: other threads wait at another line",
            _ => continue,
        };
        // The barrier is the instruction before the one at which the warp continues; a warp that left is at its end.
        warp.at -= 1;
        return block.stop(warp, 0, what);
    }
    warps.iter_mut().for_each(|warp| warp.status = Status::Ready);
    block.clock.barrier();
    Ok(())
}

/// Returns the special registers of a thread, in the order of [`names::SPECIAL`].
fn special(launch: &Launch, block: [u32; 3], thread: u32) -> [u32; names::SPECIAL.len()] {
    let [x, y, z] = launch.block;
    let [grid_x, grid_y, grid_z] = launch.grid;
    let [block_x, block_y, block_z] = block;
    let index = [thread % x, thread / x % y, thread / x / y];
    [index[0], index[1], index[2], x, y, z, block_x, block_y, block_z, grid_x, grid_y, grid_z, thread % 32, thread / 32]
}

impl Executor for Interpreter {
    fn allocate(&self, len: usize) -> u64 {
        self.lock().0.allocate(len) as u64
    }

    fn free(&self, address: u64) -> Result<(), LaunchError> {
        if self.lock().0.free(address as usize) { Ok(()) } else { Err(LaunchError::Free(address)) }
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), LaunchError> {
        Ok(self.lock().0.write(address as usize, bytes)?)
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), LaunchError> {
        Ok(self.lock().0.read(address as usize, bytes)?)
    }

    unsafe fn launch(&self, launch: &Launch) -> Result<(), LaunchError> {
        let kernel = self.kernels.get(launch.kernel);
        let kernel = kernel.ok_or_else(|| LaunchError::UnknownKernel(launch.kernel.into()))?;
        launch.check(kernel.shared.iter().map(|range| range.len()).sum())?;
        let (given, expected) = (launch.arguments.len(), kernel.parameters.len());
        if given != expected {
            return Err(LaunchError::Arguments { kernel: kernel.name.clone(), given, expected });
        }
        if launch.threads() > kernel.max_threads {
            let (value, most) = (launch.threads(), kernel.max_threads);
            return Err(LaunchError::Limit { kernel: kernel.name.clone(), what: "threads of a block", value, most });
        }
        let mut arguments = vec![0; kernel.parameters.last().map_or(0, |(offset, size)| offset + size)];
        for (&(offset, size), &argument) in kernel.parameters.iter().zip(launch.arguments) {
            // SAFETY: the caller guarantees that the argument has the parameter's type.
            let bytes = unsafe { std::slice::from_raw_parts(argument.cast::<u8>(), size) };
            arguments[offset..offset + size].copy_from_slice(bytes);
        }
        let mut inner = self.lock();
        let (memory, clock) = &mut *inner;
        clock.begin_launch();
        let mut block = Block::new(kernel, memory, clock, arguments, launch.shared, launch.block);
        // The reason for stopping is among the findings.
        let _ = self.run(launch, &mut block);
        match block.findings.into_vec() {
            findings if findings.is_empty() => Ok(()),
            findings => Err(LaunchError::Findings(findings)),
        }
    }
}
