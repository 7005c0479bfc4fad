//! `cargo xtask bench step`: one training iteration beside the same one in PyTorch.
//!
//! For every case one process of ours and two of PyTorch's (NCHW and channels last) are kept waiting and asked in turn,
//! a few iterations at a time, so that whatever else the machine does weighs on all alike. Medians and their ratios go
//! into a table, with the peak memory of each process and the share of time that the arithmetic alone would take.

mod server;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};

use crate::cargo::{cargo, root, target_directory};
use server::Server;

/// `cargo xtask bench`.
#[derive(Subcommand)]
pub enum Bench {
    /// A whole training iteration, beside PyTorch.
    Step(Arguments),
}

/// `cargo xtask bench step`.
#[derive(Args)]
#[command(after_help = "Example:\n  cargo xtask bench step --install --widths 32")]
pub struct Arguments {
    /// A Python that has torch.
    #[arg(long, value_name = "FILE", conflicts_with = "install")]
    pub python: Option<PathBuf>,
    /// Make a virtual environment with torch in the target directory, and use it.
    #[arg(long)]
    pub install: bool,
    /// The strategies.
    #[arg(long, value_delimiter = ',', default_value = "sft,jtr,ra")]
    pub strategies: Vec<String>,
    /// The widths of the networks.
    #[arg(long, value_delimiter = ',', default_value = "16,32,64")]
    pub widths: Vec<usize>,
    /// The tasks, counted from 1.
    #[arg(long, value_delimiter = ',', default_value = "1,5,10")]
    pub tasks: Vec<usize>,
    /// How often each side is asked.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Iterations each time.
    #[arg(long, default_value_t = 2)]
    pub iterations: usize,
    /// Threads of each side [default: one for each core].
    #[arg(long)]
    pub threads: Option<usize>,
    /// Where the table goes [default: benches/results/DATE-step-MACHINE.md].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// The torch that `--install` installs.
const TORCH: &str = "torch==2.15.0";
/// Products of two 1024 x 1024 matrices a round.
const PRODUCTS: usize = 10;
/// Additions and multiplications of one.
const PRODUCT_FLOPS: f64 = 2.0 * 1024.0 * 1024.0 * 1024.0;

/// What one case gave.
struct Row {
    name: String,
    ours: f64,
    /// NCHW and channels last.
    peers: [f64; 2],
    flops: f64,
    /// Peak memory of ours and of PyTorch's smaller process, MiB.
    memory: [f64; 2],
}

/// Runs the benchmark and writes the table.
pub fn run(Bench::Step(arguments): &Bench) -> Result<()> {
    let threads = match arguments.threads {
        Some(threads) => threads,
        None => thread::available_parallelism().map_or(1, usize::from),
    };
    let python = python(arguments)?;
    let mut build = cargo();
    build.args(["build", "--release", "--package", "mergan-benches", "--bin", "step"]);
    ensure!(build.status().context("running cargo")?.success(), "the benchmark does not build");
    let step = target_directory()?.join("release/step");

    let mut rows = Vec::new();
    let mut peak: f64 = 0.0;
    for width in &arguments.widths {
        for strategy in &arguments.strategies {
            for task in &arguments.tasks {
                let case = [strategy.clone(), width.to_string(), task.to_string(), threads.to_string()];
                let name = format!("{strategy} width {width} task {task}");
                let row = measure(&name, &step, &python, &case, arguments, &mut peak)
                    .with_context(|| format!("measuring {name}"))?;
                println!("{}", line(&row, peak));
                rows.push(row);
            }
        }
    }
    write_table(arguments, threads, &rows, peak)
}

fn measure(
    name: &str,
    step: &Path,
    python: &Path,
    case: &[String],
    arguments: &Arguments,
    peak: &mut f64,
) -> Result<Row> {
    let peer = root().join("benches/peers/torch_step.py");
    let mut ours = Server::start(Command::new(step).args(case).current_dir(root()))?;
    let flops: f64 = ours.greeting().parse().context("reading the number of operations")?;
    let start = |format: &&str| Server::start(Command::new(python).arg(&peer).args(case).arg(format));
    let mut peers = ["nchw", "channels_last"].iter().map(start).collect::<Result<Vec<_>>>()?;
    let mut times: [Vec<f64>; 3] = Default::default();
    for _ in 0..arguments.rounds {
        let ask = format!("iterations {}", arguments.iterations);
        times[0].extend(ours.ask(&ask)?);
        for (peer, times) in peers.iter_mut().zip(&mut times[1..]) {
            times.extend(peer.ask(&ask)?);
        }
    }
    let mut memory = [ours.peak_memory()?, f64::INFINITY];
    for peer in &peers {
        memory[1] = memory[1].min(peer.peak_memory()?);
    }
    for server in [&mut ours].into_iter().chain(&mut peers) {
        for milliseconds in server.ask(&format!("product {PRODUCTS}"))? {
            *peak = peak.max(PRODUCT_FLOPS / milliseconds / 1e6);
        }
    }
    let [ours, nchw, channels_last] = times.map(median);
    Ok(Row { name: name.into(), ours, peers: [nchw, channels_last], flops, memory })
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn line(row: &Row, peak: f64) -> String {
    let Row { name, ours, peers: [nchw, channels_last], flops, memory: [memory, peer_memory] } = row;
    let best = nchw.min(*channels_last);
    let floor = flops / peak / 1e6;
    format!(
        "| {name} | {ours:.1} | {nchw:.1} | {channels_last:.1} | {:.2} | {:.2} | {:.2} | {memory:.0} | {peer_memory:.0} |",
        best / ours,
        flops / 1e9,
        ours / floor,
    )
}

fn write_table(arguments: &Arguments, threads: usize, rows: &[Row], peak: f64) -> Result<()> {
    let date = said("date", &["-u", "+%Y-%m-%d"])?;
    let machine = processor();
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let mut text = format!(
        "# One training iteration beside PyTorch\n\n{date}, {machine}, {threads} threads, commit {}, {TORCH}:\n\n    \
         cargo xtask {command}\n\nMilliseconds are medians over {} rounds of {} iterations, the sides in turn. The ratio is \
         PyTorch's better time over ours. The floor is the arithmetic of the convolutions and matrix products without \
         padding, at the best 1024^3 product of either side in this run, {peak:.0} GFLOP/s. Memory is the peak of the process, \
         ours with the whole of MNIST loaded.\n\n",
        said("git", &["rev-parse", "--short", "HEAD"])?,
        arguments.rounds,
        arguments.iterations,
    );
    text += "| case | ours, ms | NCHW, ms | channels last, ms | ratio | GFLOP | time / floor | ours, MiB | PyTorch, MiB |\n";
    text += "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
    for row in rows {
        writeln!(text, "{}", line(row, peak)).expect("writing to a string cannot fail");
    }
    let machine = machine.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let out = arguments.out.clone().unwrap_or_else(|| root().join(format!("benches/results/{date}-step-{machine}.md")));
    fs::write(&out, text).with_context(|| format!("writing {}", out.display()))?;
    println!("wrote {}", out.display());
    Ok(())
}

/// The Python to use, with torch in it.
fn python(arguments: &Arguments) -> Result<PathBuf> {
    if let Some(python) = &arguments.python {
        return Ok(python.clone());
    }
    let environment = target_directory()?.join("bench-venv");
    let python = environment.join("bin/python");
    if python.exists() {
        return Ok(python);
    }
    if !arguments.install {
        bail!("no PyTorch to compare with; give --python FILE, or --install to put one into {}", environment.display());
    }
    for command in [
        Command::new("python3").args(["-m", "venv"]).arg(&environment),
        Command::new(&python).args(["-m", "pip", "install", "--quiet", TORCH, "numpy"]),
    ] {
        let status = command.status().with_context(|| format!("starting {command:?}"))?;
        ensure!(status.success(), "{command:?} ended with {status}");
    }
    Ok(python)
}

/// What a command prints.
fn said(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).current_dir(root()).output();
    let output = output.with_context(|| format!("running {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// The processor's name, where the system tells it.
fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("unknown processor".into(), |(_, name)| name.trim().to_string())
}
