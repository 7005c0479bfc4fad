//! `cargo xtask bench tensors`: times a training step of one convolution, and a training iteration of the digit networks
//! without the gradient penalty, beside the tensor libraries for Rust.
//!
//! The sides are one program, `benches/peers/tensors`, which takes them in turn.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use super::Common;
use super::others::Others;
use super::record::{Record, said};
use crate::cargo::{cargo, must, root, target_directory};

/// The arguments of `cargo xtask bench tensors`.
#[derive(Args)]
#[command(after_help = "Example:\n  cargo xtask bench tensors --rounds 20")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
}

/// The prefixes of the lines of `cargo tree` that name the libraries and their versions.
const LIBRARIES: [&str; 3] = ["burn v", "candle-core v", "candle-nn v"];

/// Runs the benchmark and writes the table.
pub fn run(Arguments { common }: &Arguments) -> Result<()> {
    let project = root().join("benches/peers/tensors");
    let target = target_directory()?.join("tensors");
    must(cargo().current_dir(&project).args(["build", "--release"]).env("CARGO_TARGET_DIR", &target))?;
    let depth = ["tree", "--depth", "1", "--prefix", "none", "--manifest-path"];
    let tree = said(cargo().args(depth).arg(project.join("Cargo.toml")))?;
    let peers: Vec<_> = tree.lines().filter(|line| LIBRARIES.iter().any(|name| line.starts_with(name))).collect();
    let peers = peers.join(", ");

    let others = Others::now()?;
    let mut sides = Command::new(target.join("release").join(format!("tensors{}", std::env::consts::EXE_SUFFIX)));
    let tables = said(sides.args([common.rounds.to_string(), common.threads().to_string()]))?;
    println!("{tables}");
    let others = others.share()?;
    let method = format!(
        "Milliseconds are medians over {} rounds, the sides in turn in one process. In the first table a step is a \
         convolution of 32 images of 64 channels and 16 x 16 pixels to 128 channels, with padding that keeps the size, the \
         sum of its squares, and the gradients with respect to images and kernel. In the second it is an iteration of the \
         digit networks on 64 images, as in `cargo xtask bench step`, without the gradient penalty: a generator step and \
         five critic steps on the Wasserstein loss and the class loss, with updates by Adam. The penalty is left out because \
         neither library differentiates twice as it comes: burn needs a backend within a backend, candle a variable in the \
         environment. The last columns are the largest difference from ours of the kernel's gradient and of the six \
         losses, relative to the largest of these numbers.",
        common.rounds
    );
    let title = "A convolution and an iteration of the digit networks beside burn and candle";
    let tables = format!("\n{tables}\n");
    Record { name: "tensors", title, sides: peers, others, method, tables, misses: Vec::new() }.write(common)
}
