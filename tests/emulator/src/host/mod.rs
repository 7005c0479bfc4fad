//! Tier T1: the original `.cu` files, compiled by g++ and run on the host.
//!
//! One thread of the host runs a block of threads as fibers, which give way at barriers and in collectives of a warp.
//! The fast build only runs them. In the checked build the compiler inserts a call of the runtime before every access
//! to memory. The runtime detects races and accesses that are out of bounds, misaligned or to unwritten memory,
//! whatever the order of the threads was. Both builds detect barriers that not all threads reach.
//!
//! Two things are not detected: a pointer that moves from one static shared array into the next (an out-of-range
//! index is detected), and how much static shared memory a kernel has. The interpreter and the compiler detect both.

mod compile;
mod fiber;
mod library;
mod runtime;
mod state;
mod warp;

use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Result;

pub use self::compile::Build;
use self::fiber::Stacks;
use self::library::{Library, place};
use self::state::{Setup, State, Status, with};
use crate::launch::{Executor, Launch, LaunchError, Schedule};
use crate::memory::Memory;
use crate::shadow::Clock;
use crate::sources::Module;

/// A device that runs the kernels on the host.
pub struct Host {
    library: Arc<Library>,
    build: Build,
    schedule: Schedule,
    inner: Mutex<Inner>,
}

struct Inner {
    memory: Memory,
    clock: Clock,
    /// The stacks of the last launch, to be reused by the next one.
    stacks: Option<Stacks>,
}

/// Permits one launch at a time in a process, because coordinates and shared memory are variables of the library.
static ONE_LAUNCH: Mutex<()> = Mutex::new(());

impl Executor for Host {
    fn allocate(&self, len: usize) -> u64 {
        lock(&self.inner).memory.allocate(len) as u64
    }

    fn free(&self, address: u64) -> Result<(), LaunchError> {
        if lock(&self.inner).memory.free(address as usize) { Ok(()) } else { Err(LaunchError::Free(address)) }
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), LaunchError> {
        Ok(lock(&self.inner).memory.write(address as usize, bytes)?)
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), LaunchError> {
        Ok(lock(&self.inner).memory.read(address as usize, bytes)?)
    }

    unsafe fn launch(&self, launch: &Launch) -> Result<(), LaunchError> {
        let kernel = self.library.kernel(launch.kernel);
        let kernel = kernel.ok_or_else(|| LaunchError::UnknownKernel(launch.kernel.into()))?;
        // Static shared memory is known only for whole modules here; the compiler and the interpreter check it for
        // each kernel.
        launch.check(0)?;
        let _one = lock(&ONE_LAUNCH);
        let mut inner = lock(&self.inner);
        let mut state = State::new(Setup {
            library: self.library.clone(),
            kernel,
            launch,
            memory: std::mem::replace(&mut inner.memory, Memory::new(false)),
            clock: std::mem::take(&mut inner.clock),
            stacks: inner.stacks.take(),
            checked: self.build == Build::Checked,
        });
        state.clock.begin_launch();
        self.library.set_sizes(launch.block, launch.grid);
        let state = state::during(state, || self.run(launch));
        (inner.memory, inner.clock, inner.stacks) = (state.memory, state.clock, Some(state.stacks));
        match state.findings.into_vec() {
            findings if findings.is_empty() => Ok(()),
            findings => Err(LaunchError::Findings(findings)),
        }
    }
}

impl Host {
    /// Compiles the modules, or finds them already compiled in `cache`.
    ///
    /// # Errors
    /// When they cannot be compiled or loaded.
    pub fn new(modules: &[Module], build: Build, schedule: Schedule, cache: &Path) -> Result<Host> {
        let library = Arc::new(Library::load(&compile::compile(modules, build, cache)?, runtime::TABLE)?);
        let memory = Memory::new(build == Build::Checked);
        Ok(Host {
            library,
            build,
            schedule,
            inner: Mutex::new(Inner { memory, clock: Clock::default(), stacks: None }),
        })
    }

    fn run(&self, launch: &Launch) {
        let [x, y, z] = launch.grid.map(|blocks| blocks as usize);
        for linear in self.schedule.order(x * y * z, 0) {
            let block = [linear % x, linear / x % y, linear / x / y].map(|index| index as u32);
            self.library.set_block(block);
            with(|state| state.begin_block(block));
            self.run_block(launch.threads());
            if with(|state| state.aborted) {
                return;
            }
        }
    }

    /// Lets each thread run until it waits, and opens the barrier when all remaining threads wait there.
    fn run_block(&self, threads: usize) {
        for turn in 0.. {
            for warp in self.schedule.order(threads.div_ceil(32), turn) {
                let lanes = self.schedule.order((threads - warp * 32).min(32), turn + 1);
                // A warp continues until none of its lanes can run, because a collective releases lanes that arrived
                // before.
                let mut progress = true;
                while progress {
                    progress = false;
                    for lane in &lanes {
                        progress |= self.resume(warp * 32 + lane);
                    }
                }
                if with(|state| state.aborted) {
                    return;
                }
            }
            if with(open_barrier) {
                return;
            }
        }
    }

    /// Lets a thread run until it gives way; returns false if it was not ready.
    fn resume(&self, thread: usize) -> bool {
        let paused = with(|state| {
            if state.threads[thread].status != Status::Ready || state.aborted {
                return None;
            }
            state.current = thread;
            self.library.set_thread(state.threads[thread].index);
            let paused = state.threads[thread].paused.take();
            Some(paused.unwrap_or_else(|| state.stacks.begin(thread, runtime::begin)))
        });
        let Some(paused) = paused else { return false };
        // SAFETY: the place was taken, so it is used once, and the state keeps the stacks.
        let paused = unsafe { paused.resume() };
        with(|state| state.threads[thread].paused = Some(paused));
        true
    }
}

/// Releases the threads at the barrier once no other thread can run; returns true if all have left the kernel
/// instead.
fn open_barrier(state: &mut State) -> bool {
    let waiting: Vec<usize> = (0..state.threads.len()).filter(|&i| state.threads[i].status != Status::Done).collect();
    let Some(&first) = waiting.first() else { return true };
    let left = state.threads.len() - waiting.len();
    let expected = state.threads[first].status;
    for &thread in &waiting {
        state.current = thread;
        let what = match state.threads[thread].status {
            Status::Warp => "deadlock: lanes that a warp collective's mask names never come",
            status if status != expected => "divergent barrier: other threads wait at another line",
            _ if left > 0 => "divergent barrier: other threads have left the kernel",
            _ => continue,
        };
        let place = match state.threads[thread].status {
            Status::Barrier { file, line } => place(&file.to_string_lossy(), line),
            _ => "a warp collective".into(),
        };
        state.found_at(what.into(), place, None);
        state.aborted = true;
        return true;
    }
    for &thread in &waiting {
        state.threads[thread].status = Status::Ready;
    }
    state.clock.barrier();
    false
}

/// Locks a mutex. A panic of another thread leaves no inconsistent state that matters here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
