//! `cargo xtask bench step`: times a training iteration against the same one in PyTorch, and measures how its cost
//! grows with the number of tasks.

use std::fmt::Write as _;
use std::num::NonZeroUsize;

use anyhow::{Context, Result};
use clap::Args;

use super::others::Others;
use super::record::Record;
use super::sides::{Programs, Sides, Timing};
use super::{Common, Networks, Peer};

/// The arguments of `cargo xtask bench step`.
#[derive(Args)]
#[command(after_help = "Example:\n  cargo xtask bench step --install --widths 32")]
pub struct Arguments {
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    common: Common,
    /// The strategies.
    #[arg(long, value_delimiter = ',', default_value = "sft,jtr,ra")]
    strategies: Vec<String>,
    #[command(flatten)]
    networks: Networks,
    /// The tasks, counted from 1.
    #[arg(long, value_delimiter = ',', default_value = "1,2,5,10")]
    tasks: Vec<usize>,
    /// Number of iterations each time.
    #[arg(long, value_name = "N", default_value = "2")]
    iterations: NonZeroUsize,
}

/// The factor by which the cost of an iteration may grow from the first of the tasks below, the first that replays,
/// to the second.
const MOST_GROWTH: f64 = 1.15;
const GROWTH: [usize; 2] = [2, 10];

/// The results of one case.
struct Row {
    strategy: String,
    width: usize,
    task: usize,
    timing: Timing,
    flops: f64,
    /// The peak memory of our process and of PyTorch's smaller one, in MiB.
    memory: [f64; 2],
}

/// Runs the benchmark and writes the tables.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { common, strategies, networks: Networks { side, batch, widths }, .. } = arguments;
    let programs = Programs::new("step", &arguments.peer)?;
    let others = Others::now()?;
    let mut results = Results { rows: Vec::new(), best_product: 0.0, who: String::new() };
    for &width in widths {
        for strategy in strategies {
            results
                .measure(&programs, arguments, strategy, width)
                .with_context(|| format!("measuring {strategy} at width {width}"))?;
        }
    }
    let others = others.share()?;
    let Results { rows, best_product, who } = results;
    let mut tables = String::from(
        "\n| case | ours, ms | NCHW, ms | channels last, ms | ratio | GFLOP | time / floor | ours, MiB | PyTorch, MiB |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in &rows {
        writeln!(tables, "{}", line(row, best_product))?;
    }
    let slower = rows.iter().filter(|row| row.timing.ratio() < 1.0);
    let mut misses: Vec<_> = slower.map(|row| format!("{}: ratio {:.2}", name(row), row.timing.ratio())).collect();
    let growths = growths(&rows);
    if !growths.is_empty() {
        let [first, last] = GROWTH;
        write!(
            tables,
            "\nFrom task {first} to task {last}, where an iteration may cost {MOST_GROWTH} times as much and memory \
             should not grow:\n\n| case | ours, time | PyTorch, time | ours, MiB | PyTorch, MiB |\n|---|---:|---:|---:|---:|\n"
        )?;
    }
    for growth in &growths {
        let [ours, peer] = growth.memory();
        writeln!(tables, "| {} | {:.2} | {:.2} | {ours} | {peer} |", growth.case(), growth.ours(), growth.peer())?;
        if growth.ours() > MOST_GROWTH {
            misses.push(format!("{}: time grows {:.2} times", growth.case(), growth.ours()));
        }
    }
    let method = format!(
        "Images of {side} x {side}, batch {batch}. Milliseconds are medians over {} rounds of {} iterations, the sides and \
         the tasks of a strategy in turn. The ratio is PyTorch's better time over ours. The floor is the arithmetic of the convolutions and matrix products without \
         padding, at the best 1024^3 product of either side in this run, {best_product:.0} GFLOP/s. Memory is the peak of \
         the process during the iterations.",
        common.rounds, arguments.iterations,
    );
    let title = "One training iteration beside PyTorch";
    Record { name: "step", title, sides: who, others, method, tables, misses }.write(common)
}

/// The measurements so far.
struct Results {
    rows: Vec<Row>,
    best_product: f64,
    who: String,
}

impl Results {
    /// Measures all tasks of a strategy together, so that they can be compared with each other.
    fn measure(&mut self, programs: &Programs, arguments: &Arguments, strategy: &str, width: usize) -> Result<()> {
        let Arguments { common, networks: Networks { side, batch, .. }, tasks, iterations, .. } = arguments;
        let start = |&task: &usize| {
            let sizes = [*side, width, *batch, task, common.threads()].map(|number| number.to_string());
            let sides = programs.start(common, &[vec![strategy.into()], sizes.to_vec()].concat())?;
            sides.forget_peak_memory()?;
            Ok(sides)
        };
        let mut cases = tasks.iter().map(start).collect::<Result<Vec<Sides>>>()?;
        for _ in 0..common.rounds {
            for sides in &mut cases {
                sides.round("iteration", iterations.get())?;
            }
        }
        for (&task, mut sides) in tasks.iter().zip(cases) {
            let flops = sides.greeting()?.parse().context("reading the number of operations")?;
            let (timing, memory) = (sides.medians(), sides.peak_memory()?);
            self.best_product = self.best_product.max(sides.best_product()?);
            self.who = sides.who()?;
            let row = Row { strategy: strategy.into(), width, task, timing, flops, memory };
            println!("{}", line(&row, self.best_product));
            self.rows.push(row);
        }
        Ok(())
    }
}

fn name(row: &Row) -> String {
    format!("{} width {} task {}", row.strategy, row.width, row.task)
}

fn line(row: &Row, best_product: f64) -> String {
    let Row { timing, flops, memory: [memory, peer_memory], .. } = row;
    let Timing { ours, nchw, channels_last } = timing;
    let floor = flops / best_product / 1e6;
    format!(
        "| {} | {ours:.1} | {nchw:.1} | {channels_last:.1} | {:.2} | {:.2} | {:.2} | {memory:.0} | {peer_memory:.0} |",
        name(row),
        timing.ratio(),
        flops / 1e9,
        ours / floor,
    )
}

/// The same strategy and width at the two tasks of [`GROWTH`].
struct Growth<'a> {
    first: &'a Row,
    last: &'a Row,
}

fn growths(rows: &[Row]) -> Vec<Growth<'_>> {
    let [first, last] = GROWTH;
    let firsts = rows.iter().filter(|row| row.task == first);
    let pairs = firsts.filter_map(|first| {
        let same = |row: &&Row| row.task == last && row.strategy == first.strategy && row.width == first.width;
        Some(Growth { first, last: rows.iter().find(same)? })
    });
    pairs.collect()
}

impl Growth<'_> {
    fn case(&self) -> String {
        format!("{} width {}", self.first.strategy, self.first.width)
    }

    fn ours(&self) -> f64 {
        self.last.timing.ours / self.first.timing.ours
    }

    fn peer(&self) -> f64 {
        self.last.timing.peer() / self.first.timing.peer()
    }

    /// Formats the growth of the memory, ours and PyTorch's.
    fn memory(&self) -> [String; 2] {
        [0, 1].map(|side| format!("{:.0} to {:.0}", self.first.memory[side], self.last.memory[side]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_of_one_strategy_and_width() {
        let row = |strategy: &str, width, task, ours| Row {
            strategy: strategy.into(),
            width,
            task,
            timing: Timing { ours, nchw: 6.0, channels_last: 3.0 * ours },
            flops: 0.0,
            memory: [100.0, 700.0],
        };
        let rows = [row("ra", 16, 2, 1.0), row("ra", 32, 10, 9.0), row("jtr", 16, 10, 8.0), row("ra", 16, 10, 1.5)];
        let growths = growths(&rows);
        let [growth] = growths.as_slice() else { panic!("{} growths", growths.len()) };
        assert_eq!((growth.case().as_str(), growth.ours(), growth.peer()), ("ra width 16", 1.5, 1.5));
    }
}
