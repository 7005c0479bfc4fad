//! Uses the executors as devices of tensors.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use mergan_emulator::launch::{self, Executor, LaunchError, Schedule};
use mergan_emulator::ledger::{self, Tier};
use mergan_emulator::sources::{self, Module};
use mergan_tensor::cuda::{self, Driver, DriverError, Graph, Graphs, Launch, Options, Precision};
use mergan_tensor::{Adam, AdamOptions, Address, Device, Random, Tensor, conformance};

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
pub fn device(tier: Tier, modules: &[Module], options: impl Into<Options>) -> Device {
    let executor = executor(tier, modules, Schedule::Shuffled(1));
    let driver = Emulated { tier, executor, capture: Mutex::default(), graphs: Mutex::default() };
    cuda::install(Arc::new(driver), options).expect("the device has tensor cores")
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
pub fn whole_device(tier: Tier, options: impl Into<Options>) -> Device {
    device(tier, &sources::modules().expect("the project's kernels"), options)
}

/// Returns the small cases, and a layer whose sum is split into parts.
fn cases() -> Vec<conformance::Case> {
    let layers = conformance::layer_cases(1).into_iter().filter(|case| case.name() == "critic, classes");
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
    every_operation_conforms(Tier::Fast, || conformance::layer_cases(3));
}

/// A function of a tensor of five numbers.
type Work<'a> = &'a dyn Fn(&Tensor) -> Tensor;

#[test]
fn work_in_which_the_host_takes_part_is_done_plainly() {
    let device = whole_device(Tier::Fast, Precision::F32);
    let other = whole_device(Tier::Fast, Precision::F32);
    let at = Address { step: 3, ..Address::default() };
    let elsewhere = Address { step: 4, ..at };
    let (random, x) = (Random::new(1), Tensor::full(2.0, [5], device));
    let adam = Adam::new(AdamOptions { beta1: 0.5, ..AdamOptions::default() });
    let inputs = [at.graph_input(), adam.graph_input(0.1)];
    let capture = |work: Work| Graph::capture(&inputs, &[&x], |x| vec![work(&x[0])]);
    let (_, graph) = capture(&|x| x * 3.0);
    let inner = RefCell::new(graph);
    let steps = |rates: &[f64], x: &Tensor| {
        let (mut x, mut adam) = (x.variable(), adam.clone());
        rates.iter().for_each(|rate| adam.step(*rate, vec![&mut x], &[Tensor::full(1.0, [5], device)]));
        x
    };
    let reads: Work = &|x| x * x.sum().item();
    let prints: Work = &|x| x * format!("{x:?}").len() as f64;
    let draws: Work = &|x| x * random.below(at, 1, 9)[0] as f64;
    let orders: Work = &|x| x.index_select(0, &random.permutation(at, 5));
    let draws_elsewhere: Work = &|x| x + random.normal(elsewhere, x.shape(), device);
    let takes_two_steps: Work = &|x| steps(&[0.1, 0.1], x);
    let takes_another_step: Work = &|x| steps(&[0.2], x);
    let uses_another_device: Work = &|x| {
        let _ = Tensor::full(1.0, [5], other) * 2.0;
        x * 2.0
    };
    let launches: Work =
        &|x| inner.borrow_mut().as_mut().expect("work of kernels alone").launch(&inputs, &[x]).remove(0);
    let frees: Work = &|x| {
        drop(inner.take());
        x * 2.0
    };
    let all = [
        reads,
        prints,
        draws,
        orders,
        draws_elsewhere,
        takes_two_steps,
        takes_another_step,
        uses_another_device,
        launches,
        frees,
    ];
    for (number, work) in all.into_iter().enumerate() {
        // The part that cannot be recorded has kernels before and after it.
        let around = |x: &Tensor| work(&(x + 1.0).square()) * 0.5 + x;
        let ends = Cell::new(0);
        let (results, graph) = capture(&|x| {
            let result = around(x);
            ends.set(ends.get() + 1);
            result
        });
        assert!(graph.is_none(), "work {number} is recorded");
        assert_eq!(ends.get(), 1, "work {number} goes on to its end, once");
        assert_eq!(results[0].to_vec::<f32>(), around(&x).to_vec::<f32>(), "work {number}");
    }
    let (results, graph) = capture(&|x| steps(&[0.1], x) + random.normal(at, x.shape(), device));
    let mut graph = graph.expect("work of kernels alone");
    assert_eq!(results[0].to_vec::<f32>(), graph.launch(&inputs, &[&x])[0].to_vec::<f32>());
    let (there, rate) = ([elsewhere.graph_input(), adam.graph_input(0.3)], 0.3);
    let expected = steps(&[rate], &x) + random.normal(elsewhere, x.shape(), device);
    assert_eq!(graph.launch(&there, &[&x])[0].to_vec::<f32>(), expected.to_vec::<f32>());
}

#[test]
fn a_recording_inside_of_a_recording_is_a_part_of_it() {
    let device = whole_device(Tier::Fast, Precision::F32);
    let full = |value| Tensor::full(value, [5], device);
    let (mut inside, triple) = (None, |x: &[Tensor]| vec![&x[0] * 3.0]);
    let (_, outside) = Graph::capture(&[], &[&full(2.0)], |x| {
        let (results, graph) = Graph::capture(&[], &[&x[0]], triple);
        inside = graph;
        vec![&results[0] + 1.0]
    });
    assert!(inside.is_none());
    assert_eq!(outside.expect("work of kernels alone").launch(&[], &[&full(4.0)])[0].to_vec::<f32>(), [13.0; 5]);
}

#[test]
fn a_graph_holds_what_its_kernels_find_by_address() {
    let device = whole_device(Tier::Fast, Precision::F32);
    let tensor = |value: f64| Tensor::from_vec(vec![value; 5], [5], device);
    let inputs = [Adam::default().graph_input(0.1)];
    let (results, graph) = Graph::capture(&inputs, &[&tensor(2.0)], |x| {
        let mut x = x[0].variable();
        Adam::default().step(0.1, vec![&mut x], &[tensor(-1.0)]);
        vec![x]
    });
    // These tensors would take the gradient's memory if it were free.
    let _others = [(); 9].map(|()| tensor(1.0));
    let again = graph.expect("work of kernels alone").launch(&inputs, &[&tensor(2.0)]);
    assert_eq!(again[0].to_vec::<f32>(), results[0].to_vec::<f32>());
}

#[test]
fn a_recording_ends_where_its_work_fails() {
    let device = whole_device(Tier::Fast, Precision::F32);
    let x = Tensor::full(2.0, [5], device);
    let fails = || Graph::capture(&[], &[&x], |x| vec![&x[0] * 3.0 + Tensor::zeros([2], device)]);
    assert!(catch_unwind(AssertUnwindSafe(fails)).is_err());
    let (results, graph) = Graph::capture(&[], &[&x], |x| vec![&x[0] * 3.0]);
    assert_eq!((results[0].to_vec::<f32>(), graph.is_some()), (vec![6.0; 5], true));
}

#[test]
fn a_device_without_graphs_records_nothing() {
    let device = whole_device(Tier::Fast, Options { graphs: false, ..Options::default() });
    let (results, graph) = Graph::capture(&[], &[&Tensor::full(2.0, [5], device)], |x| vec![&x[0] * 3.0]);
    assert_eq!((results[0].to_vec::<f32>(), graph.is_some()), (vec![6.0; 5], false));
}

/// Lets one thread record and launch graphs while another one computes on the same device.
fn threads_share_a_device(tier: Tier, rounds: usize) {
    let device = whole_device(tier, Precision::F32);
    let full = |value: f64| Tensor::full(value, [3], device);
    let numbers = |tensor: &Tensor| tensor.to_vec::<f64>();
    std::thread::scope(|scope| {
        let recording = scope.spawn(move || {
            for round in 0..rounds {
                let value = round as f64;
                let work = |x: &[Tensor]| vec![&x[0] * 2.0 + &x[0], &x[0] + 1.0];
                let (results, graph) = Graph::capture(&[], &[&full(value)], work);
                assert_eq!([numbers(&results[0]), numbers(&results[1])], [[3.0 * value; 3], [value + 1.0; 3]]);
                let results = graph.expect("work of kernels alone").launch(&[], &[&full(value + 1.0)]);
                assert_eq!([numbers(&results[0]), numbers(&results[1])], [[3.0 * value + 3.0; 3], [value + 2.0; 3]]);
            }
        });
        // The uploads, launches, reads and drops of this thread meet every phase of the recordings.
        let mut round = 0;
        while round < rounds || !recording.is_finished() {
            let value = (round % rounds) as f64;
            let x = Tensor::from_vec(vec![value; 3], [3], device);
            assert_eq!(numbers(&(x * -1.0 - full(1.0))), [-value - 1.0; 3]);
            round += 1;
        }
    });
}

#[test]
fn threads_share_a_device_that_pools_memory() {
    threads_share_a_device(Tier::Fast, 1000);
}

#[test]
fn threads_share_a_device_that_checks_accesses() {
    threads_share_a_device(Tier::Checked, 100);
}
