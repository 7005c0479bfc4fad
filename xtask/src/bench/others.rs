//! Measures the load that other processes put on the machine during a benchmark.

use std::fs;

use anyhow::{Context, Result};

/// Processor time used up to a moment, in clock ticks.
pub struct Others {
    /// The time of all processors, idle or not.
    total: f64,
    /// The busy time that was not used by this process, or by children that it has seen end.
    others: f64,
}

impl Others {
    /// Takes the measurement that later ones are compared with.
    pub fn now() -> Result<Self> {
        // The fields are user, nice, system, idle, iowait, irq, softirq and steal.
        let machine = ticks("/proc/stat", |text| text.lines().next()?.strip_prefix("cpu "))?;
        let machine = machine.get(..8).context("/proc/stat has too few numbers")?;
        let total: f64 = machine.iter().sum();
        // The second field is the name, in brackets; utime, stime, cutime and cstime are fields 14 to 17.
        let own = ticks("/proc/self/stat", |text| Some(text.rsplit_once(") ")?.1.split_once(' ')?.1))?;
        let own: f64 = own.get(10..14).context("/proc/self/stat has too few numbers")?.iter().sum();
        Ok(Others { total, others: total - machine[3] - machine[4] - own })
    }

    /// Returns the share of the machine that other processes have used since then, between 0 and 1. A child's time is
    /// known only when it has ended, so this must be called after all children have.
    pub fn share(&self) -> Result<f64> {
        let now = Others::now()?;
        Ok((now.others - self.others) / (now.total - self.total))
    }
}

/// Parses the numbers of a line of a file.
fn ticks(path: &str, line: impl Fn(&str) -> Option<&str>) -> Result<Vec<f64>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let line = line(&text).with_context(|| format!("{path} is not as expected"))?;
    line.split_whitespace()
        .map(|number| number.parse().with_context(|| format!("`{number}` in {path} is no number")))
        .collect()
}
