//! Tests of the backend without kernels, on a device that is nothing but memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::c_void;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::tensor::Tensor;

/// Host memory that acts as a device. It has a limited number of bytes and cannot run kernels: it says so, or does
/// nothing.
struct Memory {
    bytes: usize,
    honest: bool,
    allocated: Mutex<HashMap<u64, Vec<u8>>>,
}

impl Memory {
    fn device(bytes: usize) -> Device {
        install(Memory::driver(bytes), Precision::F32).expect("every device computes in f32")
    }

    fn driver(bytes: usize) -> Arc<dyn Driver> {
        Arc::new(Memory { bytes, honest: true, allocated: Mutex::default() })
    }
}

impl Driver for Memory {
    fn name(&self) -> String {
        "memory".into()
    }
    fn compute_capability(&self) -> (u32, u32) {
        (7, 5)
    }
    fn free_memory(&self) -> Result<usize, DriverError> {
        Ok(self.bytes - self.allocated.lock().unwrap().values().map(Vec::len).sum::<usize>())
    }
    fn allocate(&self, bytes: usize) -> Result<u64, DriverError> {
        if bytes > self.free_memory()? {
            return Err(DriverError::OutOfMemory);
        }
        let memory = vec![0; bytes];
        let address = memory.as_ptr().addr() as u64;
        self.allocated.lock().unwrap().insert(address, memory);
        Ok(address)
    }
    unsafe fn free(&self, address: u64) {
        self.allocated.lock().unwrap().remove(&address).expect("memory is freed once");
    }
    unsafe fn copy_to_device(&self, address: u64, bytes: &[u8]) -> Result<(), DriverError> {
        self.allocated.lock().unwrap().get_mut(&address).expect("a buffer's address")[..bytes.len()]
            .copy_from_slice(bytes);
        Ok(())
    }
    unsafe fn copy_from_device(&self, bytes: &mut [u8], address: u64) -> Result<(), DriverError> {
        bytes.copy_from_slice(&self.allocated.lock().unwrap()[&address][..bytes.len()]);
        Ok(())
    }
    unsafe fn launch(&self, _: &Launch, _: &mut [*mut c_void]) -> Result<(), DriverError> {
        if self.honest { Err(DriverError::Failed("it is memory and nothing else".into())) } else { Ok(()) }
    }
    fn synchronize(&self) -> Result<(), DriverError> {
        Ok(())
    }
}

fn numbers(len: usize, device: Device) -> Tensor {
    Tensor::from_vec((0..len).map(|i| i as f32).collect(), [len], device)
}

#[test]
fn a_device_that_runs_no_kernel_or_runs_it_wrong_is_not_opened() {
    let error = proven(Memory::device(1 << 20)).unwrap_err();
    assert!(matches!(error, DeviceError::Failed { .. }), "{error}");
    let error = proven(Memory::device(1 << 10)).unwrap_err();
    assert!(matches!(error, DeviceError::OutOfMemory { .. }), "{error}");
    let idle = Memory { bytes: 1 << 20, honest: false, allocated: Mutex::default() };
    let error = proven(install(Arc::new(idle), Precision::F32).unwrap()).unwrap_err();
    assert!(matches!(error, DeviceError::WrongNumbers { found: 0.0, .. }), "{error}");
}

#[test]
fn numbers_come_back_as_they_went() {
    let device = Memory::device(1 << 20);
    let images = Tensor::from_vec((0..120).map(f64::from).collect(), [2, 3, 4, 5], device);
    assert_eq!(images.device(), device);
    assert!(images.to_vec::<f64>().into_iter().eq((0..120).map(f64::from)));
    assert_eq!(images.to_device(Device::Cpu).to_vec::<f32>(), images.to_vec::<f32>());
}

#[test]
fn freed_memory_is_used_again() {
    let device = Memory::device(5000);
    for _ in 0..100 {
        drop(numbers(1000, device));
    }
}

#[test]
fn free_memory_of_other_sizes_is_given_back_in_need() {
    let device = Memory::device(8000);
    drop([numbers(900, device), numbers(800, device)]);
    assert_eq!(numbers(1500, device).to_vec::<f32>()[1499], 1499.0);
}

#[test]
fn a_full_device_says_how_much_was_asked_for_and_how_much_is_free() {
    let device = Memory::device(3 << 20);
    let held = numbers(500_000, device);
    let error = catch(|| numbers(300_000, device)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "memory is out of memory: 1.2 MiB were asked for, 1.0 MiB are free and tensors hold 2.0 MiB. Use a smaller \
         batch or width, or free memory of other programs on the device"
    );
    drop(held);
    assert_eq!(catch(|| numbers(300_000, device)).unwrap().shape(), [300_000]);
}

#[test]
fn a_kernel_that_cannot_be_started_is_named_with_its_sizes() {
    let device = Memory::device(1 << 20);
    let tensor = numbers(1000, device);
    let error = catch(|| &tensor * 2.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "memory failed in mul_scalar_f32(1000 numbers, 1000 numbers, 1000, 2.0) on [1, 1, 1] blocks of [256, 1, 1] threads: it \
         is memory and nothing else"
    );
}

#[test]
#[should_panic(expected = "it is memory and nothing else")]
fn a_failure_that_nobody_catches_is_a_panic() {
    let _ = numbers(10, Memory::device(1 << 20)) * 2.0;
}

#[test]
#[should_panic(expected = "add: the shapes [3] and [2] cannot be broadcast together")]
fn mistakes_of_the_program_are_not_caught() {
    let device = Memory::device(1 << 20);
    let _ = catch(|| numbers(3, device) + numbers(2, device));
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let error = open(usize::MAX, Precision::F32).unwrap_err().to_string();
    assert!(error.starts_with("there is no"), "{error}");
}

#[test]
fn an_old_device_has_no_tensor_cores() {
    let error = install(Memory::driver(0), Precision::Tf32).unwrap_err();
    assert_eq!(
        error.to_string(),
        "memory has compute capability 7.5; TF32 needs 8.0 (Ampere, 2020) or newer; f32 runs on it"
    );
}

#[test]
fn every_file_of_ptx_is_embedded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ptx");
    let names = |path: &Path| -> Vec<String> {
        let entries = fs::read_dir(path).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let sets = names(&folder).into_iter().filter(|set| set != "manifest.toml");
    let files = sets.flat_map(|set| names(&folder.join(&set)).into_iter().map(move |file| format!("{set}/{file}")));
    let embedded = MODULES.iter().map(|module| (format!("{}/{}.ptx", module.set, module.name), module.ptx()));
    let embedded: BTreeMap<String, &str> = embedded.collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), embedded.keys().cloned().collect());
    for (file, ptx) in embedded {
        assert!(fs::read_to_string(folder.join(&file)).unwrap() == ptx, "{file}");
    }
}

#[test]
fn kernels_and_their_parameters_are_read_from_the_ptx() {
    let names: Vec<&str> = kernels().map(|kernel| kernel.name).collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), unique.len());
    let repeat = kernels().find(|kernel| kernel.name == "repeat_f32").expect("the kernel of broadcast_to");
    assert_eq!((repeat.module, repeat.parameters), ("broadcast", vec![8, 8, 16, 16, 4]));
}
