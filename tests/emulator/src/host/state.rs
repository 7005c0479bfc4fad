//! The state of a running launch: its threads, its shared memory, and what the checkers remember.

use std::cell::RefCell;
use std::ffi::{CStr, c_void};
use std::ops::Range;
use std::sync::Arc;

use super::fiber::{Paused, Stacks};
use super::library::{Kernel, Library};
use super::warp::Meetings;
use crate::findings::{Finding, Findings};
use crate::memory::{Memory, POISON};
use crate::shadow::{Access, Clock, Site, WORD, Word};

/// The activity of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ready,
    /// Waiting at `__syncthreads` in this line of this file. The library that holds the name outlives the launch.
    Barrier {
        file: &'static CStr,
        line: u32,
    },
    /// Waiting in a collective of its warp.
    Warp,
    Done,
}

/// A copy requested by `cp.async`.
pub struct Copy {
    pub to: *mut u8,
    pub from: *const u8,
    pub bytes: usize,
    pub source_bytes: usize,
}

/// A CUDA thread.
pub struct Thread {
    pub status: Status,
    /// The place where it was suspended.
    pub paused: Option<Paused>,
    pub index: [u32; 3],
    /// The copies since the last commit, followed by the committed groups, the oldest first.
    pub open: Vec<Copy>,
    pub groups: Vec<Vec<Copy>>,
}

/// Shared memory and what the checkers remember of it.
struct Shared {
    range: Range<usize>,
    words: Vec<Word>,
}

impl Shared {
    fn new(range: Range<usize>, checked: bool) -> Shared {
        let words = vec![Word::default(); if checked { range.len().div_ceil(WORD) } else { 0 }];
        Shared { range, words }
    }

    fn words(&mut self, address: usize, len: usize) -> Option<&mut [Word]> {
        let offset = address.checked_sub(self.range.start)?;
        (!self.words.is_empty() && offset + len <= self.range.len())
            .then(|| &mut self.words[offset / WORD..=(offset + len - 1) / WORD])
    }
}

/// A running launch.
pub struct State {
    pub library: Arc<Library>,
    pub kernel: Kernel,
    pub name: String,
    pub arguments: *const *mut c_void,
    pub memory: Memory,
    pub clock: Clock,
    pub checked: bool,
    pub stacks: Stacks,
    pub threads: Vec<Thread>,
    pub meetings: Meetings,
    pub findings: Findings,
    /// Whether the launch must stop.
    pub aborted: bool,
    /// The block and the thread that are running.
    pub block: [u32; 3],
    pub current: usize,
    /// The place where the scheduler waits while a thread runs.
    pub scheduler: Option<Paused>,
    fixed: Shared,
    dynamic: Shared,
    /// The allocation that contains `dynamic`.
    _dynamic_block: Vec<u128>,
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// Calls `work` with the state of the launch on this thread of the host. `work` must not give way.
pub fn with<R>(work: impl FnOnce(&mut State) -> R) -> R {
    STATE.with_borrow_mut(|state| work(state.as_mut().expect("kernels call the run time while a launch runs")))
}

/// Makes `state` the running launch during `work`, and returns the state afterwards.
pub fn during(state: State, work: impl FnOnce()) -> State {
    STATE.set(Some(state));
    work();
    STATE.take().expect("the launch is still there")
}

/// The parts of a new launch.
pub struct Setup<'a> {
    pub library: Arc<Library>,
    pub kernel: Kernel,
    pub launch: &'a crate::launch::Launch<'a>,
    pub memory: Memory,
    pub clock: Clock,
    pub stacks: Option<Stacks>,
    pub checked: bool,
}

impl State {
    pub fn new(setup: Setup) -> State {
        let Setup { library, kernel, launch, memory, clock, stacks, checked } = setup;
        let count = launch.threads();
        let [x, y, _] = launch.block;
        let thread = |linear: u32| Thread {
            status: Status::Done,
            paused: None,
            index: [linear % x, linear / x % y, linear / x / y],
            open: Vec::new(),
            groups: Vec::new(),
        };
        let block = vec![0u128; launch.shared.div_ceil(size_of::<u128>())];
        let begin = block.as_ptr() as usize;
        State {
            fixed: Shared::new(kernel.shared(), checked),
            dynamic: Shared::new(begin..begin + launch.shared, checked),
            _dynamic_block: block,
            library,
            kernel,
            name: launch.kernel.into(),
            arguments: launch.arguments.as_ptr(),
            memory,
            clock,
            checked,
            stacks: stacks.filter(|stacks| stacks.count() >= count).unwrap_or_else(|| Stacks::new(count)),
            threads: (0..count as u32).map(thread).collect(),
            meetings: Meetings::default(),
            findings: Findings::default(),
            aborted: false,
            block: [0; 3],
            current: 0,
            scheduler: None,
        }
    }

    /// Prepares everything for the next block.
    pub fn begin_block(&mut self, block: [u32; 3]) {
        let warps = self.threads.len().div_ceil(32);
        self.block = block;
        self.clock.begin_block(warps);
        self.meetings.reset(self.threads.len());
        for thread in &mut self.threads {
            thread.status = Status::Ready;
            thread.paused = None;
            thread.open.clear();
            thread.groups.clear();
        }
        for shared in [&self.fixed.range, &self.dynamic.range] {
            // SAFETY: only this launch uses the library's shared memory, and it owns the dynamic shared memory.
            unsafe { std::ptr::write_bytes(shared.start as *mut u8, POISON, shared.len()) };
        }
    }

    /// Releases these lanes of the current warp.
    pub fn release(&mut self, lanes: u32) {
        let first = self.current / 32 * 32;
        for (lane, thread) in self.threads[first..].iter_mut().take(32).enumerate() {
            if lanes >> lane & 1 == 1 && thread.status == Status::Warp {
                thread.status = Status::Ready;
            }
        }
    }

    /// Returns the address of dynamic shared memory.
    pub fn dynamic(&self) -> usize {
        self.dynamic.range.start
    }

    /// Records a finding about the running thread.
    pub fn found(&mut self, what: String, site: Site, other: Option<Site>) {
        if self.findings.is_new(&what, site, other) {
            let place = self.library.place(site);
            let other = other.map(|site| self.library.place(site));
            self.found_at(what, place, other);
        }
    }

    /// Records a finding like [`State::found`], at a place that is already known.
    pub fn found_at(&mut self, what: String, place: String, other: Option<String>) {
        let thread = self.threads[self.current].index;
        self.findings.add(Finding { kernel: self.name.clone(), what, place, block: self.block, thread, other });
    }

    /// Checks an access of the running thread; returns false if it cannot be carried out or enough has been found.
    pub fn access(&mut self, address: usize, len: usize, access: Access, site: Site) -> bool {
        // Threads read and write at most 16 bytes at once; longer accesses come from the compiler filling an array.
        if len.is_power_of_two() && len <= 16 && !address.is_multiple_of(len) {
            self.found(format!("misaligned access of {len} bytes"), site, None);
            return false;
        }
        let (space, words) = if let Some(words) = self.fixed.words(address, len) {
            words.iter_mut().for_each(|word| word.forget_earlier_blocks(&self.clock));
            ("shared", words)
        } else if self.library.image.contains(&address) {
            if access == Access::Read {
                return true;
            }
            self.found("write to a constant or outside of shared memory".into(), site, None);
            return false;
        } else if let Some(words) = self.dynamic.words(address, len) {
            words.iter_mut().for_each(|word| word.forget_earlier_blocks(&self.clock));
            ("shared", words)
        } else if self.stacks.range(self.current).contains(&address) {
            return true;
        } else {
            match self.memory.words(address, len) {
                Ok(words) => ("global", words),
                Err(error) => {
                    let verb = if access == Access::Read { "read" } else { "write" };
                    let dynamic = address.wrapping_sub(self.dynamic.range.start);
                    let what = if dynamic < self.dynamic.range.len() + 1024 {
                        let size = self.dynamic.range.len();
                        format!("{verb} of {len} bytes at byte {dynamic} of {size} bytes of dynamic shared memory")
                    } else {
                        format!("{verb} of {error}")
                    };
                    self.found(format!("out of bounds, {what}"), site, None);
                    return false;
                }
            }
        };
        let thread = self.current as u16;
        let hazards = words.iter_mut().filter_map(|word| word.access(access, site, thread, &self.clock));
        if let Some((hazard, other)) = hazards.last() {
            self.found(format!("{hazard}, in {space} memory"), site, other);
        }
        !self.findings.full()
    }

    /// Marks these bytes as being written by `cp.async`, or as written if `done`.
    pub fn copying(&mut self, address: usize, len: usize, done: bool) {
        let thread = self.current as u16;
        let words = self.fixed.words(address, len).or_else(|| self.dynamic.words(address, len));
        for word in words.unwrap_or_default() {
            if done { word.end_copy(thread, &self.clock) } else { word.begin_copy() }
        }
    }
}
