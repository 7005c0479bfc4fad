//! The checkers' records of every word of memory, and the pairs of accesses that are forbidden.
//!
//! Both executors run the threads of a launch one after the other, so a race never shows in the results of a single
//! run. The checkers find it whatever the order was: every access carries the time of its thread's last
//! synchronisation, and two accesses, of which at least one is a plain write, must have a synchronisation between
//! them.

use std::fmt;

/// The size of a word in bytes, the unit that is tracked. Threads that access different bytes of the same word would
/// be reported as a race.
pub const WORD: usize = 4;

/// The kinds of access to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    /// An atomic read, modification and write.
    Atomic,
}

/// The place in a program that an access comes from; the executor that issued it can find the file and line.
pub type Site = u32;

/// The error of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hazard {
    ReadAfterWrite,
    WriteAfterWrite,
    WriteAfterRead,
    Uninitialised,
    /// The data of a `cp.async` that has not been waited for.
    Pending,
}

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hazard::ReadAfterWrite => "race, read after write",
            Hazard::WriteAfterWrite => "race, write after write",
            Hazard::WriteAfterRead => "race, write after read",
            Hazard::Uninitialised => "read of uninitialised memory",
            Hazard::Pending => "read of data that cp.async has not been waited for",
        })
    }
}

/// The times of the threads' last synchronisations. Time advances at every launch, block, barrier and warp
/// synchronisation.
#[derive(Debug, Default)]
pub struct Clock {
    now: u32,
    launch: u32,
    block: u32,
    barrier: u32,
    warps: Vec<u32>,
}

impl Clock {
    /// Begins a launch: everything before it has happened.
    pub fn begin_launch(&mut self) {
        self.launch = self.tick();
    }

    /// Begins the next block. The blocks of a launch are not ordered among themselves.
    pub fn begin_block(&mut self, warps: usize) {
        self.block = self.tick();
        self.barrier = self.now;
        self.warps.clear();
        self.warps.resize(warps, self.now);
    }

    /// Records that all threads of the block have met.
    pub fn barrier(&mut self) {
        self.barrier = self.tick();
    }

    /// Records that the threads of a warp have met.
    pub fn warp(&mut self, warp: usize) {
        self.warps[warp] = self.tick();
    }

    fn tick(&mut self) -> u32 {
        self.now = self.now.checked_add(1).expect("fewer than 2^32 synchronisations in the life of a device");
        self.now
    }

    /// Returns whether an action of `other` at time `then` certainly happened before the current action of `thread`.
    fn ordered(&self, then: u32, other: u16, thread: u16) -> bool {
        let warp = thread / 32;
        match then {
            then if then < self.launch => true,
            then if then < self.block => false,
            then if then < self.barrier || other == thread => true,
            then => other / 32 == warp && then < self.warps[usize::from(warp)],
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Readers {
    #[default]
    One,
    OneWarp,
    ManyWarps,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Uninitialised,
    Pending,
    Initialised,
}

/// The checkers' record of a word of memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Word {
    written: u32,
    read: u32,
    /// The last read by an earlier block.
    read_elsewhere: u32,
    write_site: Site,
    read_site: Site,
    writer: u16,
    reader: u16,
    readers: Readers,
    atomic: bool,
    state: State,
}

impl Word {
    /// Records that the host has written it.
    pub fn initialise(&mut self) {
        self.state = State::Initialised;
    }

    /// Returns whether it has been written.
    #[cfg(test)]
    pub fn is_initialised(&self) -> bool {
        self.state == State::Initialised
    }

    /// Records that `cp.async` has been asked to write it.
    pub fn begin_copy(&mut self) {
        self.state = State::Pending;
    }

    /// Records that the thread that requested the copy has waited for it. Other threads see it after the next
    /// synchronisation.
    pub fn end_copy(&mut self, thread: u16, clock: &Clock) {
        self.state = State::Initialised;
        self.written = clock.now;
        self.writer = thread;
    }

    /// Forgets what an earlier block did to the word, because shared memory is new in every block.
    pub fn forget_earlier_blocks(&mut self, clock: &Clock) {
        if self.written.max(self.read) < clock.block {
            *self = Word::default();
        }
    }

    /// Records an access; returns the error in it, if any, and the site of the other access.
    pub fn access(&mut self, access: Access, site: Site, thread: u16, clock: &Clock) -> Option<(Hazard, Option<Site>)> {
        if access == Access::Read { self.read(site, thread, clock) } else { self.write(access, site, thread, clock) }
    }

    fn read(&mut self, site: Site, thread: u16, clock: &Clock) -> Option<(Hazard, Option<Site>)> {
        let hazard = match self.state {
            State::Pending => Some((Hazard::Pending, Some(self.write_site))),
            State::Uninitialised => Some((Hazard::Uninitialised, None)),
            State::Initialised if !clock.ordered(self.written, self.writer, thread) => {
                Some((Hazard::ReadAfterWrite, Some(self.write_site)))
            }
            State::Initialised => None,
        };
        if self.read >= clock.launch && self.read < clock.block {
            self.read_elsewhere = self.read;
        }
        if self.reads_are_over(thread, clock) {
            self.readers = Readers::One;
        } else if self.reader != thread {
            let now = if self.reader / 32 == thread / 32 { Readers::OneWarp } else { Readers::ManyWarps };
            self.readers = self.readers.max(now);
        }
        (self.read, self.reader, self.read_site) = (clock.now, thread, site);
        hazard
    }

    fn write(&mut self, access: Access, site: Site, thread: u16, clock: &Clock) -> Option<(Hazard, Option<Site>)> {
        let atomic = access == Access::Atomic;
        let hazard = if atomic && self.state == State::Uninitialised {
            Some((Hazard::Uninitialised, None))
        } else if atomic && self.state == State::Pending {
            Some((Hazard::Pending, Some(self.write_site)))
        } else if !(atomic && self.atomic || clock.ordered(self.written, self.writer, thread)) {
            Some((Hazard::WriteAfterWrite, Some(self.write_site)))
        } else if !self.reads_are_ordered(thread, clock) {
            Some((Hazard::WriteAfterRead, Some(self.read_site)))
        } else {
            None
        };
        (self.written, self.writer, self.write_site) = (clock.now, thread, site);
        (self.atomic, self.state) = (atomic, State::Initialised);
        hazard
    }

    /// Returns whether a synchronisation lies between the block's reads so far and the current action of `thread`.
    fn reads_are_over(&self, thread: u16, clock: &Clock) -> bool {
        let warp = self.reader / 32;
        let synchronised = self.readers < Readers::ManyWarps && warp == thread / 32;
        self.read < clock.barrier || synchronised && self.read < clock.warps[usize::from(warp)]
    }

    fn reads_are_ordered(&self, thread: u16, clock: &Clock) -> bool {
        let own = self.readers == Readers::One && self.reader == thread;
        let elsewhere = self.read_elsewhere.max(if self.read < clock.block { self.read } else { 0 });
        elsewhere < clock.launch && (own || self.reads_are_over(thread, clock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts two blocks of two warps, with a word that the host has written.
    fn start() -> (Clock, Word) {
        let mut clock = Clock::default();
        let mut word = Word::default();
        word.initialise();
        clock.begin_launch();
        clock.begin_block(2);
        (clock, word)
    }

    fn hazard(word: &mut Word, access: Access, thread: u16, clock: &Clock) -> Option<Hazard> {
        word.access(access, 0, thread, clock).map(|(hazard, _)| hazard)
    }

    #[test]
    fn threads_need_a_barrier_between_a_write_and_a_read() {
        let (mut clock, mut word) = start();
        assert_eq!(hazard(&mut word, Access::Write, 0, &clock), None);
        assert_eq!(hazard(&mut word, Access::Read, 0, &clock), None);
        assert_eq!(hazard(&mut word, Access::Read, 40, &clock), Some(Hazard::ReadAfterWrite));
        clock.barrier();
        assert_eq!(hazard(&mut word, Access::Read, 40, &clock), None);
        assert_eq!(hazard(&mut word, Access::Write, 40, &clock), None);
        clock.barrier();
        assert_eq!(hazard(&mut word, Access::Write, 0, &clock), None);
        assert_eq!(hazard(&mut word, Access::Write, 1, &clock), Some(Hazard::WriteAfterWrite));
    }

    #[test]
    fn a_warp_synchronises_its_own_threads_alone() {
        let (mut clock, mut word) = start();
        assert_eq!(hazard(&mut word, Access::Write, 0, &clock), None);
        assert_eq!(hazard(&mut word, Access::Read, 1, &clock), Some(Hazard::ReadAfterWrite));
        clock.warp(0);
        assert_eq!(hazard(&mut word, Access::Read, 1, &clock), None);
        assert_eq!(hazard(&mut word, Access::Read, 32, &clock), Some(Hazard::ReadAfterWrite));
    }

    #[test]
    fn a_write_waits_for_every_reader() {
        let (mut clock, mut word) = start();
        for thread in [3, 4, 5] {
            assert_eq!(hazard(&mut word, Access::Read, thread, &clock), None);
        }
        assert_eq!(hazard(&mut word, Access::Write, 5, &clock), Some(Hazard::WriteAfterRead));
        clock.barrier();
        for thread in [3, 40] {
            assert_eq!(hazard(&mut word, Access::Read, thread, &clock), None);
        }
        clock.warp(1);
        assert_eq!(hazard(&mut word, Access::Write, 40, &clock), Some(Hazard::WriteAfterRead));
        clock.barrier();
        for thread in [3, 5] {
            assert_eq!(hazard(&mut word, Access::Read, thread, &clock), None);
            clock.warp(0);
        }
        assert_eq!(hazard(&mut word, Access::Write, 5, &clock), None);
    }

    #[test]
    fn blocks_of_a_launch_have_no_order() {
        let (mut clock, mut word) = start();
        assert_eq!(hazard(&mut word, Access::Read, 0, &clock), None);
        clock.begin_block(2);
        assert_eq!(hazard(&mut word, Access::Read, 0, &clock), None);
        assert_eq!(hazard(&mut word, Access::Write, 0, &clock), Some(Hazard::WriteAfterRead));
        clock.begin_block(2);
        assert_eq!(hazard(&mut word, Access::Write, 0, &clock), Some(Hazard::WriteAfterWrite));
        clock.begin_launch();
        clock.begin_block(2);
        assert_eq!(hazard(&mut word, Access::Write, 0, &clock), None);
    }

    #[test]
    fn atomics_race_with_plain_accesses_alone() {
        let (mut clock, mut word) = start();
        assert_eq!(hazard(&mut word, Access::Atomic, 0, &clock), None);
        clock.begin_block(2);
        assert_eq!(hazard(&mut word, Access::Atomic, 7, &clock), None);
        assert_eq!(hazard(&mut word, Access::Write, 8, &clock), Some(Hazard::WriteAfterWrite));
    }

    #[test]
    fn nothing_is_read_before_it_is_there() {
        let (mut clock, _) = start();
        let mut word = Word::default();
        assert_eq!(hazard(&mut word, Access::Read, 0, &clock), Some(Hazard::Uninitialised));
        assert_eq!(hazard(&mut word, Access::Write, 0, &clock), None);
        word.begin_copy();
        assert_eq!(hazard(&mut word, Access::Read, 0, &clock), Some(Hazard::Pending));
        word.end_copy(0, &clock);
        assert_eq!(hazard(&mut word, Access::Read, 0, &clock), None);
        assert_eq!(hazard(&mut word, Access::Read, 1, &clock), Some(Hazard::ReadAfterWrite));
        clock.begin_block(2);
        word.forget_earlier_blocks(&clock);
        assert_eq!(hazard(&mut word, Access::Read, 0, &clock), Some(Hazard::Uninitialised));
    }
}
