//! The executors as devices of tensors.

use std::ffi::c_void;
use std::sync::Arc;

use mergan_emulator::launch::{self, Executor, LaunchError, Schedule};
use mergan_emulator::ledger::{self, Tier};
use mergan_emulator::sources::{self, Module};
use mergan_tensor::cuda::{self, Driver, DriverError, Launch};
use mergan_tensor::{Device, conformance};

use crate::support::{executor, rows};

/// An executor behind the backend of tensors.
struct Emulated {
    tier: Tier,
    executor: Box<dyn Executor>,
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
        // Where accesses are checked, each buffer must end where its tensor does.
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
        self.executor.read(address, bytes).map_err(failed)
    }

    unsafe fn launch(&self, launch: &Launch, arguments: &mut [*mut c_void]) -> Result<(), DriverError> {
        let &Launch { kernel, grid, block, shared, .. } = launch;
        let launch = launch::Launch { kernel, grid, block, shared: shared as usize, arguments };
        // SAFETY: the caller vouches for the arguments.
        unsafe { self.executor.launch(&launch) }.map_err(failed)
    }

    fn synchronize(&self) -> Result<(), DriverError> {
        Ok(())
    }
}

/// A device of this tier with these modules.
pub fn device(tier: Tier, modules: &[Module]) -> Device {
    cuda::install(Arc::new(Emulated { tier, executor: executor(tier, modules, Schedule::Shuffled(1)) }))
}

/// Compares every operation with the reference device, and writes into the ledger which kernels that were.
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

/// The device of a tier with all of the project's kernels.
pub fn whole_device(tier: Tier) -> Device {
    device(tier, &sources::modules().expect("the project's kernels"))
}

/// The small cases, and a layer whose sum is cut into parts.
fn cases() -> Vec<conformance::Case> {
    let layers = conformance::digit_cases(1).into_iter().filter(|case| case.name() == "critic, classes");
    conformance::small_cases().into_iter().chain(layers).collect()
}

#[test]
fn every_operation_conforms_on_the_checked_host() {
    conforms(Tier::Checked, whole_device(Tier::Checked), cases());
}

#[test]
fn every_operation_conforms_in_the_interpreter() {
    conforms(Tier::Interpreter, whole_device(Tier::Interpreter), cases());
}

#[test]
fn every_operation_conforms_on_the_fast_host() {
    conforms(Tier::Fast, whole_device(Tier::Fast), conformance::small_cases());
}

#[test]
fn the_networks_layers_conform_on_the_fast_host() {
    conforms(Tier::Fast, whole_device(Tier::Fast), conformance::digit_cases(3));
}
