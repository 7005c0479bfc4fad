//! `cargo xtask bench profile`: what each operation of an iteration costs.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use super::others::Others;
use super::record::{Record, said};
use super::sides::build;
use super::{Common, Networks};

/// The arguments of `cargo xtask bench profile`.
#[derive(Args)]
#[command(after_help = "Example:\n  cargo xtask bench profile --widths 32 --simd avx2")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The strategy.
    #[arg(long, default_value = "sft")]
    strategy: String,
    #[command(flatten)]
    networks: Networks,
    /// The task, counted from 1.
    #[arg(long, default_value_t = 2)]
    task: usize,
}

/// Profiles every width and writes the tables.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { common, strategy, networks: Networks { side, batch, widths }, task } = arguments;
    let program = build("profile")?;
    let others = Others::now()?;
    let mut tables = String::new();
    for width in widths {
        let sizes = [*side, *width, *batch, *task, common.rounds as usize, common.threads()];
        let mut profile = Command::new(&program);
        profile.arg(strategy).args(sizes.map(|number| number.to_string()));
        let table = said(common.instruct(&mut profile))?;
        println!("{table}");
        tables += &format!("\n{table}\n");
    }
    let others = others.share()?;
    let method = format!(
        "Means over {} iterations of the fine-tuning recipe's operations, by name, shapes of the operands and shape of the \
         result. GFLOP/s are those of the convolutions and matrix products tap by tap without padding (Winograd's path needs \
         fewer), GB/s those of operands and results in `f32`, which small tensors read from caches.",
        common.rounds
    );
    let title = "What the operations of an iteration cost";
    Record { name: "profile", title, sides: "ours".into(), others, method, tables, misses: Vec::new() }.write(common)
}
