//! The ledger: which kernel was compared on which tier.
//!
//! A test writes a row only after it has compared a kernel's results. The table takes the kernels from the `.cu`
//! files, so that none can be forgotten, and shows for every tier whether it ran on the current source.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::sources::{Module, root};

/// The way in which a kernel was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// On the host, without checks.
    Fast,
    /// On the host, with every access checked.
    Checked,
    /// As PTX in the interpreter.
    Interpreter,
    /// On a GPU.
    Gpu,
}

impl Tier {
    /// All tiers, in the order of the table.
    pub const ALL: [Tier; 4] = [Tier::Fast, Tier::Checked, Tier::Interpreter, Tier::Gpu];

    /// Returns the name in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Fast => "T1 fast",
            Tier::Checked => "T1 checked",
            Tier::Interpreter => "T2 PTX",
            Tier::Gpu => "T3 GPU",
        }
    }

    /// Returns whether every kernel must have been compared on this tier. A GPU is not always available.
    fn is_required(self) -> bool {
        self != Tier::Gpu
    }
}

/// Returns the text of all results of `cargo xtask gpu` in `benches/results`. They are checked in because a GPU is
/// not always available.
fn gpu_results() -> Result<String> {
    let folder = root().join("benches/results");
    let mut text = String::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.file_stem().unwrap_or_default().to_string_lossy().contains("-gpu") {
            text += &fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        }
    }
    Ok(text)
}

/// Adds a row. Call this only after the kernel's results on this tier have been compared with the reference.
///
/// # Errors
/// When the file cannot be written.
pub fn compared(rows: &Path, module: &Module, kernel: &str, tier: Tier) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(rows);
    let file = file.as_mut().map_err(|error| anyhow::anyhow!("{}: {error}", rows.display()))?;
    // The row is written in one call, so that rows of several processes do not mix.
    let row = format!("{kernel}\t{}\t{}\n", tier.name(), module.hash());
    file.write_all(row.as_bytes()).with_context(|| format!("writing {}", rows.display()))
}

/// Returns the table of kernels and tiers, and whether every required tier has run.
///
/// # Errors
/// When the rows cannot be read.
pub fn table(modules: &[Module], rows: &Path) -> Result<(String, bool)> {
    let text = fs::read_to_string(rows).with_context(|| format!("reading {}", rows.display()))?;
    Ok(render(modules, &(text + &gpu_results()?)))
}

fn render(modules: &[Module], rows: &str) -> (String, bool) {
    // The sources with which each kernel was compared on each tier, with how often.
    let mut ran: HashMap<(&str, &str), BTreeMap<&str, usize>> = HashMap::new();
    for row in rows.lines() {
        if let [kernel, tier, source] = row.split('\t').collect::<Vec<_>>()[..] {
            *ran.entry((kernel, tier)).or_default().entry(source).or_default() += 1;
        }
    }
    let kernels = modules.iter().flat_map(|module| module.kernels().into_iter().map(move |kernel| (module, kernel)));
    let kernels: Vec<_> = kernels.map(|(module, kernel)| (module.hash(), kernel)).collect();
    let width = kernels.iter().map(|(_, kernel)| kernel.len()).max().unwrap_or(0).max("kernel".len());
    let mut table = format!("{:width$}", "kernel");
    for tier in Tier::ALL {
        let _ = write!(table, "  {:10}", tier.name());
    }
    table.push('\n');
    let mut complete = true;
    for (source, kernel) in &kernels {
        let _ = write!(table, "{kernel:width$}");
        for tier in Tier::ALL {
            let said = match ran.get(&(*kernel, tier.name())) {
                None => "NOT RUN".to_string(),
                Some(sources) => sources.get(source.as_str()).map_or("STALE".into(), |times| format!("ran x{times}")),
            };
            complete &= said.starts_with("ran") || !tier.is_required();
            let _ = write!(table, "  {said:10}");
        }
        table = table.trim_end().to_string() + "\n";
    }
    (table, complete && !kernels.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_a_required_tier_fails() {
        let source = "extern \"C\" __global__ void add(int n) {}";
        let module = Module { name: "add".into(), headers: Vec::new(), source: source.into() };
        let row = |tier: Tier, source: &str| format!("add\t{}\t{source}\n", tier.name());
        let now = module.hash();
        let mut rows = row(Tier::Fast, &now) + &row(Tier::Fast, &now) + &row(Tier::Checked, &now);
        let (table, complete) = render(std::slice::from_ref(&module), &rows);
        assert_eq!(table.lines().nth(1).unwrap(), "add     ran x2      ran x1      NOT RUN     NOT RUN");
        assert!(!complete);
        rows += &(row(Tier::Interpreter, "older") + &row(Tier::Gpu, "older"));
        let (table, complete) = render(std::slice::from_ref(&module), &rows);
        assert!(table.contains("ran x1      STALE       STALE") && !complete, "{table}");
        rows += &row(Tier::Interpreter, &now);
        let (table, complete) = render(std::slice::from_ref(&module), &rows);
        assert!(table.contains("ran x1      ran x1      STALE") && complete, "{table}");
    }
}
