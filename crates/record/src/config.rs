//! The head of `config.toml`, which every reader of a run needs.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::Error;
use crate::seal::{self, Seal};

/// The part of a run's `config.toml` that its readers need. The rest decides how the run is trained; readers only
/// show its text.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Config {
    /// The strategy's name, such as `ra`.
    pub strategy: String,
    /// The preset, such as `quick`.
    pub preset: String,
    /// The seed.
    pub seed: u64,
    /// The dataset's name, such as `mnist`.
    pub dataset: String,
    /// The length of the task sequence.
    pub tasks: usize,
    /// The run's changes to the authors' released code, one sentence each.
    #[serde(default)]
    pub deviations: Vec<String>,
    /// The SHA-256 of the data's fingerprint, in lower-case hexadecimal; `None` for runs of versions that took none.
    #[serde(default)]
    pub data: Option<String>,
    /// How classes are divided into tasks.
    #[serde(default)]
    pub sequence: Sequence,
    /// How the networks are trained.
    #[serde(default)]
    pub training: Training,
    /// The text of the whole file.
    #[serde(skip)]
    pub text: String,
    /// Whether the checksum in the file was verified. The files of earlier versions have none.
    #[serde(skip)]
    pub checked: bool,
}

/// How classes are divided into tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Sequence {
    /// The classes in the order in which they are learned; `None` for the dataset's own order.
    #[serde(default)]
    pub order: Option<Vec<usize>>,
}

/// How the networks are trained.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Training {
    /// The number of critic steps per iteration.
    #[serde(default)]
    pub critic_steps: Option<u64>,
}

/// Returns what must be said about the numbers of runs of this preset, if they mean nothing.
pub fn preset_warning(preset: &str) -> Option<&'static str> {
    let is_for_tests = preset == "smoke";
    is_for_tests
        .then_some("preset smoke is for tests: nothing is learned, so images are noise and numbers mean nothing")
}

/// Formats a class order, as it is asked for and shown; `None` is the dataset's own.
pub fn show_order(order: Option<&[usize]>) -> String {
    order.map_or("the dataset's own".into(), |order| format!("{order:?}"))
}

impl Config {
    /// Returns the classes in the order in which they are learned, or `None` for the dataset's own order, whether or not
    /// it was asked for by its numbers.
    pub fn order(&self) -> Option<&[usize]> {
        let order = self.sequence.order.as_deref()?;
        order.iter().enumerate().any(|(place, &class)| place != class).then_some(order)
    }

    /// Reads a `config.toml`.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Config`] where a key is missing, or [`Error::Changed`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(Error::reading(path))?;
        let config: Self =
            toml::from_str(&text).map_err(|source| Error::Config { path: path.into(), source: Box::new(source) })?;
        match seal::check(&text, seal::TOML) {
            Seal::Broken => Err(Error::Changed { path: path.into() }),
            seal => Ok(Config { checked: seal == Seal::Holds, text, ..config }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "strategy = 'ra'\npreset = 'quick'\nseed = 3\ndataset = 'mnist'\ntasks = 10\n";

    fn read(text: &str) -> Result<Config, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn other_keys_are_only_shown() {
        let text = format!("{HEAD}data = 'ab12'\ndeviations = ['narrower']\n[model]\nwidth = 16\n");
        let config = read(&text).unwrap();
        assert_eq!((config.strategy.as_str(), config.seed, config.tasks), ("ra", 3, 10));
        assert_eq!((config.deviations, config.data.as_deref()), (vec!["narrower".to_string()], Some("ab12")));
        assert_eq!(config.text, text);
        let older = read(HEAD).unwrap();
        assert_eq!((older.order(), older.training.critic_steps), (None, None));
        assert_eq!((older.deviations, older.data), (vec![], None));
    }

    #[test]
    fn an_order_is_told_from_the_datasets_own() {
        let order = |order: &str| {
            let text =
                format!("{HEAD}[sequence]\norder = {order}\nclasses_per_task = 1\n[training]\ncritic_steps = 2\n");
            let config = read(&text).unwrap();
            assert_eq!(config.training.critic_steps, Some(2));
            config.order().map(<[_]>::to_vec)
        };
        assert_eq!(order("[0, 2, 1]"), Some(vec![0, 2, 1]));
        assert_eq!(order("[0, 1, 2]"), None);
    }

    #[test]
    fn what_is_missing_is_said() {
        let error = read("strategy = 'ra'\n").unwrap_err();
        assert!(error.to_string().contains("config.toml is no run configuration"), "{error}");
        let Error::Config { source, .. } = error else { panic!("another error") };
        assert!(source.to_string().contains("missing field `preset`"), "{source}");
        assert!(matches!(Config::read(Path::new("absent/config.toml")), Err(Error::Read { .. })));
    }
}
