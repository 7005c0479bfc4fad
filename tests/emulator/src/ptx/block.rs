//! A running block: its shared memory, the device's memory, and the findings of the checks.

use super::kernel::Kernel;
use super::warp::Warp;
use crate::findings::{Finding, Findings};
use crate::memory::{Memory, POISON};
use crate::shadow::{Access, Clock, WORD, Word};

/// The starts of shared and local memory in the generic space, where the host has no addresses.
pub const SHARED_WINDOW: u64 = 1 << 60;
pub const LOCAL_WINDOW: u64 = 2 << 60;

/// The launch cannot continue; the reason is among the findings.
#[derive(Debug)]
pub struct Stop;

/// The state that the warps of a block share.
pub struct Block<'a> {
    pub kernel: &'a Kernel,
    pub memory: &'a mut Memory,
    pub clock: &'a mut Clock,
    pub arguments: Vec<u8>,
    pub shared: Vec<u8>,
    words: Vec<Word>,
    /// The size of dynamic shared memory in bytes.
    dynamic: usize,
    pub findings: Findings,
    pub index: [u32; 3],
    pub size: [u32; 3],
}

impl<'a> Block<'a> {
    pub fn new(
        kernel: &'a Kernel,
        memory: &'a mut Memory,
        clock: &'a mut Clock,
        arguments: Vec<u8>,
        dynamic: usize,
        size: [u32; 3],
    ) -> Block<'a> {
        let bytes = kernel.dynamic + dynamic;
        Block {
            kernel,
            memory,
            clock,
            arguments,
            shared: vec![POISON; bytes],
            words: vec![Word::default(); bytes.div_ceil(WORD)],
            dynamic,
            findings: Findings::default(),
            index: [0; 3],
            size,
        }
    }

    /// Begins the block with this index.
    pub fn begin(&mut self, index: [u32; 3], warps: usize) {
        self.index = index;
        self.shared.fill(POISON);
        self.words.fill(Word::default());
        self.clock.begin_block(warps);
    }

    /// Records a finding about a lane of the warp.
    pub fn found(&mut self, warp: &Warp, lane: usize, what: String, other: Option<u32>) {
        if !self.findings.is_new(&what, warp.at as u32, other) {
            return;
        }
        let linear = u32::from(warp.first) + lane as u32;
        let [x, y, _] = self.size;
        self.findings.add(Finding {
            kernel: self.kernel.name.clone(),
            what,
            place: self.kernel.place(warp.at),
            block: self.index,
            thread: [linear % x, linear / x % y, linear / x / y],
            other: other.map(|step| self.kernel.place(step as usize)),
        });
    }

    /// Records a finding that ends the launch.
    pub fn stop<T>(&mut self, warp: &Warp, lane: usize, what: impl Into<String>) -> Result<T, Stop> {
        self.found(warp, lane, what.into(), None);
        Err(Stop)
    }

    /// Returns a pointer to `len` bytes of global memory, after the checks.
    pub fn global(
        &mut self,
        warp: &Warp,
        lane: usize,
        address: u64,
        len: usize,
        access: Access,
    ) -> Result<*mut u8, Stop> {
        self.check_alignment(warp, lane, address, len)?;
        let address = address as usize;
        let words = match self.memory.words(address, len) {
            Ok(words) => words,
            Err(error) => {
                let verb = if access == Access::Read { "read" } else { "write" };
                return self.stop(warp, lane, format!("out of bounds, {verb} of {error}"));
            }
        };
        let thread = warp.first + lane as u16;
        let hazards = words.iter_mut().filter_map(|word| word.access(access, warp.at as u32, thread, self.clock));
        if let Some((hazard, other)) = hazards.last() {
            self.found(warp, lane, format!("{hazard}, in global memory"), other);
        }
        Ok(std::ptr::with_exposed_provenance_mut(address))
    }

    /// Returns the offset of `len` bytes of shared memory, after the checks.
    pub fn shared(
        &mut self,
        warp: &Warp,
        lane: usize,
        address: u64,
        len: usize,
        access: Access,
    ) -> Result<usize, Stop> {
        self.check_alignment(warp, lane, address, len)?;
        let begin = address as usize;
        let inside = |range: &std::ops::Range<usize>| range.start <= begin && begin.saturating_add(len) <= range.end;
        let dynamic = self.kernel.dynamic..self.kernel.dynamic + self.dynamic;
        if !inside(&dynamic) && !self.kernel.shared.iter().any(inside) {
            let verb = if access == Access::Read { "read" } else { "write" };
            return self.stop(
                warp,
                lane,
                format!("out of bounds, {verb} of {len} bytes at byte {begin} of shared memory"),
            );
        }
        let thread = warp.first + lane as u16;
        let words = &mut self.words[begin / WORD..=(begin + len - 1) / WORD];
        let hazards = words.iter_mut().filter_map(|word| word.access(access, warp.at as u32, thread, self.clock));
        if let Some((hazard, other)) = hazards.last() {
            self.found(warp, lane, format!("{hazard}, in shared memory"), other);
        }
        Ok(begin)
    }

    /// Returns the checkers' records of bytes of shared memory whose range has been checked.
    pub fn shared_words(&mut self, begin: usize, len: usize) -> (&mut [Word], &Clock) {
        (&mut self.words[begin / WORD..=(begin + len - 1) / WORD], self.clock)
    }

    fn check_alignment(&mut self, warp: &Warp, lane: usize, address: u64, len: usize) -> Result<(), Stop> {
        if address.is_multiple_of(len as u64) {
            return Ok(());
        }
        self.stop(warp, lane, format!("misaligned access of {len} bytes"))
    }
}
