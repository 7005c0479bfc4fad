//! Tier T3, the same comparisons on a GPU. `cargo xtask gpu` requests them. Without a GPU they fail rather than pass.

use mergan_emulator::ledger::Tier;
use mergan_tensor::cuda::{self, Precision};
use mergan_tensor::{Device, conformance};

use crate::driver::conforms;
use crate::training::{PAPER, Recipe, follow, recorded_steps_give_the_bits_of_plain_ones};

fn gpu(precision: Precision) -> Device {
    cuda::open(0, precision).expect("a GPU")
}

#[test]
#[ignore = "gpu"]
fn every_operation_conforms_on_the_gpu() {
    for precision in [Precision::F32, Precision::Tf32] {
        conforms(Tier::Gpu, gpu(precision), conformance::small_cases());
    }
}

#[test]
#[ignore = "gpu"]
fn the_networks_layers_conform_on_the_gpu() {
    for precision in [Precision::F32, Precision::Tf32] {
        conforms(Tier::Gpu, gpu(precision), conformance::layer_cases(64));
    }
}

#[test]
#[ignore = "gpu"]
fn ten_iterations_run_freely() {
    for strategy in ["sft", "jtr", "ra"] {
        follow(strategy, gpu(Precision::F32), &Recipe { iterations: 10, free: true, ..PAPER });
    }
}

#[test]
#[ignore = "gpu"]
fn recorded_steps_give_the_bits_of_plain_steps() {
    for precision in [Precision::F32, Precision::Tf32] {
        let recipe = Recipe { iterations: 10, ..PAPER };
        recorded_steps_give_the_bits_of_plain_ones(gpu(precision), &recipe, &["sft", "jtr", "ra"]);
    }
}

#[test]
#[ignore = "gpu"]
fn two_hundred_iterations_of_sft() {
    follow("sft", gpu(Precision::F32), &PAPER);
}

#[test]
#[ignore = "gpu"]
fn two_hundred_iterations_of_jtr() {
    follow("jtr", gpu(Precision::F32), &PAPER);
}

#[test]
#[ignore = "gpu"]
fn two_hundred_iterations_of_ra() {
    follow("ra", gpu(Precision::F32), &PAPER);
}
