//! Writes the file that a benchmark leaves in `benches/results`.

use std::env;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Common;
use crate::cargo::{commit, root};

/// The results of a benchmark.
pub struct Record<'a> {
    /// The benchmark, as the command names it.
    pub name: &'a str,
    pub title: &'a str,
    /// The sides, with their vector instructions and the versions of the others.
    pub sides: String,
    /// The share of the machine that other processes used meanwhile.
    pub others: f64,
    /// The measured quantity, and the method.
    pub method: String,
    /// The tables, in Markdown, each after an empty line.
    pub tables: String,
    /// The figures that miss their target.
    pub misses: Vec<String>,
}

impl Record<'_> {
    /// Writes the file, with date, machine, commit and command. The reason for a miss is left to be investigated.
    pub fn write(&self, common: &Common) -> Result<()> {
        let Record { name, title, sides, others, method, tables, misses } = self;
        let date = said(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
        let machine = processor();
        let misses = if misses.is_empty() {
            "None.".to_string()
        } else {
            misses.iter().map(|miss| format!("- {miss}. Bounded by:")).collect::<Vec<_>>().join("\n")
        };
        let text = format!(
            "# {title}\n\n{date}, {machine}, threads: {}, commit {}, {sides}:\n\n    cargo xtask {}\n\n{method} \
             Other processes took {:.0} % of the machine meanwhile.\n{tables}\n## Misses\n\n{misses}\n",
            common.threads(),
            commit().unwrap_or("unknown".into()),
            command(),
            100.0 * others,
        );
        let machine = machine.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let file = || root().join(format!("benches/results/{date}-{name}-{machine}.md"));
        let out = common.out.clone().unwrap_or_else(file);
        fs::write(&out, text).with_context(|| format!("writing {}", out.display()))?;
        println!("wrote {}", out.display());
        Ok(())
    }
}

/// Returns the command that was given, with paths of this machine replaced.
fn command() -> String {
    let mut words: Vec<String> = env::args().skip(1).collect();
    for (option, stands_for) in [("--python", "PYTHON"), ("--out", "FILE")] {
        if let Some(place) = words.iter().position(|word| word == option) {
            words[place + 1] = stands_for.into();
        }
    }
    words.join(" ")
}

/// Returns the output of a command.
pub fn said(command: &mut Command) -> Result<String> {
    let output = command.current_dir(root()).output().with_context(|| format!("starting {command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {}", output.status, error.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// Returns the processor's name, if the system tells it.
fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("unknown processor".into(), |(_, name)| name.trim().to_string())
}
