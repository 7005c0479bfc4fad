//! The configuration of a run: everything that determines its result.

use std::path::PathBuf;

use documented::DocumentedFieldsOpt;
use mergan_datasets::{ImageOptions, TaskError, TaskOptions, TaskSequence};
use mergan_models::Architecture;
use mergan_tensor::AdamOptions;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::Value;

use crate::augmentation::Augmentation;
use crate::batches::Grouping;
use crate::error::Error;
use crate::losses::LossWeights;
use crate::strategies::Strategies;

/// The configuration of a run, as stored in its `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFieldsOpt)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The dataset's name.
    pub dataset: String,
    /// The strategy's name.
    pub strategy: String,
    /// The preset that the values were taken from.
    pub preset: String,
    /// A description of each way in which the preset and the changes to it deviate from the released code.
    pub deviations: Vec<String>,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The number of tasks to learn.
    pub tasks: usize,
    /// The SHA-256 of the data's fingerprint, in lower-case hexadecimal. It is set when a run begins; runs of versions
    /// that took no fingerprints have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// How a user's own pictures are turned into images.
    #[serde(default)]
    pub images: ImageOptions,
    /// How classes are divided into tasks; `tasks` above is the number of tasks.
    pub sequence: TaskOptions,
    /// The sizes of the networks.
    pub model: ModelOptions,
    /// How the networks are trained.
    pub training: TrainingOptions,
    /// How the generator is scored.
    pub evaluation: EvaluationOptions,
    /// The strategy's own options.
    pub options: toml::Table,
    /// The classes that were learned one by one after the tasks of the sequence, without the earlier data; `tasks`
    /// includes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Extension>,
}

/// A class that a finished run learned afterwards, from images of that class alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFieldsOpt)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// The name of the class.
    pub name: String,
    /// The number of the class: that of a class of the dataset that no task contains, or the next number after all
    /// classes.
    pub class: usize,
    /// The folder of the images.
    pub images: PathBuf,
    /// The maximum number of images to take from the folder, counted from the first. All are taken if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Leaves out images that cannot be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_bad: bool,
    /// Follows links that lead out of the folder.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow_links: bool,
    /// The SHA-256 of the images in the form in which they are learned, in lower-case hexadecimal.
    pub sha256: String,
    /// The SHA-256 of the classifier that scored the run before the extension, in lower-case hexadecimal, if it is
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scorer: Option<String>,
}

/// The sizes of the networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFieldsOpt)]
#[serde(deny_unknown_fields)]
pub struct ModelOptions {
    /// The architecture of the networks, which must match the size of the images: `digit` (the paper's for MNIST) or
    /// `residual` (that of WGAN-GP for CIFAR-10, for photographs) for 32 x 32 pixels, `resnet` (the paper's for LSUN) or
    /// `residual64` for 64 x 64.
    #[serde(default)]
    pub architecture: Architecture,
    /// The number of channels at full resolution. In the paper it is 32 for `digit` and 64 for `resnet`; WGAN-GP has 128.
    pub width: usize,
    /// The length of a latent vector; 128 in the paper.
    pub latent: usize,
}

/// How the networks are trained (paper section 4, and the released code's `mergan.py`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFieldsOpt)]
#[serde(deny_unknown_fields)]
pub struct TrainingOptions {
    /// The number of iterations per task. An iteration is a generator step, except in the first iteration of a task,
    /// followed by the critic steps.
    pub iterations: usize,
    /// The number of iterations of the first task.
    pub first_iterations: usize,
    /// The number of images in a batch.
    pub batch: usize,
    /// The number of critic steps per iteration.
    pub critic_steps: usize,
    /// Adam's learning rate at the start of a task.
    pub rate: f64,
    /// The fraction of the learning rate that is left at the end of a task; the rate falls linearly. 1 keeps it
    /// constant.
    pub final_rate: f64,
    /// Adam's decay rate for the running mean of the gradient.
    pub beta1: f64,
    /// Adam's decay rate for the running mean of the squared gradient.
    pub beta2: f64,
    /// lambda_GP, the weight of the gradient penalty.
    pub penalty: f64,
    /// lambda_CLS, the weight of the class terms of both networks.
    #[serde(default = "paper_class_weight")]
    pub class_weight: f64,
    /// How classes share a batch: `pure` gives each class an equal group of its own, `mixed` draws images at random
    /// from all classes.
    pub grouping: Grouping,
    /// The initial values of a new class's parameters: `fresh` keeps those of the untrained network, `mean` takes the
    /// mean of the classes learned so far.
    pub new_classes: NewClasses,
    /// The decay rate of the running average of the generator's weights. At the end of a task, the average is scored,
    /// kept as the snapshot and used as the start of the next task. 0 uses the weights themselves.
    pub average: f64,
    /// Whether half of the training images, chosen anew for each batch, are mirrored left to right.
    #[serde(default)]
    pub mirror: bool,
    /// The random changes through which the critic sees all images, real and generated ones: any of `color`,
    /// `translation` and `cutout` with commas between them (differentiable augmentation, for few images). Nothing is
    /// changed if it is empty.
    #[serde(default)]
    pub augment: Augmentation,
}

/// Returns the weight that configurations imply if they were written before this option existed.
fn paper_class_weight() -> f64 {
    LossWeights::default().class
}

/// The initial values of the generator's parameters for a class that it has not learned yet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NewClasses {
    /// The values of the untrained network: scale 1, shift 0.
    Fresh,
    /// The mean over the classes learned so far.
    Mean,
}

/// How a generator is scored (paper section 4.1). A measurement whose number of samples or interval is 0 is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFieldsOpt)]
#[serde(deny_unknown_fields)]
pub struct EvaluationOptions {
    /// The number of generated images of each class that the classifier scores.
    pub samples: usize,
    /// The number of images that are generated and normalised together.
    pub batch: usize,
    /// The number of generated images of each class that a classifier is trained on for the reverse accuracy; 0 leaves
    /// this measurement out.
    #[serde(default)]
    pub reverse_samples: usize,
    /// The number of iterations after which the past classes are scored again while a task is learned; 0 turns this
    /// off.
    #[serde(default)]
    pub gap_every: usize,
    /// The number of generated images of each past class that are scored every `gap_every` iterations.
    #[serde(default)]
    pub gap_samples: usize,
}

/// The most channels at full resolution, and the longest latent. Sizes computed from them fit into a word.
const MOST_CHANNELS: usize = 16384;

const PRESETS: [(&str, &str); 5] = [
    ("smoke", include_str!("../presets/smoke.toml")),
    ("demo", include_str!("../presets/demo.toml")),
    ("quick", include_str!("../presets/quick.toml")),
    ("photo", include_str!("../presets/photo.toml")),
    ("paper", include_str!("../presets/paper.toml")),
];

/// Returns the names of the presets.
pub fn presets() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// The choices from which a configuration is resolved.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The dataset's name.
    pub dataset: String,
    /// The architecture of the networks, unless the preset or a change names another one for images of the same size,
    /// that of the dataset's.
    pub architecture: Architecture,
    /// The strategy's name.
    pub strategy: String,
    /// The preset's name.
    pub preset: String,
    /// The seed.
    pub seed: u64,
    /// The number of tasks; if it is left out, all classes are learned.
    pub tasks: Option<usize>,
    /// Changes to the values of the preset, with the tables of [`Config`].
    pub changes: toml::Table,
}

/// Reads a table; the error is the path of the value that is wrong, or `.`, and what is wrong with it.
pub(crate) fn read<T: DeserializeOwned>(table: toml::Table) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
        let (path, reason) = (error.path().to_string(), error.inner().message().to_string());
        // The reason names an unknown field itself, so its place is the table.
        let path = match path.rsplit_once('.') {
            _ if !reason.starts_with("unknown field") => path,
            Some((table, _)) if !table.is_empty() => table.into(),
            _ => ".".into(),
        };
        (path, reason)
    })
}

impl ModelOptions {
    /// Returns an error unless the networks make images of this size.
    pub(crate) fn require_side(&self, height: usize, width: usize) -> Result<(), Error> {
        let ModelOptions { architecture, .. } = *self;
        let side = architecture.side();
        if (height, width) == (side, side) { Ok(()) } else { Err(Error::ImageSize { height, width, architecture }) }
    }
}

impl Config {
    /// Resolves a choice among these strategies, for a dataset with this many classes. If the preset does not know the
    /// strategy, the options are only those that the choice sets, and the strategy's own type supplies the defaults.
    ///
    /// # Errors
    /// Returns an error if a name is unknown, or if a change names no option, gives it a value out of range or concerns
    /// a value that identifies the run.
    pub fn resolve(choice: &Choice, strategies: &Strategies, classes: usize) -> Result<Config, Error> {
        let (name, text) = PRESETS
            .iter()
            .find(|(name, _)| *name == choice.preset)
            .ok_or_else(|| Error::unknown_name("preset", &choice.preset, presets()))?;
        let fault = |place: &str, error: toml::de::Error| Error::Config {
            place: place.into(),
            reason: error.message().to_string(),
        };
        let mut table = preset_values(text, choice).map_err(|error| fault(&format!("preset {name}"), error))?;
        refuse_identity(&choice.changes)?;
        merge(&mut table, &choice.changes);
        let mut config: Config = read(table).map_err(|(at, reason)| {
            let place = if at == "." { "configuration".into() } else { format!("configuration, {at}") };
            Error::Config { place, reason }
        })?;
        let side = choice.architecture.side();
        config.model.require_side(side, side)?;
        let available = config.sequence.order.as_ref().map_or(classes, Vec::len);
        config.tasks = choice.tasks.unwrap_or(available / config.sequence.classes_per_task.max(1));
        for (name, value) in flatten("", &choice.changes) {
            config.deviations.push(format!("changed by hand: {name} = {value}"));
        }
        config.validate()?;
        strategies.build(&config.strategy, &config.options)?;
        Ok(config)
    }

    /// Reads a run's `config.toml`.
    ///
    /// # Errors
    /// Returns an error if the text is not a valid configuration; `place` names the file in the error.
    pub fn parse(text: &str, place: &str) -> Result<Config, Error> {
        let fault = |error: toml::de::Error| Error::Config { place: place.into(), reason: error.to_string() };
        let config: Config = toml::from_str(text).map_err(fault)?;
        config.validate()?;
        Ok(config)
    }

    /// Returns the configuration as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a configuration can be written as TOML")
    }

    /// Returns the optimiser's options.
    pub fn adam(&self) -> AdamOptions {
        AdamOptions { beta1: self.training.beta1, beta2: self.training.beta2, epsilon: 1e-8 }
    }

    /// Returns the number of iterations of task `task`, counted from 0.
    pub fn iterations(&self, task: usize) -> usize {
        if task == 0 { self.training.first_iterations } else { self.training.iterations }
    }

    /// Returns the tasks for networks with this many classes: those of the sequence, followed by the extensions.
    ///
    /// # Errors
    /// Returns an error if the sequence does not fit the classes, or if the class of an extension is already learned.
    pub fn task_sequence(&self, classes: usize) -> Result<TaskSequence, TaskError> {
        let options =
            TaskOptions { tasks: Some(self.tasks.saturating_sub(self.extensions.len())), ..self.sequence.clone() };
        let sequence = TaskSequence::new(classes, &options)?;
        self.extensions.iter().try_fold(sequence, |sequence, extension| sequence.followed_by(extension.class, classes))
    }

    /// Returns the configuration of a run that learns one more class.
    pub fn extended_by(&self, extension: Extension) -> Config {
        let mut config = self.clone();
        config.tasks += 1;
        config.deviations.push(format!("{} was learned afterwards, without the data before it", extension.name));
        config.extensions.push(extension);
        config
    }

    fn validate(&self) -> Result<(), Error> {
        let require = |holds: bool, field: &str, rule: &str| {
            let fault =
                Error::Config { place: format!("configuration, {field}"), reason: format!("it must be {rule}") };
            if holds { Ok(()) } else { Err(fault) }
        };
        let TrainingOptions { iterations, first_iterations, batch, critic_steps, rate, final_rate, .. } = self.training;
        let TrainingOptions { beta1, beta2, penalty, class_weight, average, .. } = self.training;
        require(self.tasks > 0, "tasks", "at least 1")?;
        require((1..=MOST_CHANNELS).contains(&self.model.width), "model.width", "from 1 to 16384")?;
        require((1..=MOST_CHANNELS).contains(&self.model.latent), "model.latent", "from 1 to 16384")?;
        require(iterations > 0, "training.iterations", "at least 1")?;
        require(first_iterations > 0, "training.first_iterations", "at least 1")?;
        require(batch > 1, "training.batch", "at least 2, for batch normalisation")?;
        // A training can be stopped between iterations, so an iteration must come to an end.
        require((1..=1000).contains(&critic_steps), "training.critic_steps", "from 1 to 1000")?;
        require(rate > 0.0 && rate.is_finite(), "training.rate", "a positive number")?;
        require((0.0..=1.0).contains(&final_rate), "training.final_rate", "between 0 and 1")?;
        require((0.0..1.0).contains(&beta1), "training.beta1", "at least 0 and less than 1")?;
        require((0.0..1.0).contains(&beta2), "training.beta2", "at least 0 and less than 1")?;
        require(penalty >= 0.0 && penalty.is_finite(), "training.penalty", "at least 0")?;
        require(class_weight >= 0.0 && class_weight.is_finite(), "training.class_weight", "at least 0")?;
        require((0.0..1.0).contains(&average), "training.average", "at least 0 and less than 1")?;
        require(self.evaluation.samples > 0, "evaluation.samples", "at least 1")?;
        require(self.evaluation.batch > 1, "evaluation.batch", "at least 2, for batch normalisation")?;
        let EvaluationOptions { gap_every, gap_samples, .. } = self.evaluation;
        require(gap_every == 0 || gap_samples > 0, "evaluation.gap_samples", "at least 1 where gap_every is")
    }
}

/// Returns the values of a preset for a choice, as the table of a [`Config`]. In the file of the preset, `options`
/// holds the options of all strategies, and `for` holds changes for sides of images (in pixels), architectures, datasets
/// and strategies by name. They are applied in this order and override the other values, but their deviations are added
/// to the list.
fn preset_values(preset: &str, choice: &Choice) -> Result<toml::Table, toml::de::Error> {
    let mut values: toml::Table = preset.parse()?;
    let special = values.remove("for").unwrap_or(toml::Table::new().into());
    specialise(&mut values, special.get(choice.architecture.side().to_string()));
    let named = [&choice.changes, &values].into_iter().find_map(|table| table.get("model")?.get("architecture"));
    let architecture = named.cloned().unwrap_or_else(|| choice.architecture.name().into());
    for name in [architecture.as_str().unwrap_or_default(), &choice.dataset, &choice.strategy] {
        specialise(&mut values, special.get(name));
    }
    let options = values.remove("options").and_then(|options| options.get(&choice.strategy).cloned());
    let Choice { dataset, strategy, preset, seed, .. } = choice;
    let chosen = [
        ("dataset", dataset.clone().into()),
        ("strategy", strategy.clone().into()),
        ("preset", preset.clone().into()),
        ("seed", Value::try_from(seed).expect("a seed is a number")),
        ("tasks", 0.into()),
        ("sequence", Value::try_from(TaskOptions::default()).expect("a sequence is a table")),
        ("options", options.unwrap_or_else(|| toml::Table::new().into())),
        ("model", toml::Table::from_iter([("architecture".to_string(), architecture)]).into()),
    ];
    merge(&mut values, &chosen.map(|(name, value)| (name.to_string(), value)).into_iter().collect());
    Ok(values)
}

/// Overrides the values of a preset with its changes for a special case, if there are any, and adds their deviations to
/// the list.
fn specialise(values: &mut toml::Table, changes: Option<&Value>) {
    let Some(mut changes) = changes.and_then(Value::as_table).cloned() else { return };
    let more = changes.remove("deviations");
    if let (Some(Value::Array(all)), Some(Value::Array(more))) = (values.get_mut("deviations"), more) {
        all.extend(more);
    }
    merge(values, &changes);
}

/// Refuses changes to what identifies a run: a run must not be called `paper` if it is something else, and no deviation
/// may be dropped.
fn refuse_identity(changes: &toml::Table) -> Result<(), Error> {
    const NAMES: [&str; 7] = ["dataset", "strategy", "preset", "seed", "deviations", "tasks", "sequence.tasks"];
    match flatten("", changes).into_iter().find(|(name, _)| NAMES.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => Err(Error::Config {
            place: format!("configuration, {name}"),
            reason: "it cannot be changed here; choose it on the command line".into(),
        }),
    }
}

/// Overrides the values of `table` with those of `changes`, recursively.
fn merge(table: &mut toml::Table, changes: &toml::Table) {
    for (name, value) in changes {
        match (table.get_mut(name), value) {
            (Some(Value::Table(inner)), Value::Table(changes)) => merge(inner, changes),
            _ => drop(table.insert(name.clone(), value.clone())),
        }
    }
}

/// Returns every value of a table with its dotted name.
fn flatten(prefix: &str, table: &toml::Table) -> Vec<(String, Value)> {
    let entries = table.iter().flat_map(|(name, value)| match value {
        Value::Table(inner) => flatten(&format!("{prefix}{name}."), inner),
        value => vec![(format!("{prefix}{name}"), value.clone())],
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(preset: &str) -> Choice {
        Choice { dataset: "mnist".into(), strategy: "ra".into(), preset: preset.into(), ..Choice::default() }
    }

    fn resolve(choice: &Choice, classes: usize) -> Result<Config, Error> {
        Config::resolve(choice, &Strategies::built_in(), classes)
    }

    fn lsun(preset: &str) -> Choice {
        Choice { dataset: "lsun".into(), architecture: Architecture::Resnet, ..choice(preset) }
    }

    #[test]
    fn every_preset_resolves_for_every_strategy_and_survives_the_round_trip() {
        for preset in presets() {
            for of in [choice(preset), Choice { dataset: "svhn".into(), ..choice(preset) }, lsun(preset)] {
                for strategy in Strategies::built_in().names() {
                    let config = resolve(&Choice { strategy: strategy.into(), ..of.clone() }, 10).unwrap();
                    assert_eq!((config.tasks, config.model.architecture.side()), (10, of.architecture.side()));
                    assert_eq!(Config::parse(&config.to_toml(), "config.toml").unwrap(), config);
                }
            }
        }
    }

    #[test]
    fn the_paper_preset_knows_svhn_and_lsun() {
        let resolve = |choice: Choice| resolve(&choice, 4).unwrap();
        let svhn = resolve(Choice { dataset: "svhn".into(), ..choice("paper") });
        assert_eq!((svhn.training.iterations, svhn.options["lambda"].as_float()), (8001, Some(1e-2)));
        let ra = resolve(lsun("paper"));
        assert_eq!((ra.model.width, ra.training.iterations, ra.training.first_iterations), (64, 20_001, 20_001));
        let expected = toml::toml! { lambda = 1e-3
        scaling = "sum"
        whole_batches = true };
        assert_eq!(ra.options, expected);
        let jtr = resolve(Choice { strategy: "jtr".into(), ..lsun("paper") });
        let expected = toml::toml! { replay = "mean"
        whole_batches = true };
        assert_eq!(jtr.options, expected);
        // Deviations that concern one dataset appear for that dataset only.
        let says = |config: &Config, what: &str| config.deviations.iter().any(|text| text.contains(what));
        let mnist = resolve(choice("paper"));
        assert_eq!([&mnist, &svhn, &ra].map(|config| says(config, "MNIST runs")), [true, false, false]);
        assert_eq!([&mnist, &svhn, &ra].map(|config| says(config, "VGG-16")), [false, false, true]);
        // The changes for a strategy are applied last.
        let jt = resolve(Choice { strategy: "jt".into(), ..lsun("paper") });
        assert_eq!((jt.training.grouping, jt.training.iterations), (Grouping::Mixed, 20_001));
    }

    #[test]
    fn an_architecture_is_chosen_among_those_of_the_images_size() {
        let changed = |of: Choice, name: &str| {
            let changes = toml::toml! { model = { architecture = "" } };
            let mut choice = Choice { changes, ..of };
            choice.changes["model"]["architecture"] = name.into();
            resolve(&choice, 10)
        };
        let residual = changed(choice("quick"), "residual").unwrap();
        assert_eq!((residual.model.architecture, residual.model.width), (Architecture::Residual, 16));
        // What the preset says of the digit networks alone does not hold for these.
        let says = |config: &Config| config.deviations.iter().any(|text| text == "width 16 instead of 32");
        assert_eq!([&residual, &resolve(&choice("quick"), 10).unwrap()].map(says), [false, true]);
        let residual = changed(lsun("smoke"), "residual64").unwrap();
        assert_eq!((residual.model.architecture, residual.model.width), (Architecture::Residual64, 2));
        let refused = |of: Choice, name: &str| changed(of, name).unwrap_err().to_string();
        let expected = "the images are 64 x 64 pixels, and the networks `residual` make 32 x 32; model.architecture may be \
                        resnet or residual64";
        assert_eq!(refused(lsun("quick"), "residual"), expected);
        let expected = "the images are 32 x 32 pixels, and the networks `resnet` make 64 x 64; model.architecture may be \
                        digit or residual";
        assert_eq!(refused(choice("paper"), "resnet"), expected);
        let unknown = refused(choice("quick"), "residul");
        assert!(unknown.contains("unknown variant `residul`, expected one of `digit`, `resnet`,"), "{unknown}");
    }

    #[test]
    fn the_photo_preset_has_residual_networks_and_augments() {
        let photographs = |of: Choice| resolve(&Choice { dataset: "pets".into(), ..of }, 5).unwrap();
        let [small, large] = [choice("photo"), lsun("photo")].map(photographs);
        let architectures = [&small, &large].map(|config| config.model.architecture);
        assert_eq!(architectures, [Architecture::Residual, Architecture::Residual64]);
        let augmented = |config: &Config| (config.training.mirror, config.training.augment.to_string());
        assert_eq!(augmented(&small), (true, "color,translation,cutout".into()));
        for other in ["smoke", "quick", "paper"] {
            assert_eq!(augmented(&photographs(choice(other))), (false, String::new()));
        }
        // A change goes over what the preset says of a size.
        let changes = toml::toml! { model = { architecture = "digit" } };
        let digit = photographs(Choice { changes, ..choice("photo") });
        assert_eq!(digit.model.architecture, Architecture::Digit);
    }

    /// A configuration written before an option existed is that of a run without it.
    #[test]
    fn configurations_of_earlier_versions_have_no_augmentation() {
        let config = resolve(&choice("quick"), 10).unwrap();
        let text = config.to_toml().replace("mirror = false\naugment = \"\"\n", "");
        assert!(!text.contains("augment") && !text.contains("mirror"), "{text}");
        assert_eq!(Config::parse(&text, "config.toml").unwrap(), config);
    }

    #[test]
    fn the_quick_preset_trains_longer_on_fashion_mnist() {
        let resolve = |dataset: &str| resolve(&Choice { dataset: dataset.into(), ..choice("quick") }, 10).unwrap();
        let [mnist, fashion] = ["mnist", "fashion"].map(resolve);
        assert_eq!([&mnist, &fashion].map(|config| config.training.iterations), [1200, 2400]);
        let says = |config: &Config| config.deviations.iter().any(|text| text.starts_with("on Fashion-MNIST"));
        assert_eq!([&mnist, &fashion].map(says), [false, true]);
    }

    #[test]
    fn the_paper_preset_is_the_released_codes_recipe() {
        let config = resolve(&choice("paper"), 10).unwrap();
        assert_eq!((config.model.width, config.model.latent), (32, 128));
        let t = &config.training;
        assert_eq!((t.iterations, t.first_iterations, t.batch, t.critic_steps), (8001, 8001, 64, 5));
        assert_eq!((t.rate, t.final_rate, t.beta1, t.beta2, t.penalty, t.average), (1e-4, 1.0, 0.0, 0.9, 10.0, 0.0));
        assert_eq!(config.options["lambda"].as_float(), Some(1e-3));
        assert_eq!(config.evaluation.samples, 6400);
    }

    #[test]
    fn changes_go_over_the_preset_and_are_declared() {
        let changes = toml::toml! {
            [training]
            rate = 0.5
            [options]
            lambda = 2.0
        };
        let config = resolve(&Choice { changes, ..choice("smoke") }, 10).unwrap();
        assert_eq!((config.training.rate, config.options["lambda"].as_float()), (0.5, Some(2.0)));
        assert!(config.deviations.contains(&"changed by hand: training.rate = 0.5".to_string()));
    }

    #[test]
    fn faults_name_their_place_and_the_remedy() {
        let message = |choice: Choice| resolve(&choice, 10).unwrap_err().to_string();
        assert_eq!(
            message(choice("fast")),
            "there is no preset `fast`; choose one of: smoke, demo, quick, photo, paper"
        );
        let slip = "there is no preset `papre`; choose one of: smoke, demo, quick, photo, paper; did you mean `paper`?";
        assert_eq!(message(choice("papre")), slip);
        let strategy = message(Choice { strategy: "rat".into(), ..choice("smoke") });
        assert!(strategy.starts_with("there is no strategy `rat`"), "{strategy}");
        let changed = |changes| message(Choice { changes, ..choice("smoke") });
        let unknown = changed(toml::toml! { training = { speed = 1 } });
        assert!(unknown.starts_with("configuration, training: unknown field `speed`"), "{unknown}");
        let out_of_range = changed(toml::toml! { training = { rate = -1.0 } });
        assert_eq!(out_of_range, "configuration, training.rate: it must be a positive number");
        let unknown = changed(toml::toml! { training = { augment = "flip" } });
        assert!(unknown.starts_with("configuration, training.augment: there is no augmentation `flip`"), "{unknown}");
        let renamed = changed(toml::toml! { preset = "paper" });
        assert_eq!(renamed, "configuration, preset: it cannot be changed here; choose it on the command line");
    }

    #[test]
    fn tasks_are_as_many_as_the_classes_fill() {
        let changes = toml::toml! { sequence = { classes_per_task = 2 } };
        assert_eq!(resolve(&Choice { changes, ..choice("smoke") }, 10).unwrap().tasks, 5);
        let changes = toml::toml! { sequence = { order = [3, 1, 2] } };
        assert_eq!(resolve(&Choice { changes, ..choice("smoke") }, 10).unwrap().tasks, 3);
    }
}
