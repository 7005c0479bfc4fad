//! Tests `--device` on a machine without a GPU, which any machine becomes when CUDA is told to show none.

use assert_cmd::Command;

use crate::{complaint, finished_run, mergan, run_of};

/// Returns the command with no GPU visible.
fn without_gpu() -> Command {
    let mut command = mergan();
    command.env("CUDA_VISIBLE_DEVICES", "");
    command
}

/// Checks the commands that compute, with these arguments for the device.
fn commands(device: &[&str], check: impl Fn(&mut Command)) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("disc.png");
    let run = folder.path().join("run");
    check(without_gpu().args(run_of("1", "sft", &run)).args(device));
    check(
        without_gpu()
            .arg("sample")
            .arg(finished_run())
            .args(["--class", "disc", "--count", "8", "--out"])
            .arg(&out)
            .args(device),
    );
    check(without_gpu().arg("evaluate").arg(finished_run()).args(["--samples", "8"]).args(device));
}

#[test]
fn auto_uses_the_processor_and_says_so_in_one_line() {
    commands(&["--device", "auto"], |command| {
        let output = command.assert().success().get_output().clone();
        let text = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("device")).collect();
        assert!(lines.len() == 1 && lines[0].starts_with("device: cpu"), "{text}");
    });
}

#[test]
fn a_gpu_that_is_not_there_is_one_clear_error() {
    commands(&["--device", "cuda:0"], |command| {
        let error = complaint(command.assert());
        assert!(error.contains("--device cuda:0 cannot be used; choose cpu, or auto"), "{error}");
        assert!(error.contains("there is no"), "{error}");
    });
}

#[test]
fn tensor_cores_without_a_gpu_are_one_clear_error() {
    for (device, reason) in [("cpu", "--device cpu computes in f32"), ("auto", "there is no")] {
        commands(&["--device", device, "--precision", "tf32"], |command| {
            let error = complaint(command.assert());
            assert!(error.contains("--precision tf32 needs a GPU") && error.contains(reason), "{error}");
        });
    }
}

/// What a driver answers on a machine whose GPU is gone, and what one of an old machine does.
#[cfg(feature = "cuda")]
const DRIVERS: [(&str, &str); 2] = [
    (
        "int cuInit(unsigned flags) { return 100; }",
        "there is no CUDA device: NVIDIA's driver says: no CUDA-capable device is detected",
    ),
    (
        "int cuInit(unsigned flags) { return 0; } int cuDriverGetVersion(int* version) { *version = 11030; return 0; }",
        "there is no CUDA device that can be used: NVIDIA's driver supports CUDA 11.3; driver 470 (CUDA 11.4) or newer is needed",
    ),
];

#[test]
#[cfg(feature = "cuda")]
fn a_driver_without_a_device_or_of_an_old_kind_is_no_reason_to_panic() {
    use std::process::Command as Process;

    const ERRORS: &str = r#"
        int cuGetErrorString(int error, const char** text) { *text = "no CUDA-capable device is detected"; return 0; }
        int cuGetErrorName(int error, const char** text) { *text = "CUDA_ERROR_NO_DEVICE"; return 0; }
    "#;
    for (answers, expected) in DRIVERS {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("driver.c");
        std::fs::write(&source, format!("{ERRORS}{answers}")).unwrap();
        let library = folder.path().join("libcuda.so");
        let compiled = Process::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        assert!(compiled.expect("a C compiler, which the build needs too").success());
        std::fs::copy(&library, folder.path().join("libcuda.so.1")).unwrap();

        let selftest = |device| {
            let mut command = mergan();
            command.env("LD_LIBRARY_PATH", folder.path()).args(["selftest", "--device", device]);
            command
        };
        let error = complaint(selftest("cuda:0").assert());
        assert!(error.contains(expected), "{error}");
        let output = selftest("auto").assert().success().get_output().clone();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(&format!("device: cpu; {expected}")), "{text}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("cpu: ") && text.contains("comparisons agree with f64"), "{text}");
    }
}

#[test]
fn devices_that_do_not_exist_are_refused() {
    let error = complaint(mergan().args(["selftest", "--device", "gpu"]).assert());
    assert!(error.contains("choose auto, cpu or a GPU such as cuda:0"), "{error}");
}
