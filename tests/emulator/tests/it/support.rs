//! Functions shared by the tests of the executors.

use std::env;
use std::ffi::c_void;
use std::fs;
use std::path::{Path, PathBuf};

use mergan_emulator::host::{Build, Host};
use mergan_emulator::launch::{Executor, Launch, LaunchError, Schedule};
use mergan_emulator::ledger::Tier;
use mergan_emulator::nvrtc::Nvrtc;
use mergan_emulator::ptx::Interpreter;
use mergan_emulator::sources::{self, Module};

/// Returns cargo's folder for test files.
pub fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Returns the file that `cargo xtask ledger` reads. On a machine that has only a GPU, `MERGAN_LEDGER` names it.
pub fn rows() -> PathBuf {
    env::var_os("MERGAN_LEDGER").map_or_else(|| scratch().join("kernel-ledger.tsv"), PathBuf::from)
}

/// Returns the PTX of a module, compiling it if necessary.
fn ptx(module: &Module) -> String {
    let file = scratch().join(format!("{}-{}.ptx", module.name, module.hash()));
    fs::read_to_string(&file).unwrap_or_else(|_| {
        // `cargo xtask ptx` uses the same cache.
        let cache = scratch().parent().expect("the folder is in the target directory").join("nvrtc");
        let nvrtc = Nvrtc::open(&cache).expect("NVRTC from PyPI");
        let ptx = nvrtc.ptx(module).expect("NVRTC compiles");
        let partial = file.with_extension(std::process::id().to_string());
        fs::write(&partial, &ptx).and_then(|()| fs::rename(&partial, &file)).expect("a file for the PTX");
        ptx
    })
}

/// Loads a module written for the tests, preceded by the project's prelude.
pub fn sample(name: &str) -> Module {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels").join(name).with_extension("cu");
    sources::load(&file).expect("a sample")
}

/// Creates a device of a tier for these modules.
pub fn executor(tier: Tier, modules: &[Module], schedule: Schedule) -> Box<dyn Executor> {
    let host = |build| Box::new(Host::new(modules, build, schedule, &scratch().join("kernels")).expect("g++ compiles"));
    match tier {
        Tier::Fast => host(Build::Fast),
        Tier::Checked => host(Build::Checked),
        Tier::Interpreter => {
            let ptx: Vec<String> = modules.iter().map(ptx).collect();
            Box::new(Interpreter::new(ptx.iter().map(String::as_str), schedule).expect("every instruction is known"))
        }
        Tier::Gpu => panic!("a GPU is no executor"),
    }
}

/// The tiers that need no GPU.
pub const TIERS: [Tier; 3] = [Tier::Fast, Tier::Checked, Tier::Interpreter];

/// The schedules in which every kernel must work.
pub const SCHEDULES: [Schedule; 3] = [Schedule::Forward, Schedule::Backward, Schedule::Shuffled(7)];

/// An argument of a kernel.
#[derive(Clone, Copy)]
pub enum Value {
    Address(u64),
    Int(i32),
    Float(f32),
    /// A structure of an integer and a number.
    Pair(i32, f32),
    /// A structure of the sizes of a convolution.
    Sizes([i32; 15]),
}

impl Value {
    /// Returns the value as it lies in memory.
    fn words(self) -> [u32; 16] {
        let mut words = [0; 16];
        match self {
            Value::Address(address) => (words[0], words[1]) = (address as u32, (address >> 32) as u32),
            Value::Int(number) => words[0] = number as u32,
            Value::Float(number) => words[0] = number.to_bits(),
            Value::Pair(first, second) => (words[0], words[1]) = (first as u32, second.to_bits()),
            Value::Sizes(sizes) => words[..15].copy_from_slice(&sizes.map(|size| size as u32)),
        }
        words
    }

    fn address(self) -> u64 {
        match self {
            Value::Address(address) => address,
            _ => panic!("a number is no buffer"),
        }
    }
}

/// Launches a kernel with these arguments.
pub fn launch(
    device: &dyn Executor,
    kernel: &str,
    [grid, block]: [[u32; 3]; 2],
    shared: usize,
    values: &[Value],
) -> Result<(), LaunchError> {
    /// An argument with the strictest alignment that a parameter may have.
    #[repr(align(16))]
    struct Argument([u32; 16]);
    let mut places: Vec<Argument> = values.iter().map(|value| Argument(value.words())).collect();
    let arguments: Vec<*mut c_void> = places.iter_mut().map(|place| place.0.as_mut_ptr().cast()).collect();
    let launch = Launch { kernel, grid, block, shared, arguments: &arguments };
    // SAFETY: the tests give each kernel arguments of its types, and buffers that are long enough; only faulty copies
    // exceed them, and these run on checked devices.
    unsafe { device.launch(&launch) }
}

/// Allocates a buffer with these numbers.
pub fn upload(device: &dyn Executor, numbers: &[f32]) -> Value {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let address = device.allocate(bytes.len());
    device.write(address, &bytes).expect("the buffer is long enough");
    Value::Address(address)
}

/// Reads the first numbers of a buffer.
pub fn download(device: &dyn Executor, buffer: Value, count: usize) -> Vec<f32> {
    words(device, buffer, count).into_iter().map(f32::from_bits).collect()
}

/// Reads the first words of a buffer.
pub fn words(device: &dyn Executor, buffer: Value, count: usize) -> Vec<u32> {
    let mut bytes = vec![0; 4 * count];
    device.read(buffer.address(), &mut bytes).expect("the buffer is long enough");
    bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

/// Returns numbers in [-1, 1).
pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        for shift in [13, -7, 17] {
            state ^= if shift > 0 { state << shift } else { state >> -shift };
        }
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}
