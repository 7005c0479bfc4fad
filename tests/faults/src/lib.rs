//! Lets a program's input and output fail, as in the tests of SQLite: the n-th call below a folder returns an error,
//! does half its work, or ends the process. The library is loaded in front of the program by `LD_PRELOAD`; its
//! functions have the names of those of the C library, which they call.
//!
//! | variable | meaning |
//! |---|---|
//! | `MERGAN_FAULT_FOLDERS` | only calls on files below these folders count, separated by `:` |
//! | `MERGAN_FAULT_AT` | the number of the call that fails, from 1; without it, calls are only counted |
//! | `MERGAN_FAULT` | what happens there: `eio`, `eio-on`, `enospc`, `short` or `kill`, as in `Fault` |
//! | `MERGAN_FAULT_LOG` | a file to which a line is appended for each call: its number, its name and its file |
//! | `MERGAN_FAULT_FLOCK` | the number of the error that every call of `flock` returns, wherever its file is |
//!
//! Calls that a program makes without the C library are not seen. Each process counts its own.

#![allow(unsafe_code, reason = "it stands for functions of the C library")]
#![cfg(target_os = "linux")]

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{c_char, c_int, c_uint, c_void, mode_t, off64_t, size_t, ssize_t};

/// What happens at the chosen call.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// The call returns EIO, and the following ones work, as after a passing fault of a network.
    Error,
    /// The call and all that follow return EIO, as on a disk that has failed.
    ErrorsFromThenOn,
    /// The disk is full: a write does half its work, and then all calls that need room return ENOSPC.
    Full,
    /// A read or write does half its work, which is no error.
    Short,
    /// The process is killed; a write has done half its work by then.
    Kill,
}

/// The choices of this process.
struct Plan {
    folders: Vec<PathBuf>,
    at: Option<usize>,
    fault: Fault,
    log: Option<c_int>,
}

/// A kind of call.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    needs_room: bool,
    /// Whether half of it can be done.
    moves_bytes: bool,
}

/// What a call has to do.
enum Order {
    Work,
    Half,
    Fail(c_int),
    /// Does half the work if it moves bytes, then ends the process.
    Die,
}

static CALLS: AtomicUsize = AtomicUsize::new(0);

fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let fault = match std::env::var("MERGAN_FAULT").as_deref() {
            Ok("eio-on") => Fault::ErrorsFromThenOn,
            Ok("enospc") => Fault::Full,
            Ok("short") => Fault::Short,
            Ok("kill") => Fault::Kill,
            _ => Fault::Error,
        };
        let folders = std::env::var_os("MERGAN_FAULT_FOLDERS").unwrap_or_default();
        let log = std::env::var("MERGAN_FAULT_LOG").ok().and_then(|path| std::ffi::CString::new(path).ok());
        let log = log.map(|path| {
            let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_APPEND | libc::O_CLOEXEC;
            // SAFETY: the path is a C string; the system call itself is used because `openat` is one of the functions
            // of this library.
            unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0o644) as c_int }
        });
        Plan {
            folders: std::env::split_paths(&folders).filter(|folder| !folder.as_os_str().is_empty()).collect(),
            at: std::env::var("MERGAN_FAULT_AT").ok().and_then(|at| at.parse().ok()),
            fault,
            log,
        }
    })
}

/// Decides what a call on a file does.
fn order(kind: Kind, file: Option<PathBuf>) -> Order {
    let plan = plan();
    let Some(file) = file.filter(|file| plan.folders.iter().any(|folder| file.starts_with(folder))) else {
        return Order::Work;
    };
    let call = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    if let Some(log) = plan.log {
        let line = format!("{call} {} {}\n", kind.name, file.display());
        // SAFETY: the pointer and the length are those of the line.
        unsafe { libc::syscall(libc::SYS_write, log, line.as_ptr(), line.len()) };
    }
    let Some(at) = plan.at.filter(|&at| call >= at) else { return Order::Work };
    let here = call == at;
    match plan.fault {
        Fault::Error if here => Order::Fail(libc::EIO),
        Fault::ErrorsFromThenOn => Order::Fail(libc::EIO),
        Fault::Full if here && kind.moves_bytes && kind.needs_room => Order::Half,
        Fault::Full if kind.needs_room => Order::Fail(libc::ENOSPC),
        Fault::Short if here && kind.moves_bytes => Order::Half,
        Fault::Kill if here => Order::Die,
        _ => Order::Work,
    }
}

fn die() -> ! {
    // SAFETY: the call has no preconditions; it ends this process.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    unreachable!("no process survives SIGKILL")
}

fn fail(error: c_int) {
    // SAFETY: the C library returns the place of this thread's error number.
    unsafe { *libc::__errno_location() = error };
}

/// Returns the file of a descriptor.
fn of_descriptor(descriptor: c_int) -> Option<PathBuf> {
    (descriptor > 2).then(|| std::fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()).flatten()
}

/// Returns the file of a path relative to the folder of a descriptor, or to the working directory (`AT_FDCWD`).
///
/// # Safety
/// `path` is null or a C string.
unsafe fn of_path(folder: c_int, path: *const c_char) -> Option<PathBuf> {
    if path.is_null() {
        return None;
    }
    // SAFETY: it is a C string.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()));
    let folder = if path.is_absolute() { None } else { of_folder(folder) };
    Some(folder.map_or_else(|| path.into(), |folder| folder.join(path)))
}

fn of_folder(folder: c_int) -> Option<PathBuf> {
    if folder == libc::AT_FDCWD { std::env::current_dir().ok() } else { of_descriptor(folder) }
}

/// Returns the C library's function of this name.
fn real(name: &CStr, found: &AtomicUsize) -> usize {
    let mut function = found.load(Ordering::Relaxed);
    if function == 0 {
        // SAFETY: the name is a C string; the library that follows this one in the search is the C library.
        function = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) } as usize;
        assert_ne!(function, 0, "{name:?} is not in the C library");
        found.store(function, Ordering::Relaxed);
    }
    function
}

/// Defines functions that stand in for those of the C library, each with its kind and its file.
macro_rules! stand_ins {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty: $kind:expr, $file:expr;)*) => {$(
        /// Stands in for the C library's function of this name.
        ///
        /// # Safety
        /// The requirements are those of the C library's function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            static REAL: AtomicUsize = AtomicUsize::new(0);
            let name = CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes());
            let function = real(name.expect("names of functions contain no null"), &REAL);
            // SAFETY: this is the function of this name, whose signature is the same.
            let function: unsafe extern "C" fn($($type),*) -> $result = unsafe { std::mem::transmute(function) };
            match order($kind, $file) {
                // SAFETY: the caller's promises are handed on.
                Order::Work | Order::Half => unsafe { function($($argument),*) },
                Order::Fail(error) => {
                    fail(error);
                    -1
                }
                Order::Die => die(),
            }
        }
    )*};
}

/// Defines stand-ins for functions that move `$count` bytes and return how many they moved.
macro_rules! movers {
    ($($name:ident($($argument:ident: $type:ty),*), $count:ident: $kind:expr, $file:expr;)*) => {$(
        /// Stands in for the C library's function of this name.
        ///
        /// # Safety
        /// The requirements are those of the C library's function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> ssize_t {
            static REAL: AtomicUsize = AtomicUsize::new(0);
            let name = CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes());
            let function = real(name.expect("names of functions contain no null"), &REAL);
            // SAFETY: this is the function of this name, whose signature is the same.
            let function: unsafe extern "C" fn($($type),*) -> ssize_t = unsafe { std::mem::transmute(function) };
            let order = order($kind, $file);
            let $count = if matches!(order, Order::Half | Order::Die) { $count.div_ceil(2) } else { $count };
            if let Order::Fail(error) = order {
                fail(error);
                return -1;
            }
            // SAFETY: the caller's promises are handed on; fewer bytes need no more than they grant.
            let moved = unsafe { function($($argument),*) };
            if matches!(order, Order::Die) { die() } else { moved }
        }
    )*};
}

const fn kind(name: &'static str) -> Kind {
    Kind { name, needs_room: false, moves_bytes: false }
}

const fn growing(name: &'static str) -> Kind {
    Kind { needs_room: true, ..kind(name) }
}

const READ: Kind = Kind { moves_bytes: true, ..kind("read") };
const WRITE: Kind = Kind { moves_bytes: true, ..growing("write") };

fn opening(flags: c_int) -> Kind {
    if flags & libc::O_CREAT != 0 { growing("creat") } else { kind("open") }
}

// A function that takes a variable number of arguments finds the first ones where one with a fixed number does.
stand_ins! {
    open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int:
        // SAFETY: the caller hands a C string, here and below.
        opening(flags), unsafe { of_path(libc::AT_FDCWD, path) };
    open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int:
        // SAFETY: as above.
        opening(flags), unsafe { of_path(libc::AT_FDCWD, path) };
    openat(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int:
        // SAFETY: as above.
        opening(flags), unsafe { of_path(folder, path) };
    openat64(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int:
        // SAFETY: as above.
        opening(flags), unsafe { of_path(folder, path) };
    fsync(file: c_int) -> c_int: kind("fsync"), of_descriptor(file);
    fdatasync(file: c_int) -> c_int: kind("fsync"), of_descriptor(file);
    ftruncate(file: c_int, length: off64_t) -> c_int: growing("truncate"), of_descriptor(file);
    ftruncate64(file: c_int, length: off64_t) -> c_int: growing("truncate"), of_descriptor(file);
    rename(from: *const c_char, to: *const c_char) -> c_int:
        // SAFETY: as above.
        growing("rename"), unsafe { of_path(libc::AT_FDCWD, to) };
    renameat(old: c_int, from: *const c_char, new: c_int, to: *const c_char) -> c_int:
        // SAFETY: as above.
        growing("rename"), unsafe { of_path(new, to) };
    linkat(old: c_int, from: *const c_char, new: c_int, to: *const c_char, flags: c_int) -> c_int:
        // SAFETY: as above.
        growing("link"), unsafe { of_path(new, to) };
    unlink(path: *const c_char) -> c_int:
        // SAFETY: as above.
        kind("unlink"), unsafe { of_path(libc::AT_FDCWD, path) };
    unlinkat(folder: c_int, path: *const c_char, flags: c_int) -> c_int:
        // SAFETY: as above.
        kind("unlink"), unsafe { of_path(folder, path) };
    rmdir(path: *const c_char) -> c_int:
        // SAFETY: as above.
        kind("rmdir"), unsafe { of_path(libc::AT_FDCWD, path) };
    mkdir(path: *const c_char, mode: mode_t) -> c_int:
        // SAFETY: as above.
        growing("mkdir"), unsafe { of_path(libc::AT_FDCWD, path) };
}

movers! {
    read(file: c_int, buffer: *mut c_void, count: size_t), count: READ, of_descriptor(file);
    pread64(file: c_int, buffer: *mut c_void, count: size_t, at: off64_t), count: READ, of_descriptor(file);
    write(file: c_int, buffer: *const c_void, count: size_t), count: WRITE, of_descriptor(file);
    pwrite64(file: c_int, buffer: *const c_void, count: size_t, at: off64_t), count: WRITE, of_descriptor(file);
    copy_file_range(from: c_int, from_at: *mut off64_t, to: c_int, to_at: *mut off64_t, count: size_t, flags: c_uint),
        count: WRITE, of_descriptor(to);
}

/// Stands in for the C library's `flock`, as on a file system that has none.
///
/// # Safety
/// There are no requirements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flock(file: c_int, operation: c_int) -> c_int {
    static ERROR: OnceLock<Option<c_int>> = OnceLock::new();
    if let Some(error) = ERROR.get_or_init(|| std::env::var("MERGAN_FAULT_FLOCK").ok()?.parse().ok()) {
        fail(*error);
        return -1;
    }
    // SAFETY: the system call has no requirements.
    unsafe { libc::syscall(libc::SYS_flock, file, operation) as c_int }
}
