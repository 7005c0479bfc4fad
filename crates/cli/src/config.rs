//! Builds configurations from the command line.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use clap::builder::PossibleValuesParser;
use mergan_datasets::{ImageOptions, Manifest, names};
use mergan_runs::configure;
use mergan_strategies::{Choice, Config, Strategies};
use toml::{Table, Value};

use crate::args::missing;
use crate::console::Console;
use crate::data::DataArguments;

/// How pictures of any size and kind become images.
#[derive(Args, Default)]
#[command(next_help_heading = "Own images")]
pub struct ImageArguments {
    /// Height and width of the images, 32 or 64 [default: 32].
    #[arg(long, value_name = "PIXELS")]
    side: Option<i64>,
    /// Convert pictures to grey.
    #[arg(long, visible_alias = "gray")]
    grey: bool,
    /// How pictures that are not square become square: crop takes their middle, resize distorts them [default: crop].
    #[arg(long, value_name = "HOW", value_parser = ["crop", "resize"])]
    fit: Option<String>,
    /// At most this many images of each class, taken from the start.
    #[arg(long, value_name = "N")]
    limit: Option<i64>,
    /// The options for which pictures are taken.
    #[command(flatten)]
    choice: PictureArguments,
}

/// Which pictures of a folder are taken.
#[derive(Args, Clone, Default)]
pub struct PictureArguments {
    /// Leave out pictures that cannot be read; they are named and counted.
    #[arg(long)]
    pub skip_bad: bool,
    /// Follow links that lead out of the folder of pictures, such as those of DVC, git-annex and Hugging Face.
    #[arg(long)]
    pub follow_links: bool,
}

impl PictureArguments {
    /// Returns the options of `images` with these choices.
    pub fn apply(&self, images: ImageOptions) -> ImageOptions {
        ImageOptions { skip_bad: self.skip_bad, follow_links: self.follow_links, ..images }
    }
}

impl ImageArguments {
    /// Returns the given options as the table `images` of a configuration.
    pub fn table(&self) -> Table {
        let given = [
            ("side", self.side.map(Value::from)),
            ("channels", self.grey.then_some(Value::from(1))),
            ("fit", self.fit.clone().map(Value::from)),
            ("limit", self.limit.map(Value::from)),
            ("skip_bad", self.choice.skip_bad.then_some(Value::from(true))),
            ("follow_links", self.choice.follow_links.then_some(Value::from(true))),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
    }
}

/// The options that decide the result of a run, besides its data.
#[derive(Args, Default)]
#[command(next_help_heading = "Configuration")]
pub struct ConfigArguments {
    /// The method that keeps the generator from forgetting.
    #[arg(long, value_name = "NAME", value_parser = strategies())]
    pub strategy: Option<String>,
    /// The recipe: smoke (seconds, for tests), demo (a minute, for the drawn shapes), quick (minutes), photo (an hour,
    /// for photographs in colour) or paper (the released code's, hours to days) [default: quick].
    #[arg(long, value_name = "NAME", value_parser = presets())]
    pub preset: Option<String>,
    /// Number of tasks to learn [default: all classes].
    #[arg(long, value_name = "N")]
    pub tasks: Option<usize>,
    /// The seed of all randomness, at most the largest integer of TOML [default: 0].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// A TOML file whose values replace the preset's, or the config.toml of a run, which is then repeated.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One value that replaces the preset's, such as training.rate=1e-3; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// Returns the configuration that the arguments describe, and what is known of its dataset. It is that of a run to be
/// repeated, or a preset; values from a file, then those of the options for pictures, then those of `--set` override
/// it.
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
    apply(&arguments.set, &mut file)?;
    let named = file.get("dataset").and_then(Value::as_str).filter(|_| is_of_a_run).map(String::from);
    let dataset = dataset.map(whole_path).or(named).ok_or_else(|| missing("--dataset <NAME|PATH>"))?;
    let images = file.get("images").cloned().unwrap_or(Value::Table(Table::new()));
    let manifest = data.info(&dataset, &images.try_into().context("configuration, images")?, console)?;
    if is_of_a_run {
        return Ok((again(file, dataset, arguments)?, manifest));
    }
    let choice = Choice {
        dataset,
        strategy: arguments.strategy.clone().ok_or_else(|| missing("--strategy <NAME>"))?,
        preset: arguments.preset.clone().unwrap_or("quick".into()),
        seed: arguments.seed.unwrap_or(0),
        tasks: arguments.tasks,
        changes: file,
        ..Choice::default()
    };
    Ok((configure(choice, &manifest, strategies)?, manifest))
}

/// Returns the absolute path, because a run may be resumed from any working directory.
pub fn whole_path(dataset: &str) -> String {
    let path = Path::new(dataset).canonicalize().ok().filter(|_| names().all(|name| name != dataset));
    path.map_or_else(|| dataset.into(), |path| path.display().to_string())
}

/// Returns the parser of a strategy's name, which knows all of them.
pub fn strategies() -> PossibleValuesParser {
    PossibleValuesParser::new(Strategies::built_in().names())
}

/// Returns the parser of a preset's name, which knows all of them.
pub fn presets() -> PossibleValuesParser {
    PossibleValuesParser::new(mergan_strategies::presets())
}

/// Returns the configuration of a repeated run, which yields the same bits if nothing is changed.
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

/// Sets the values of `--set`.
pub fn apply(changes: &[String], table: &mut Table) -> Result<()> {
    changes.iter().try_for_each(|change| set(table, change).with_context(|| format!("--set {change}")))
}

/// Sets a value such as `training.rate=1e-3` in a table. A value that is not valid TOML is taken as text.
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
