//! From the command line to a configuration.

use std::fs;

use anyhow::{Context, Result};
use mergan_datasets::{Manifest, info};
use mergan_models::Architecture;
use mergan_strategies::{Choice, Config};
use toml::{Table, Value};

use crate::args::NewRun;

/// The configuration of a new run: the preset, with the values of the file and then those of `--set` over it.
pub fn resolve(new: &NewRun) -> Result<Config> {
    let Manifest { classes, shape: [_, height, width], .. } = info(&new.dataset)?;
    let architecture = Architecture::of_side(height).filter(|_| height == width);
    let architecture = architecture.with_context(|| {
        format!("{} has images of {height} x {width} pixels; there are networks for 32 x 32 and 64 x 64", new.dataset)
    })?;
    let mut changes = match &new.config {
        None => Table::new(),
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            text.parse().with_context(|| format!("{} is not TOML", path.display()))?
        }
    };
    for change in &new.set {
        set(&mut changes, change).with_context(|| format!("--set {change}"))?;
    }
    let choice = Choice {
        dataset: new.dataset.clone(),
        architecture,
        strategy: new.strategy.clone(),
        preset: new.preset.clone(),
        seed: new.seed,
        tasks: new.tasks,
        changes,
    };
    Ok(Config::resolve(&choice, classes.len())?)
}

/// Puts `training.rate=1e-3` into a table. What is no TOML value is taken as text.
fn set(table: &mut Table, change: &str) -> Result<()> {
    let (name, text) = change.split_once('=').context("it must have the form NAME=VALUE")?;
    let parsed = format!("value = {text}").parse::<Table>().ok().and_then(|mut parsed| parsed.remove("value"));
    let value = parsed.unwrap_or_else(|| Value::String(text.into()));
    let (path, last) = name.rsplit_once('.').map_or((None, name), |(path, last)| (Some(path), last));
    let mut inner = table;
    for part in path.into_iter().flat_map(|path| path.split('.')) {
        let entry = inner.entry(part).or_insert_with(|| Value::Table(Table::new()));
        inner = entry.as_table_mut().with_context(|| format!("`{part}` is a value, not a table"))?;
    }
    inner.insert(last.into(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_names_reach_into_tables_and_later_values_win() {
        let mut table = Table::new();
        for change in ["training.rate=1", "training.rate=1e-3", "options.scaling=released", "sequence.order=[1, 0]"] {
            set(&mut table, change).unwrap();
        }
        let expected = toml::toml! {
            options = { scaling = "released" }
            sequence = { order = [1, 0] }
            training = { rate = 1e-3 }
        };
        assert_eq!(table, expected);
    }

    #[test]
    fn what_is_no_assignment_is_refused() {
        let mut table = toml::toml! { seed = 1 };
        assert!(set(&mut table, "rate").is_err());
        assert!(set(&mut table, "seed.low=1").is_err());
    }
}
