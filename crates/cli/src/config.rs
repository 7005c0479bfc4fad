//! From the command line to a configuration.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use mergan_datasets::{Manifest, names};
use mergan_models::Architecture;
use mergan_strategies::{Choice, Config, Strategies};
use toml::{Table, Value};

use crate::args::{NewRun, TrainArguments};
use crate::console::Console;

/// The configuration of a new run: the preset, with the values of the file, those of options for pictures and then those of
/// `--set` over it. Also what is known of its dataset.
pub fn resolve(
    new: &NewRun,
    strategies: &Strategies,
    arguments: &TrainArguments,
    console: &Console,
) -> Result<(Config, Manifest)> {
    let mut changes = match &new.config {
        None => Table::new(),
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            text.parse().with_context(|| format!("{} is not TOML", path.display()))?
        }
    };
    for (name, value) in arguments.images.table() {
        set(&mut changes, &format!("images.{name}={value}"))?;
    }
    for change in &new.set {
        set(&mut changes, change).with_context(|| format!("--set {change}"))?;
    }
    let images = changes.get("images").cloned().unwrap_or(Value::Table(Table::new()));
    let manifest = arguments.data.info(&new.dataset, &images.try_into().context("configuration, images")?, console)?;
    let Manifest { shape: [_, height, width], .. } = manifest;
    let architecture = Architecture::of_side(height).filter(|_| height == width);
    let architecture = architecture.with_context(|| {
        format!("{} has images of {height} x {width} pixels; there are networks for 32 x 32 and 64 x 64", new.dataset)
    })?;
    // A run goes on from wherever it is asked to, so that a path is kept whole.
    let path = Path::new(&new.dataset).canonicalize().ok().filter(|_| names().all(|name| name != new.dataset));
    let choice = Choice {
        dataset: path.map_or_else(|| new.dataset.clone(), |path| path.display().to_string()),
        architecture,
        strategy: new.strategy.clone(),
        preset: new.preset.clone(),
        seed: new.seed,
        tasks: new.tasks,
        changes,
    };
    Ok((Config::resolve(&choice, strategies, manifest.classes.len())?, manifest))
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
