//! The functions of [`Table`], which the kernels call while they run.

use std::ffi::{CStr, c_char, c_uint, c_void};

use super::fiber::Paused;
use super::library::{Table, Together, place};
use super::state::{Copy, Status, with};
use super::warp::Arrival;
use crate::memory::POISON;
use crate::shadow::{Access, Site};

/// The runtime's functions for a library.
pub const TABLE: Table = Table {
    barrier,
    synchronise_warp,
    from_lane,
    ballot,
    together,
    dynamic_shared,
    copy_async,
    commit_copies,
    wait_for_copies,
    access,
    undefined,
};

/// The first frame of every fiber: runs the kernel, then gives way for good.
pub extern "sysv64" fn begin(scheduler: Paused) -> ! {
    let (run, arguments) = with(|state| {
        state.scheduler = Some(scheduler);
        (state.kernel.run, state.arguments)
    });
    // SAFETY: the caller of the launch guarantees the arguments.
    unsafe { run(arguments) };
    give_way(Status::Done);
    unreachable!("a thread that has left the kernel is not resumed")
}

/// Lets other threads run until the scheduler returns to this one.
fn give_way(status: Status) {
    let scheduler = with(|state| {
        let current = state.current;
        state.threads[current].status = status;
        state.scheduler.take().expect("the scheduler waits while a thread runs")
    });
    // SAFETY: the place was taken, so it is used once, and the scheduler's stack lies below on the same thread of the
    // host.
    let scheduler = unsafe { scheduler.resume() };
    with(|state| state.scheduler = Some(scheduler));
}

/// Ends the launch, because the running thread cannot continue.
fn abort() {
    with(|state| state.aborted = true);
    give_way(Status::Done);
}

extern "C" fn barrier(file: *const c_char, line: c_uint) {
    // SAFETY: the pointer is to the name of a file, stored in the library.
    let file = unsafe { CStr::from_ptr(file) };
    give_way(Status::Barrier { file, line });
}

extern "C" fn synchronise_warp(mask: c_uint) {
    meet(mask, 0, |_| {
        with(|state| {
            let warp = state.current / 32;
            state.clock.warp(warp);
        });
    });
}

extern "C" fn from_lane(mask: c_uint, mine: u64, lane: c_uint) -> u64 {
    exchange(mask, mine)[lane as usize]
}

extern "C" fn ballot(mask: c_uint, mine: c_uint) -> c_uint {
    let brought = exchange(mask, mine.into());
    (0..32).filter(|lane| mask >> lane & 1 == 1 && brought[*lane] != 0).fold(0, |ballot, lane| ballot | 1 << lane)
}

/// Returns the values of all lanes in the mask; those of other lanes are arbitrary.
fn exchange(mask: u32, mine: u64) -> [u64; 32] {
    let brought = meet(mask, mine, |_| {});
    // SAFETY: the values stay valid until every lane of the mask has reached the meeting after the next.
    unsafe { *brought }
}

extern "C" fn together(mask: c_uint, mine: *mut c_void, all: Together) {
    // SAFETY: each lane passed a pointer to data on its own stack, and waits.
    meet(mask, mine as u64, |brought| unsafe { all(brought.cast()) });
}

/// Waits for the other lanes of the mask, and returns the values of all of them. The last lane calls `last` before
/// any lane continues.
fn meet(mask: u32, mine: u64, last: impl FnOnce(*const [u64; 32])) -> *const [u64; 32] {
    match with(|state| state.meetings.arrive(state.current, mask, mine)) {
        Arrival::Complete { lanes, brought } => {
            last(brought);
            with(|state| state.release(lanes));
            brought
        }
        Arrival::Waiting { brought } => {
            give_way(Status::Warp);
            brought
        }
        Arrival::Refused(why) => {
            with(|state| state.found_at(why.into(), "a warp collective".into(), None));
            abort();
            unreachable!("a thread that has been aborted is not resumed")
        }
    }
}

extern "C" fn dynamic_shared() -> *mut c_void {
    with(|state| state.dynamic() as *mut c_void)
}

extern "C" fn copy_async(
    to: *mut c_void,
    from: *const c_void,
    bytes: c_uint,
    source_bytes: c_uint,
    site: *const c_void,
) {
    let (bytes, source_bytes) = (bytes as usize, source_bytes as usize);
    let possible = with(|state| {
        let site = state.library.site(site);
        let mut possible = true;
        if state.checked {
            possible &= source_bytes == 0 || state.access(from as usize, source_bytes, Access::Read, site);
            possible &= state.access(to as usize, bytes, Access::Write, site);
            state.copying(to as usize, bytes, false);
        }
        if possible {
            // The destination is poisoned, because the data must not be readable before the wait even if checks are
            // off.
            // SAFETY: the kernel is responsible for its own shared memory; a checked build has verified the access.
            unsafe { std::ptr::write_bytes(to.cast::<u8>(), POISON, bytes) };
            let copy = Copy { to: to.cast(), from: from.cast(), bytes, source_bytes };
            let current = state.current;
            state.threads[current].open.push(copy);
        }
        possible
    });
    if !possible {
        abort();
    }
}

extern "C" fn commit_copies() {
    with(|state| {
        let thread = &mut state.threads[state.current];
        thread.groups.push(std::mem::take(&mut thread.open));
    });
}

extern "C" fn wait_for_copies(groups: c_uint) {
    with(|state| {
        let thread = &mut state.threads[state.current];
        let done = thread.groups.len().saturating_sub(groups as usize);
        let done: Vec<Copy> = thread.groups.drain(..done).flatten().collect();
        for Copy { to, from, bytes, source_bytes } in done {
            // SAFETY: as in `copy_async`. Bytes without a source become zeros.
            unsafe {
                std::ptr::write_bytes(to, 0, bytes);
                std::ptr::copy_nonoverlapping(from, to, source_bytes);
            }
            state.copying(to as usize, bytes, true);
        }
    });
}

extern "C" fn access(address: *const c_void, bytes: usize, kind: c_uint, site: *const c_void) {
    let access = [Access::Read, Access::Write, Access::Atomic][kind as usize];
    let possible = with(|state| {
        let site: Site = state.library.site(site);
        state.access(address as usize, bytes, access, site)
    });
    if !possible {
        abort();
    }
}

extern "C" fn undefined(what: *const c_char, file: *const c_char, line: c_uint) {
    // SAFETY: the compiler and the shim pass strings stored in the library.
    let [what, file] = [what, file].map(|text| unsafe { CStr::from_ptr(text) }.to_string_lossy());
    with(|state| state.found_at(what.into(), place(&file, line), None));
}
