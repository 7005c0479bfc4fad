//! `cargo xtask bench conv2d`: times each map of each convolution of the networks against PyTorch's (oneDNN).

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use super::others::Others;
use super::record::{Record, said};
use super::sides::{Programs, Sides, Timing};
use super::{Common, Peer};

/// The arguments of `cargo xtask bench conv2d`.
#[derive(Args)]
#[command(after_help = "Example:\n  cargo xtask bench conv2d --install --networks 32")]
pub struct Arguments {
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    common: Common,
    /// The widths of the digit networks, and `lsun`.
    #[arg(long, value_delimiter = ',', default_value = "16,32,64,lsun")]
    networks: Vec<String>,
    /// Number of images in a batch.
    #[arg(long, value_name = "N", default_value_t = 64)]
    batch: usize,
}

/// The maps, with their names in the table.
const MAPS: [(&str, &str); 3] =
    [("conv2d", "convolution"), ("input_grad", "input gradient"), ("weight_grad", "weight gradient")];
/// The duration in milliseconds of our side's work that is requested at a time; PyTorch gets the same number of
/// repetitions.
const SLICE: f64 = 50.0;
/// The most repetitions requested at a time.
const MOST_REPETITIONS: f64 = 100.0;

/// A convolution in a network, as our side lists it.
struct Layer {
    name: String,
    summary: String,
    sizes: String,
    flops: f64,
}

/// The timings of one map of a layer.
struct Row<'a> {
    layer: &'a Layer,
    map: &'a str,
    timing: Timing,
}

/// Runs the benchmark and writes the tables.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { common, networks, batch, .. } = arguments;
    let programs = Programs::new("conv2d", &arguments.peer)?;
    let list = |network: &String| Ok((title(network), layers(&programs, *batch, network)?));
    let networks = networks.iter().map(list).collect::<Result<Vec<_>>>()?;
    let others = Others::now()?;
    let mut sides = programs.start(common, &["serve".into(), common.threads().to_string()])?;
    let mut best_product = sides.best_product()?;
    let mut results = Vec::new();
    for (title, layers) in &networks {
        let mut rows = Vec::new();
        for layer in layers {
            for (request, map) in MAPS {
                let timing = measure(&mut sides, &format!("{request} {}", layer.sizes), common.rounds)
                    .with_context(|| format!("measuring the {map} of {}", layer.name))?;
                let row = Row { layer, map, timing };
                println!("{}", line(&row, best_product));
                rows.push(row);
            }
            best_product = best_product.max(sides.best_product()?);
        }
        results.push((title, rows));
    }
    let who = sides.who()?;
    drop(sides);
    let others = others.share()?;

    let mut tables = String::new();
    let mut misses = Vec::new();
    for (title, rows) in results {
        write!(
            tables,
            "\n## {title}\n\n| layer | sizes | map | ours, ms | NCHW, ms | channels last, ms | ratio | GFLOP | ours, share | \
             PyTorch, share |\n|---|---|---|---:|---:|---:|---:|---:|---:|---:|\n"
        )?;
        for row in rows {
            writeln!(tables, "{}", line(&row, best_product))?;
            if row.timing.ratio() < 1.0 {
                misses.push(format!("{title}, {} of {}: ratio {:.2}", row.map, row.layer.name, row.timing.ratio()));
            }
        }
    }
    let method = format!(
        "Batch {batch}. Milliseconds are medians over {} rounds, the sides in turn. The ratio is PyTorch's better time over \
         ours. Both compute one map only. GFLOP is the arithmetic without padding, and a share is what part of the time it \
         would take at the best 1024^3 product of either side in this run, {best_product:.0} GFLOP/s. Sizes are channels, \
         image, and kernel / stride where there is one; a kernel that covers its image is a matrix product in PyTorch.",
        common.rounds,
    );
    let title = "The maps of each convolution beside PyTorch";
    Record { name: "conv2d", title, sides: who, others, method, tables, misses }.write(common)
}

fn title(network: &str) -> String {
    if network == "lsun" { "LSUN networks".into() } else { format!("Digit networks, width {network}") }
}

/// Lists the layers of a network.
fn layers(programs: &Programs, batch: usize, network: &str) -> Result<Vec<Layer>> {
    let list = said(Command::new(&programs.ours).args(["layers", &batch.to_string(), network]))?;
    let layer = |line: &str| {
        let fields = line.split('\t').map(String::from).collect::<Vec<_>>();
        let [name, summary, sizes, flops] = <[String; 4]>::try_from(fields).ok()?;
        Some(Layer { name, summary, sizes, flops: flops.parse().ok()? })
    };
    list.lines().map(|line| layer(line).with_context(|| format!("`{line}` is no layer"))).collect()
}

fn measure(sides: &mut Sides, what: &str, rounds: u64) -> Result<Timing> {
    let repetitions = (SLICE / sides.probe(what)?).clamp(1.0, MOST_REPETITIONS) as usize;
    for _ in 0..rounds {
        sides.round(what, repetitions)?;
    }
    Ok(sides.medians())
}

fn line(row: &Row, best_product: f64) -> String {
    let Row { layer: Layer { name, summary, flops, .. }, map, timing } = row;
    let Timing { ours, nchw, channels_last } = timing;
    let share = |milliseconds: f64| 100.0 * flops / milliseconds / 1e6 / best_product;
    format!(
        "| {name} | {summary} | {map} | {ours:.3} | {nchw:.3} | {channels_last:.3} | {:.2} | {:.3} | {:.0} % | {:.0} % |",
        timing.ratio(),
        flops / 1e9,
        share(*ours),
        share(timing.peer()),
    )
}
