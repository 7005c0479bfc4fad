//! `cargo xtask bench inception`: times the way from images to FID's features against pytorch-fid.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use clap::Args;

use super::others::Others;
use super::record::Record;
use super::sides::{Programs, Timing};
use super::{Common, Peer};

/// The arguments of `cargo xtask bench inception`.
#[derive(Args)]
#[command(after_help = "Example:\n  cargo xtask bench inception --python PYTHON_WITH_PYTORCH_FID")]
pub struct Arguments {
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    common: Common,
    /// Number of images in a batch; pytorch-fid's default is 50.
    #[arg(long, value_delimiter = ',', default_value = "1,16,50")]
    batches: Vec<usize>,
}

/// The side of the images in pixels: that of a generator's images, and the network's own.
const SIDES: [usize; 2] = [32, 299];
/// The number of images of a turn, if batches are smaller. Single small batches would be timed with cold caches.
const IMAGES: usize = 16;
/// The speed to reach, as a multiple of pytorch-fid's images per second, for single images and for larger batches.
const BARS: [f64; 2] = [1.3, 1.6];

/// Runs the benchmark and writes the table.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { common, batches, .. } = arguments;
    let programs = Programs::new("inception", &arguments.peer)?;
    let others = Others::now()?;
    let mut sides = programs.start(common, &[common.threads().to_string()])?;
    let flops: f64 = sides.greeting()?.parse().context("reading how much an image takes")?;
    let mut best_product = sides.best_product()?;
    let mut rows = Vec::new();
    for side in SIDES {
        for &batch in batches {
            let what = format!("images {side} {batch}");
            // The first round is not counted, because it allocates memory and rearranges weights.
            sides.round(&what, 1)?;
            sides.medians();
            sides.forget_peak_memory()?;
            for _ in 0..common.rounds {
                sides.round(&what, (IMAGES / batch).max(1))?;
            }
            let row = (side, batch, sides.medians(), sides.peak_memory()?);
            println!("{}", line(&row, flops, best_product));
            rows.push(row);
        }
        best_product = best_product.max(sides.best_product()?);
    }
    let who = sides.who()?;
    drop(sides);
    let others = others.share()?;

    let mut tables =
        "\n| image | batch | ours, images/s | NCHW, images/s | channels last, images/s | ratio | ours, share | ours, \
                      MiB | PyTorch, MiB |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n"
            .to_string();
    let mut misses = Vec::new();
    for row in &rows {
        writeln!(tables, "{}", line(row, flops, best_product))?;
        let (side, batch, timing, _) = row;
        if timing.ratio() < BARS[usize::from(*batch > 1)] {
            misses.push(format!("images of {side} x {side}, batch {batch}: ratio {:.2}", timing.ratio()));
        }
    }
    let method = format!(
        "Images a second from pixels to 2048 features, by medians over {} rounds of {IMAGES} images or one batch, the sides in turn; the peer is pytorch-fid's \
         own network, of which the faster layout counts in the ratio. An image takes {:.2} GFLOP, and a share is what part of \
         the time they would take at the best 1024^3 product of either side in this run, {best_product:.0} GFLOP/s. Memory \
         is the peak of the process, PyTorch's that of the smaller one.",
        common.rounds,
        flops / 1e9,
    );
    let title = "Inception's features beside pytorch-fid";
    Record { name: "inception", title, sides: who, others, method, tables, misses }.write(common)
}

fn line(row: &(usize, usize, Timing, [f64; 2]), flops: f64, best_product: f64) -> String {
    let (side, batch, timing, [ours, peer]) = row;
    let rate = |milliseconds: f64| 1e3 * *batch as f64 / milliseconds;
    let share = 100.0 * flops * rate(timing.ours) / 1e9 / best_product;
    format!(
        "| {side} x {side} | {batch} | {:.1} | {:.1} | {:.1} | {:.2} | {share:.0} % | {ours:.0} | {peer:.0} |",
        rate(timing.ours),
        rate(timing.nchw),
        rate(timing.channels_last),
        timing.ratio(),
    )
}
