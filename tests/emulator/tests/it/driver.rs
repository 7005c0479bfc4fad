//! Uses the executors as devices of tensors.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use mergan_emulator::launch::{self, Executor, LaunchError, Schedule};
use mergan_emulator::ledger::{self, Tier};
use mergan_emulator::sources::{self, Module};
use mergan_tensor::cuda::{self, Driver, DriverError, Graph, Graphs, Launch, Precision, Turn};
use mergan_tensor::{Adam, Address, Device, Random, Tensor, conformance};

use crate::support::{executor, rows};

/// An executor behind the backend of tensors.
struct Emulated {
    tier: Tier,
    executor: Box<dyn Executor>,
    /// The launches recorded since a recording began.
    capture: Mutex<Option<Vec<Recorded>>>,
    graphs: Mutex<HashMap<u64, Vec<Recorded>>>,
}

/// A launch with the bytes of its arguments.
#[derive(Clone)]
struct Recorded {
    launch: Launch,
    arguments: Vec<Vec<u8>>,
}

impl Emulated {
    /// # Safety
    /// The same conditions as for [`Driver::launch`].
    unsafe fn run(&self, launch: &Launch, arguments: &[*mut c_void]) -> Result<(), DriverError> {
        let &Launch { kernel, grid, block, shared, .. } = launch;
        let launch = launch::Launch { kernel, grid, block, shared: shared as usize, arguments };
        // SAFETY: the caller guarantees the arguments.
        unsafe { self.executor.launch(&launch) }.map_err(failed)
    }
}

fn failed(error: LaunchError) -> DriverError {
    DriverError::Failed(error.to_string())
}

impl Driver for Emulated {
    fn name(&self) -> String {
        format!("emulated:{}", self.tier.name())
    }

    fn compute_capability(&self) -> (u32, u32) {
        (8, 6)
    }

    fn free_memory(&self) -> Result<usize, DriverError> {
        Ok(usize::MAX)
    }

    fn pools_memory(&self) -> bool {
        // If accesses are checked, each buffer must end where its tensor ends.
        self.tier == Tier::Fast
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DriverError> {
        Ok(self.executor.allocate(bytes))
    }

    unsafe fn free(&self, address: u64) {
        self.executor.free(address).expect("the backend frees what it allocated");
    }

    unsafe fn copy_to_device(&self, address: u64, bytes: &[u8]) -> Result<(), DriverError> {
        self.executor.write(address, bytes).map_err(failed)
    }

    unsafe fn copy_from_device(&self, bytes: &mut [u8], address: u64) -> Result<(), DriverError> {
        if self.capture.lock().unwrap().is_some() {
            return Err(DriverError::Failed("nothing is copied from a device that records".into()));
        }
        READS.set(READS.get() + 1);
        self.executor.read(address, bytes).map_err(failed)
    }

    unsafe fn launch(&self, launch: &Launch, arguments: &mut [*mut c_void]) -> Result<(), DriverError> {
        let mut capture = self.capture.lock().unwrap();
        let Some(capture) = &mut *capture else {
            // SAFETY: the caller guarantees the arguments.
            return unsafe { self.run(launch, arguments) };
        };
        let kernel = cuda::kernels().find(|kernel| kernel.name == launch.kernel).expect("a kernel of the project");
        let arguments = arguments.iter().zip(kernel.parameters).map(|(argument, size)| {
            // SAFETY: the caller guarantees a value of the parameter's type, which has that many bytes.
            unsafe { std::slice::from_raw_parts(argument.cast::<u8>(), size) }.to_vec()
        });
        capture.push(Recorded { launch: *launch, arguments: arguments.collect() });
        Ok(())
    }

    fn graphs(&self) -> Option<&dyn Graphs> {
        Some(self)
    }

    fn synchronize(&self) -> Result<(), DriverError> {
        Ok(())
    }
}

/// Records as a GPU does: nothing runs meanwhile, and a copy from the device is an error.
impl Graphs for Emulated {
    fn begin_capture(&self) -> Result<(), DriverError> {
        let before = self.capture.lock().unwrap().replace(Vec::new());
        assert!(before.is_none(), "one recording at a time");
        Ok(())
    }

    fn end_capture(&self) -> Result<u64, DriverError> {
        let recorded = self.capture.lock().unwrap().take().expect("a recording that was begun");
        let number = GRAPHS.fetch_add(1, Ordering::Relaxed);
        self.graphs.lock().unwrap().insert(number, recorded);
        Ok(number)
    }

    unsafe fn launch(&self, graph: u64) -> Result<(), DriverError> {
        let recorded = self.graphs.lock().unwrap()[&graph].clone();
        for Recorded { launch, mut arguments } in recorded {
            let pointers: Vec<*mut c_void> =
                arguments.iter_mut().map(|argument| argument.as_mut_ptr().cast()).collect();
            // SAFETY: these are the arguments of the recording, and the caller guarantees what they point to.
            unsafe { self.run(&launch, &pointers) }?;
        }
        Ok(())
    }

    fn free(&self, graph: u64) {
        self.graphs.lock().unwrap().remove(&graph).expect("a recording is freed once");
    }
}

thread_local! {
    static READS: Cell<usize> = const { Cell::new(0) };
}

/// Returns how often this thread has copied from a device.
pub fn reads() -> usize {
    READS.get()
}

/// The number of recordings made so far by all devices.
static GRAPHS: AtomicU64 = AtomicU64::new(0);

/// Installs a device of this tier with these modules.
pub fn device(tier: Tier, modules: &[Module], precision: Precision) -> Device {
    let executor = executor(tier, modules, Schedule::Shuffled(1));
    let driver = Emulated { tier, executor, capture: Mutex::default(), graphs: Mutex::default() };
    cuda::install(Arc::new(driver), precision).expect("the device has tensor cores")
}

/// Compares every operation with the reference device, and records in the ledger which kernels were compared.
pub fn conforms(tier: Tier, device: Device, cases: Vec<conformance::Case>) {
    let modules = sources::modules().expect("the project's kernels");
    for case in cases {
        let outcome = case.check(device);
        assert!(
            outcome.passed(),
            "{}: {} times the error of rounding, by {:?}",
            outcome.case,
            outcome.error,
            outcome.kernels
        );
        for kernel in outcome.kernels {
            if let Some(module) = modules.iter().find(|module| module.kernels().contains(&kernel)) {
                ledger::compared(&rows(), module, kernel, tier).expect("the ledger can be written");
            }
        }
    }
}

/// Installs a device of a tier with all of the project's kernels.
pub fn whole_device(tier: Tier, precision: Precision) -> Device {
    device(tier, &sources::modules().expect("the project's kernels"), precision)
}

/// Returns the small cases, and a layer whose sum is split into parts.
fn cases() -> Vec<conformance::Case> {
    let layers = conformance::digit_cases(1).into_iter().filter(|case| case.name() == "critic, classes");
    conformance::small_cases().into_iter().chain(layers).collect()
}

fn every_operation_conforms(tier: Tier, cases: fn() -> Vec<conformance::Case>) {
    for precision in [Precision::F32, Precision::Tf32] {
        conforms(tier, whole_device(tier, precision), cases());
    }
}

#[test]
fn every_operation_conforms_on_the_checked_host() {
    every_operation_conforms(Tier::Checked, cases);
}

#[test]
fn every_operation_conforms_in_the_interpreter() {
    every_operation_conforms(Tier::Interpreter, cases);
}

#[test]
fn every_operation_conforms_on_the_fast_host() {
    every_operation_conforms(Tier::Fast, conformance::small_cases);
}

#[test]
fn the_networks_layers_conform_on_the_fast_host() {
    every_operation_conforms(Tier::Fast, || conformance::digit_cases(3));
}

#[test]
fn work_in_which_the_host_takes_part_is_not_recorded() {
    let device = whole_device(Tier::Fast, Precision::F32);
    let at = Address { iteration: 3, ..Address::default() };
    let (x, turn) = (Tensor::full(2.0, [5], device), Turn { address: at, step: Adam::default().next_step(0.1) });
    let captures = |work: &dyn Fn(&Tensor) -> Tensor| Graph::capture(&turn, &[&x], |x| vec![work(&x[0])]);
    let random = Random::new(1);
    let reads: &dyn Fn(&Tensor) -> Tensor = &|x| x * x.sum().item();
    let draws: &dyn Fn(&Tensor) -> Tensor = &|x| x * random.below(at, 1, 9)[0] as f64;
    let orders: &dyn Fn(&Tensor) -> Tensor = &|x| x.index_select(0, &random.permutation(at, 5));
    let elsewhere: &dyn Fn(&Tensor) -> Tensor =
        &|x| x + random.normal(Address { iteration: 4, ..at }, x.shape(), device);
    for work in [reads, draws, orders, elsewhere] {
        assert!(captures(work).is_none());
        assert!(work(&x).sum().item().is_finite(), "the device goes on");
    }
    let graph = captures(&|x| x * 3.0).expect("work of kernels alone");
    let results = [1.0, 7.0].map(|value| graph.launch(&turn, &[&Tensor::full(value, [5], device)]));
    assert_eq!(results.map(|result| result[0].to_vec::<f32>()), [vec![3.0; 5], vec![21.0; 5]]);
}

/// Runs in a process of its own, because the environment belongs to the whole process.
#[test]
fn the_environment_keeps_work_from_being_recorded() {
    const VARIABLE: &str = "MERGAN_CUDA_GRAPHS";
    if std::env::var_os(VARIABLE).is_none_or(|value| value != "0") {
        let mut this = Command::new(std::env::current_exe().unwrap());
        this.args(["--exact", "driver::the_environment_keeps_work_from_being_recorded"]).env(VARIABLE, "0");
        let output = this.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let x = Tensor::full(2.0, [5], whole_device(Tier::Fast, Precision::F32));
    let turn = Turn { address: Address::default(), step: Adam::default().next_step(0.1) };
    assert!(Graph::capture(&turn, &[&x], |x| vec![&x[0] * 3.0]).is_none());
}
