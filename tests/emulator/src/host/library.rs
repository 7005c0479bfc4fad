//! The compiled kernels, loaded as a shared library.

use std::ffi::{c_char, c_uint, c_void};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::shadow::Site;

/// A value of type `uint3` or `dim3`.
pub type Coordinates = [u32; 3];

/// The functions that the kernels call. `Emulator` in `shim/cuda.h` is the same list.
#[repr(C)]
pub struct Table {
    pub barrier: extern "C" fn(file: *const c_char, line: c_uint),
    pub synchronise_warp: extern "C" fn(mask: c_uint),
    pub from_lane: extern "C" fn(mask: c_uint, mine: u64, lane: c_uint) -> u64,
    pub ballot: extern "C" fn(mask: c_uint, mine: c_uint) -> c_uint,
    pub together: extern "C" fn(mask: c_uint, mine: *mut c_void, all: Together),
    pub dynamic_shared: extern "C" fn() -> *mut c_void,
    pub copy_async: extern "C" fn(*mut c_void, *const c_void, bytes: c_uint, source: c_uint, site: *const c_void),
    pub commit_copies: extern "C" fn(),
    pub wait_for_copies: extern "C" fn(groups: c_uint),
    pub access: extern "C" fn(address: *const c_void, bytes: usize, kind: c_uint, site: *const c_void),
    pub undefined: extern "C" fn(what: *const c_char, file: *const c_char, line: c_uint),
}

/// A function that the last lane of a warp to arrive applies to the values of all lanes.
pub type Together = unsafe extern "C" fn(lanes: *const *mut c_void);

/// A kernel of the library, declared as `EmuKernel` in `shim/cuda.h`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Kernel {
    pub run: unsafe extern "C" fn(arguments: *const *mut c_void),
    shared_begin: *const u8,
    shared_end: *const u8,
}

impl Kernel {
    /// Returns the addresses of its module's static shared memory.
    pub fn shared(&self) -> Range<usize> {
        self.shared_begin as usize..self.shared_end as usize
    }
}

/// A shared library of kernels.
pub struct Library {
    path: PathBuf,
    library: libloading::Library,
    /// The addresses of the library itself: constants, coordinates and shared memory.
    pub image: Range<usize>,
    thread: *mut Coordinates,
    block: *mut Coordinates,
    block_size: *mut Coordinates,
    grid_size: *mut Coordinates,
}

// SAFETY: the pointers are to variables of the library, which one launch at a time writes.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Library {
    /// Loads a library made by [`super::compile::compile`] and gives it the runtime.
    pub fn load(path: &Path, table: Table) -> Result<Library> {
        // SAFETY: the library is made of the project's kernels and the shim, which do nothing when loaded.
        let library =
            unsafe { libloading::Library::new(path) }.with_context(|| format!("loading {}", path.display()))?;
        // SAFETY: the shim declares these symbols with these types.
        unsafe {
            *variable::<Table>(&library, "emulator")? = table;
            let begin = library.get::<extern "C" fn() -> usize>("emu_image_begin")?();
            let end = library.get::<extern "C" fn() -> usize>("emu_image_end")?();
            Ok(Library {
                path: path.into(),
                image: begin..end,
                thread: variable(&library, "threadIdx")?,
                block: variable(&library, "blockIdx")?,
                block_size: variable(&library, "blockDim")?,
                grid_size: variable(&library, "gridDim")?,
                library,
            })
        }
    }

    /// Returns the kernel of this name.
    pub fn kernel(&self, name: &str) -> Option<Kernel> {
        // SAFETY: the shim exports a kernel's description under this name.
        unsafe { variable::<Kernel>(&self.library, &format!("emu_kernel_{name}")).ok().map(|kernel| *kernel) }
    }

    /// Sets `blockDim` and `gridDim`.
    pub fn set_sizes(&self, block: Coordinates, grid: Coordinates) {
        // SAFETY: they point to the library's variables.
        unsafe { (*self.block_size, *self.grid_size) = (block, grid) };
    }

    /// Sets `blockIdx`.
    pub fn set_block(&self, block: Coordinates) {
        // SAFETY: it points to the library's variable.
        unsafe { *self.block = block };
    }

    /// Sets `threadIdx`.
    pub fn set_thread(&self, thread: Coordinates) {
        // SAFETY: it points to the library's variable.
        unsafe { *self.thread = thread };
    }

    /// Returns the site of a return address.
    pub fn site(&self, address: *const c_void) -> Site {
        (address as usize).wrapping_sub(self.image.start) as Site
    }

    /// Returns the file and line of a site: the innermost one in the kernel rather than in the shim.
    pub fn place(&self, site: Site) -> String {
        let mut command = Command::new("addr2line");
        // The call precedes the address that it returns to.
        command.args(["-i", "-s", "-e"]).arg(&self.path).arg(format!("{:#x}", site.wrapping_sub(1)));
        let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let lines = output.unwrap_or_default();
        let mut frames = lines.lines().map(|line| line.split(" (").next().unwrap_or(line));
        let in_kernel = frames.clone().find(|frame| frame.contains(".cu:"));
        in_kernel.or_else(|| frames.next()).map_or_else(|| format!("{site:#x}"), str::to_string)
    }
}

/// Formats a place in a file, using only the file's own name.
pub fn place(file: &str, line: u32) -> String {
    format!("{}:{line}", file.rsplit('/').next().unwrap_or(file))
}

/// Returns the address of a variable.
///
/// # Safety
/// The library's symbol has this type.
unsafe fn variable<T>(library: &libloading::Library, name: &str) -> Result<*mut T> {
    // SAFETY: the caller guarantees the type.
    let symbol = unsafe { library.get::<*mut T>(name) };
    symbol.map(|symbol| *symbol).with_context(|| format!("the kernels' library has no {name}"))
}
