//! What else the machine did during a benchmark.

use std::fs;

use anyhow::{Context, Result};

/// Processor time used up to a moment, in clock ticks.
pub struct Others {
    /// All processors' time, idle or not.
    total: f64,
    /// What of it this process, and those that it started and saw end, did not use.
    others: f64,
}

impl Others {
    /// The moment from which on to look.
    pub fn now() -> Result<Self> {
        // user, nice, system, idle, iowait, irq, softirq, steal
        let machine = ticks("/proc/stat", |text| text.lines().next()?.strip_prefix("cpu "))?;
        let machine = machine.get(..8).context("/proc/stat has too few numbers")?;
        let total: f64 = machine.iter().sum();
        // The second field is the name, in brackets; utime, stime, cutime and cstime are fields 14 to 17.
        let own = ticks("/proc/self/stat", |text| Some(text.rsplit_once(") ")?.1.split_once(' ')?.1))?;
        let own: f64 = own.get(10..14).context("/proc/self/stat has too few numbers")?.iter().sum();
        Ok(Others { total, others: total - machine[3] - machine[4] - own })
    }

    /// The share of the machine that others used since then, between 0 and 1. What a process used is known when it has
    /// ended: this is to be called when all that were started have.
    pub fn share(&self) -> Result<f64> {
        let now = Others::now()?;
        Ok((now.others - self.others) / (now.total - self.total))
    }
}

/// The numbers of a line of a file.
fn ticks(path: &str, line: impl Fn(&str) -> Option<&str>) -> Result<Vec<f64>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let line = line(&text).with_context(|| format!("{path} is not as expected"))?;
    line.split_whitespace()
        .map(|number| number.parse().with_context(|| format!("`{number}` in {path} is no number")))
        .collect()
}
