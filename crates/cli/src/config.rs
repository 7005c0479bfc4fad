//! From the command line to a configuration.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use mergan_datasets::{Manifest, names};
use mergan_models::Architecture;
use mergan_strategies::{Choice, Config, Strategies};
use toml::{Table, Value};

use crate::args::{ConfigArguments, DataArguments, ImageArguments, missing};
use crate::console::Console;

/// The configuration that the arguments ask for, and what is known of its dataset: that of a run which is made again, or a
/// preset with the values of a file, those of options for pictures and then those of `--set` over it.
pub fn resolve(
    dataset: Option<&str>,
    arguments: &ConfigArguments,
    images: &ImageArguments,
    strategies: &Strategies,
    data: &DataArguments,
    console: &Console,
) -> Result<(Config, Manifest)> {
    let mut file = match &arguments.config {
        None => Table::new(),
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            text.parse().with_context(|| format!("{} is not TOML", path.display()))?
        }
    };
    // A file of changes names no strategy.
    let is_of_a_run = file.contains_key("strategy");
    for (name, value) in images.table() {
        set(&mut file, &format!("images.{name}={value}"))?;
    }
    for change in &arguments.set {
        set(&mut file, change).with_context(|| format!("--set {change}"))?;
    }
    let named = file.get("dataset").and_then(Value::as_str).filter(|_| is_of_a_run).map(String::from);
    let dataset = dataset.map(whole_path).or(named).unwrap_or_else(|| missing("--dataset <NAME|PATH>"));
    let images = file.get("images").cloned().unwrap_or(Value::Table(Table::new()));
    let manifest = data.info(&dataset, &images.try_into().context("configuration, images")?, console)?;
    if is_of_a_run {
        return Ok((again(file, dataset, arguments)?, manifest));
    }
    let Manifest { shape: [_, height, width], .. } = manifest;
    let architecture = Architecture::of_side(height).filter(|_| height == width);
    let architecture = architecture.with_context(|| {
        format!("{dataset} has images of {height} x {width} pixels; there are networks for 32 x 32 and 64 x 64")
    })?;
    let choice = Choice {
        dataset,
        architecture,
        strategy: arguments.strategy.clone().unwrap_or_else(|| missing("--strategy <NAME>")),
        preset: arguments.preset.clone().unwrap_or("quick".into()),
        seed: arguments.seed.unwrap_or(0),
        tasks: arguments.tasks,
        changes: file,
    };
    Ok((Config::resolve(&choice, strategies, manifest.classes.len())?, manifest))
}

/// A run goes on from wherever it is asked to, so that a path is kept whole.
fn whole_path(dataset: &str) -> String {
    let path = Path::new(dataset).canonicalize().ok().filter(|_| names().all(|name| name != dataset));
    path.map_or_else(|| dataset.into(), |path| path.display().to_string())
}

/// The configuration of a run that is made again, to the same bits where nothing is changed.
fn again(mut table: Table, dataset: String, arguments: &ConfigArguments) -> Result<Config> {
    let path = arguments.config.as_deref().unwrap_or(Path::new("config.toml")).display().to_string();
    ensure!(
        arguments.strategy.is_none() && arguments.preset.is_none(),
        "{path} is the whole configuration of a run; leave --strategy and --preset out, or give a file of changes only"
    );
    ensure!(
        !table.contains_key("extensions"),
        "{path} is of a run that was extended, which cannot be made again from its configuration alone; make the run before \
         it again, and extend that"
    );
    table.insert("dataset".into(), dataset.into());
    let numbers =
        [("seed", arguments.seed.map(|seed| seed as i64)), ("tasks", arguments.tasks.map(|tasks| tasks as i64))];
    for (name, value) in numbers {
        if let Some(value) = value {
            table.insert(name.into(), value.into());
        }
    }
    let mut config = Config::parse(&table.to_string(), &path)?;
    config.deviations.extend(arguments.set.iter().map(|change| format!("changed by hand: {change}")));
    Ok(config)
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
