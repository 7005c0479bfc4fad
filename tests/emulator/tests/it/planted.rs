//! Faults planted in copies of the project's kernels, to be found while operations on tensors run.

use mergan_emulator::launch::Schedule;
use mergan_emulator::ledger::Tier;
use mergan_emulator::sources::{self, Module};
use mergan_tensor::conformance;
use mergan_tensor::cuda::{self, Precision};

use crate::convolutions;
use crate::driver::device;
use crate::support::executor;

/// A fault: its place, the replacement, and the report that must follow.
struct Fault {
    module: &'static str,
    /// The operation to compute, by the name of its comparison; `None` for the kernels of convolutions by themselves.
    case: Option<&'static str>,
    from: &'static str,
    to: &'static str,
    found: &'static str,
}

const FAULTS: [Fault; 17] = [
    // A step is read while others still write it, or before they do.
    Fault {
        module: "conv2d",
        case: None,
        from: "        __syncthreads();  // before the next step is read\n",
        to: "",
        found: ", in shared memory at conv2d.cu",
    },
    // The end of the row above is used as the padding on the left.
    Fault {
        module: "conv2d",
        case: None,
        from: "&& x >= 0 && x < c.x.source;",
        to: "&& x < c.x.source;",
        found: "is wrong",
    },
    // Whatever follows the image is used as the padding below.
    Fault {
        module: "conv2d",
        case: None,
        from: "inside = y >= 0 && y < c.y.source",
        to: "inside = y >= 0",
        found: "out of bounds, read of",
    },
    // Vectors are loaded at misaligned addresses.
    Fault {
        module: "conv2d",
        case: None,
        from: "            if (aligned) {\n",
        to: "            if (true) {\n",
        found: "misaligned access",
    },
    // All parts of a sum are written to the same place.
    Fault {
        module: "conv2d",
        case: None,
        from: "out = y + part * len;",
        to: "out = y;",
        found: "race, write after write, in global memory at conv2d.cu",
    },
    // The stage is read while it is still being copied.
    Fault {
        module: "conv2d_tf32",
        case: None,
        from: "        wait_for_all_copies_but<STAGES - 2>();\n",
        to: "",
        found: "read of data that cp.async has not been waited for, in shared memory at conv2d_tf32.cu",
    },
    // The wait leaves one copy too many outstanding.
    Fault {
        module: "conv2d_tf32",
        case: None,
        from: "wait_for_all_copies_but<STAGES - 2>",
        to: "wait_for_all_copies_but<STAGES - 1>",
        found: "read of data that cp.async has not been waited for, in shared memory at conv2d_tf32.cu",
    },
    // A stage is filled while others still multiply it.
    Fault {
        module: "conv2d_tf32",
        case: None,
        from: "        __syncthreads();\n        copy((stage",
        to: "        copy((stage",
        found: "race, ",
    },
    // The two halves of a fragment's rows are swapped.
    Fault {
        module: "conv2d_tf32",
        case: None,
        from: "group + e % 2 * 8, k + member + e / 2 * 4",
        to: "group + e / 2 * 8, k + member + e % 2 * 4",
        found: "is wrong",
    },
    // A lane's results go to the wrong row.
    Fault {
        module: "conv2d_tf32",
        case: None,
        from: "sums[i / 2][j][i % 2 * 2 + e]",
        to: "sums[i / 2][j][i % 2 + 2 * e]",
        found: "is wrong",
    },
    // Sixteen bytes are copied at misaligned addresses.
    Fault {
        module: "conv2d_tf32",
        case: None,
        from: "            if (aligned) {\n",
        to: "            if (true) {\n",
        found: "misaligned",
    },
    // A graph draws the random numbers of the step in which it was recorded.
    Fault {
        module: "philox",
        case: Some("a recorded step"),
        from: "position ? Place{position[0], position[1], at.purpose} : at",
        to: "at",
        found: "is wrong",
    },
    // The last block of a copy runs past its end.
    Fault {
        module: "copies",
        case: Some("a recorded step"),
        from: "if (i < copy.len) ",
        to: "",
        found: "out of bounds, ",
    },
    // Rows are added before they have been written.
    Fault {
        module: "broadcast",
        case: Some("sum_to, a number per channel"),
        from: "    rows[threadIdx.y][threadIdx.x] = value;\n    __syncthreads();\n",
        to: "    rows[threadIdx.y][threadIdx.x] = value;\n",
        found: "in shared memory at ",
    },
    // The last block runs past the end.
    Fault {
        module: "broadcast",
        case: Some("multiply, one number per image"),
        from: "    if (i >= len) return;\n    const int row",
        to: "    const int row",
        found: "out of bounds, write of 4 bytes",
    },
    // A tile is read before it has been written.
    Fault {
        module: "reshape",
        case: Some("flatten"),
        from: "    __syncthreads();\n    for (int i = threadIdx.y; i < 32; i += 8) {\n        if (column + i",
        to: "    for (int i = threadIdx.y; i < 32; i += 8) {\n        if (column + i",
        found: "in shared memory at reshape.cu",
    },
    // Threads of the block wait at different barriers.
    Fault {
        module: "reshape",
        case: Some("flatten"),
        from: "    for (int i = threadIdx.y; i < 32; i += 8) {\n        if (row + i",
        to: "    if (threadIdx.y < 3) __syncthreads();\n    for (int i = threadIdx.y; i < 32; i += 8) {\n        if (row + i",
        found: "divergent barrier",
    },
];

/// Returns what a tier reports about the first operation that goes wrong with this fault.
fn verdict(fault: &Fault, tier: Tier) -> String {
    let plant = |module: Module| match module.name == fault.module {
        true => module.patched(fault.from, fault.to).expect("the place of the fault"),
        false => module,
    };
    let modules: Vec<Module> = sources::modules().expect("the project's kernels").into_iter().map(plant).collect();
    let Some(name) = fault.case else {
        let module = modules.iter().find(|module| module.name == fault.module).expect("the faulty module");
        let device = executor(tier, std::slice::from_ref(module), Schedule::Forward);
        return convolutions::check(device.as_ref(), module, |_| {}).err().unwrap_or_else(|| "nothing".into());
    };
    let device = device(tier, &modules, Precision::F32);
    let cases = conformance::small_cases().into_iter().filter(|case| case.name().contains(name));
    let wrong = cases.map(|case| cuda::catch(|| case.check(device))).find_map(|outcome| match outcome {
        Ok(outcome) if outcome.passed() => None,
        Ok(outcome) => Some(format!("{} is wrong", outcome.case)),
        Err(error) => Some(error.to_string()),
    });
    wrong.unwrap_or_else(|| "nothing".into())
}

fn check(tier: Tier) {
    let missed = FAULTS.iter().filter_map(|fault| {
        let said = verdict(fault, tier);
        println!("{}: {} -> {said}", fault.module, fault.from.trim());
        (!said.contains(fault.found)).then(|| format!("{}: `{}`: {said}", fault.module, fault.from.trim()))
    });
    let missed: Vec<String> = missed.collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn the_checked_build_finds_faults_in_the_projects_kernels() {
    check(Tier::Checked);
}

#[test]
fn the_interpreter_finds_faults_in_the_projects_kernels() {
    check(Tier::Interpreter);
}
