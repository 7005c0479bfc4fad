//! Tier T3, the same comparisons on a GPU. `cargo xtask gpu` asks for them; without a GPU they fail, they do not pass.

use mergan_emulator::ledger::Tier;
use mergan_tensor::{Device, conformance, cuda};

use crate::driver::conforms;
use crate::training::{PAPER, Recipe, follow};

fn gpu() -> Device {
    cuda::open(0).expect("a GPU")
}

#[test]
#[ignore = "gpu"]
fn every_operation_conforms_on_the_gpu() {
    conforms(Tier::Gpu, gpu(), conformance::small_cases());
}

#[test]
#[ignore = "gpu"]
fn the_networks_layers_conform_on_the_gpu() {
    conforms(Tier::Gpu, gpu(), conformance::digit_cases(64));
}

#[test]
#[ignore = "gpu"]
fn ten_iterations_run_freely() {
    for strategy in ["sft", "jtr", "ra"] {
        follow(strategy, gpu(), &Recipe { iterations: 10, free: true, ..PAPER });
    }
}

#[test]
#[ignore = "gpu"]
fn two_hundred_iterations_of_sft() {
    follow("sft", gpu(), &PAPER);
}

#[test]
#[ignore = "gpu"]
fn two_hundred_iterations_of_jtr() {
    follow("jtr", gpu(), &PAPER);
}

#[test]
#[ignore = "gpu"]
fn two_hundred_iterations_of_ra() {
    follow("ra", gpu(), &PAPER);
}
