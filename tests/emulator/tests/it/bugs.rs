//! Faults planted in copies of the kernels. Each must be found by the executors that can detect it.

use mergan_emulator::launch::{Executor, LaunchError, Schedule};
use mergan_emulator::ledger::Tier;

use crate::samples::{product, reversed, total};
use crate::support::{SCHEDULES, executor, sample};

/// A fault and its effects.
struct Bug {
    name: &'static str,
    module: &'static str,
    from: &'static str,
    to: &'static str,
    /// Computes with the faulty kernel, and returns the error of the result.
    run: fn(&dyn Executor) -> Result<f64, LaunchError>,
    /// The report of the checked build.
    checked: &'static str,
    /// The report of the interpreter.
    interpreted: &'static str,
}

/// The numerical error above which it cannot be due to rounding.
const WRONG: f64 = 1e-2;

fn ragged(device: &dyn Executor) -> Result<f64, LaunchError> {
    product(device, "product_f32", [19, 33, 21])
}

fn tensor_cores(device: &dyn Executor) -> Result<f64, LaunchError> {
    product(device, "product_tf32", [19, 33, 21])
}

fn three_blocks(device: &dyn Executor) -> Result<f64, LaunchError> {
    total(device, 3000, 3)
}

const BUGS: [Bug; 14] = [
    Bug {
        name: "index",
        module: "samples",
        from: "fmaf(rows[y][i], columns[i][x], sum)",
        to: "fmaf(rows[y][i], columns[x][i], sum)",
        run: ragged,
        checked: "wrong numbers",
        interpreted: "wrong numbers",
    },
    Bug {
        name: "out of bounds in global memory",
        module: "samples",
        from: "row < m && first + x < k ? a",
        to: "first + x < k ? a",
        run: ragged,
        checked: "out of bounds, read of 4 bytes at byte 1596 of a buffer of 1596 bytes at samples.cu:12",
        interpreted: "out of bounds, read of 4 bytes at byte 1596 of a buffer of 1596 bytes at samples.cu:12",
    },
    Bug {
        name: "no barrier after the load",
        module: "samples",
        from: "        __syncthreads();  // after the load\n",
        to: "",
        run: ragged,
        checked: "in shared memory at samples.cu",
        interpreted: "in shared memory at samples.cu",
    },
    Bug {
        name: "no barrier before the next load",
        module: "samples",
        from: "        __syncthreads();  // before the next load\n",
        to: "",
        run: ragged,
        checked: "race, write after read, in shared memory at samples.cu:12",
        interpreted: "race, write after read, in shared memory at samples.cu:12",
    },
    Bug {
        name: "out of bounds in shared memory",
        module: "samples",
        from: "for (int i = 0; i < 16; ++i) sum",
        to: "for (int i = 0; i < 17; ++i) sum",
        run: ragged,
        checked: "index outside the array at samples.cu:16",
        interpreted: "out of bounds, read of 4 bytes at byte",
    },
    Bug {
        name: "no barrier in a reduction",
        module: "samples",
        from: "    __syncthreads();  // before the warps' sums are read\n",
        to: "",
        run: three_blocks,
        checked: "in shared memory at samples.cu:32",
        interpreted: "in shared memory at samples.cu:32",
    },
    Bug {
        name: "uninitialised shared memory",
        module: "samples",
        from: "own = lane < 8 ? warps[lane] : 0.0f;",
        to: "own = warps[lane];",
        run: three_blocks,
        checked: "read of uninitialised memory, in shared memory at samples.cu:33",
        interpreted: "read of uninitialised memory, in shared memory at samples.cu:33",
    },
    Bug {
        name: "no atomic addition",
        module: "samples",
        from: "atomicAdd(sum, own)",
        to: "*sum += own",
        run: three_blocks,
        checked: "in global memory at samples.cu:35",
        interpreted: "in global memory at samples.cu:35",
    },
    Bug {
        name: "divergent barrier",
        module: "samples",
        from: "if (warp == 0) {\n",
        to: "if (warp == 0) {\n        if (lane < 20) __syncthreads();\n",
        run: three_blocks,
        checked: "divergent barrier",
        interpreted: "divergent barrier",
    },
    Bug {
        name: "barrier after some warps have left",
        module: "samples",
        from: "if (warp == 0) {\n",
        to: "if (warp == 0) {\n        __syncthreads();\n",
        run: three_blocks,
        checked: "divergent barrier: other threads have left the kernel at samples.cu:33",
        interpreted: "divergent barrier: these threads have left the kernel while others wait at samples.cu",
    },
    Bug {
        name: "no wait for asynchronous copies",
        module: "samples_tf32",
        from: "            wait_for_all_copies_but<1>();\n",
        to: "",
        run: tensor_cores,
        checked: "read of data that cp.async has not been waited for, in shared memory at samples_tf32.cu",
        interpreted: "read of data that cp.async has not been waited for, in shared memory at samples_tf32.cu",
    },
    Bug {
        name: "no barrier before a stage is filled again",
        module: "samples_tf32",
        from: "        __syncthreads();  // before the stage is filled again\n",
        to: "",
        run: tensor_cores,
        checked: "race, write after read, in shared memory at samples_tf32.cu",
        interpreted: "race, write after read, in shared memory at prelude.cuh",
    },
    Bug {
        name: "no synchronisation of the warp",
        module: "samples",
        from: "    __syncwarp();\n",
        to: "",
        run: reversed,
        checked: "in shared memory at samples.cu",
        interpreted: "in shared memory at samples.cu",
    },
    Bug {
        name: "shuffle by some lanes",
        module: "samples",
        from: "own = lane < 8 ? warps[lane] : 0.0f;",
        to: "own = lane < 8 ? warps[lane] : 0.0f;\n        if (lane > 7) return;",
        run: three_blocks,
        checked: "deadlock",
        interpreted: "divergent shuffle",
    },
];

/// Returns what an executor reports about the faulty kernel.
fn verdict(bug: &Bug, tier: Tier, schedule: Schedule) -> String {
    let module = sample(bug.module).patched(bug.from, bug.to).expect("the place of the fault");
    let device = executor(tier, &[module], schedule);
    match (bug.run)(device.as_ref()) {
        Ok(error) if error < WRONG => "right numbers".into(),
        Ok(_) => "wrong numbers".into(),
        Err(error) => error.to_string(),
    }
}

/// Fails and lists all faults for which the tier does not report what is expected.
fn check(tier: Tier, expected: fn(&Bug) -> &'static str) {
    let missed = BUGS.iter().filter_map(|bug| {
        let said = verdict(bug, tier, Schedule::Forward);
        println!("{}: {said}", bug.name);
        (!said.contains(expected(bug))).then(|| format!("{}: {said}", bug.name))
    });
    let missed: Vec<String> = missed.collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn the_checked_build_finds_every_planted_fault() {
    check(Tier::Checked, |bug| bug.checked);
}

#[test]
fn the_interpreter_finds_every_planted_fault() {
    check(Tier::Interpreter, |bug| bug.interpreted);
}

/// The faults that the fast build cannot detect in any order, because its results are right.
const INVISIBLE_IN_THE_FAST_BUILD: [&str; 2] = ["out of bounds in global memory", "no atomic addition"];

#[test]
fn the_fast_build_finds_most() {
    for bug in &BUGS {
        let said = SCHEDULES.map(|schedule| verdict(bug, Tier::Fast, schedule));
        println!("{}: {said:?}", bug.name);
        let found = said.iter().any(|said| said != "right numbers");
        assert_eq!(found, !INVISIBLE_IN_THE_FAST_BUILD.contains(&bug.name), "{}: {said:?}", bug.name);
    }
}
