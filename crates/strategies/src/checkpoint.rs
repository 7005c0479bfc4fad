//! Checkpoints hold everything that a training needs to continue with bit-identical results.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mergan_models::{Generator, Network, Parameter, Weights, WeightsError};
use mergan_tensor::{AdamOptions, Device, Moments, microkernel};
use serde::{Deserialize, Serialize};

use crate::config::{Config, TrainingOptions};
use crate::error::Error;
use crate::learner::{Learner, Trainee};
use crate::step::Snapshot;

/// A checkpoint that has been read from a file.
pub(crate) struct Checkpoint {
    path: PathBuf,
    weights: Weights,
    note: Note,
}

/// The contents of a checkpoint other than its tensors.
#[derive(Serialize, Deserialize)]
struct Note {
    task: usize,
    iteration: usize,
    generator_steps: u32,
    critic_steps: u32,
    /// The microkernel in use. Results depend on it, because without fused multiply-adds numbers round differently.
    microkernel: String,
    /// The text of the run's `config.toml`.
    config: String,
    /// The number of images of each class that have been replayed in the current task.
    replayed: BTreeMap<usize, u64>,
    /// The checksum of the tensors and of this note with this field left empty. It prevents training from continuing
    /// with damaged numbers.
    sha256: String,
}

/// The state of a training that a checkpoint stores.
pub(crate) struct State<'a> {
    pub(crate) task: usize,
    pub(crate) iteration: usize,
    pub(crate) learner: &'a Learner,
    pub(crate) average: &'a Generator,
    pub(crate) old: Option<&'a Snapshot>,
    pub(crate) replayed: BTreeMap<usize, u64>,
}

const OLD_GENERATOR: &str = "old.generator.";
const OLD_CRITIC: &str = "old.critic.";
const GENERATOR: &str = "generator.";
const CRITIC: &str = "critic.";
const AVERAGE: &str = "average.";
const GENERATOR_ADAM: &str = "generator_adam.";
const CRITIC_ADAM: &str = "critic_adam.";

impl Note {
    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a note of numbers and text can be written as JSON")
    }
}

impl Checkpoint {
    /// Writes a checkpoint to `path`; `weights` already holds what the strategy remembers.
    pub(crate) fn save(
        path: &Path,
        mut weights: Weights,
        config: &Config,
        State { task, iteration, learner, average, old, replayed }: State,
    ) -> Result<(), Error> {
        if let Some(Snapshot { generator, critic }) = old {
            weights.insert_network(OLD_GENERATOR, generator);
            weights.insert_network(OLD_CRITIC, critic);
        }
        weights.insert_network(GENERATOR, &learner.generator.network);
        weights.insert_network(CRITIC, &learner.critic.network);
        weights.insert_network(AVERAGE, average);
        for (prefix, adam) in [(GENERATOR_ADAM, &learner.generator.adam), (CRITIC_ADAM, &learner.critic.adam)] {
            for (i, moments) in adam.moments().iter().enumerate() {
                weights.insert(format!("{prefix}{i}.first"), &moments.first);
                weights.insert(format!("{prefix}{i}.second"), &moments.second);
            }
        }
        let note = Note {
            task,
            iteration,
            generator_steps: learner.generator.adam.steps(),
            critic_steps: learner.critic.adam.steps(),
            microkernel: microkernel().to_string(),
            config: config.to_toml(),
            replayed,
            sha256: String::new(),
        };
        weights.note = note.to_json();
        weights.note = Note { sha256: weights.sha256(), ..note }.to_json();
        Ok(weights.save(path)?)
    }

    /// Reads a checkpoint and verifies its checksum.
    pub(crate) fn load(path: &Path) -> Result<Self, Error> {
        let mut weights = Weights::load(path, Device::Cpu)?;
        let damaged = |reason| WeightsError::Format { path: path.into(), format: "checkpoint", reason };
        let mut note: Note = serde_json::from_str(&weights.note)
            .map_err(|error| damaged(format!("it has no readable note: {error}")))?;
        let stated = std::mem::take(&mut note.sha256);
        weights.note = note.to_json();
        if weights.sha256() != stated {
            return Err(damaged("its checksum does not hold".into()).into());
        }
        Ok(Checkpoint { path: path.into(), weights, note })
    }

    /// Returns the tensors.
    pub(crate) fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Returns the number of tasks learned and the number of iterations done of the next one.
    pub(crate) fn position(&self) -> (usize, usize) {
        (self.note.task, self.note.iteration)
    }

    /// Returns the number of images of each class that have been replayed in the current task.
    pub(crate) fn replayed(&self) -> BTreeMap<usize, u64> {
        self.note.replayed.clone()
    }

    /// Returns the networks and optimisers; `like` has the sizes, and `trains` selects the generator's parameters that
    /// are trained.
    pub(crate) fn learner(
        &self,
        like: &Learner,
        options: AdamOptions,
        trains: impl Fn(&Parameter) -> bool,
    ) -> Result<Learner, Error> {
        let generator = self.weights.network(&self.path, GENERATOR, &like.generator.network)?;
        let critic = self.weights.network(&self.path, CRITIC, &like.critic.network)?;
        let Learner { generator, critic } = Learner::new(&generator, &critic, options, trains);
        Ok(Learner {
            generator: self.begun(GENERATOR_ADAM, self.note.generator_steps, generator)?,
            critic: self.begun(CRITIC_ADAM, self.note.critic_steps, critic)?,
        })
    }

    /// Returns the networks as the last task left them, if the strategy asked for them.
    pub(crate) fn old(&self, like: &Learner) -> Result<Option<Snapshot>, Error> {
        if !self.weights.names().any(|name| name.starts_with(OLD_GENERATOR)) {
            return Ok(None);
        }
        let generator = self.weights.network(&self.path, OLD_GENERATOR, &like.generator.network.frozen())?;
        let critic = self.weights.network(&self.path, OLD_CRITIC, &like.critic.network.frozen())?;
        Ok(Some(Snapshot { generator, critic }))
    }

    /// Returns the running average of the generator's weights.
    pub(crate) fn average(&self, like: &Generator) -> Result<Generator, Error> {
        Ok(self.weights.network(&self.path, AVERAGE, like)?)
    }

    /// Refuses a checkpoint of another configuration or from a machine that rounds differently.
    pub(crate) fn require_same_run(&self, config: &Config) -> Result<(), Error> {
        // The deviations only describe the other values, so they are not compared.
        let [saved, wanted] =
            [self.config()?, config.clone()].map(|config| Config { deviations: Vec::new(), ..config });
        if saved != wanted {
            let (saved, wanted) = (saved.to_toml(), wanted.to_toml());
            let difference = saved.lines().zip(wanted.lines()).find(|(saved, wanted)| saved != wanted);
            let (saved, wanted) = difference.unwrap_or(("", "more or fewer lines"));
            return Err(self.fault(format!(
                "it is of another configuration: `{saved}` there, `{wanted}` now. Restore config.toml, or start a new run"
            )));
        }
        // All microkernels except the portable one fuse multiplications and additions in the same order, so they agree
        // to the bit.
        let (there, here) = (self.note.microkernel.as_str(), microkernel());
        if (there == "portable") != (here == "portable") {
            return Err(self.fault(format!(
                "it was made with the {there} microkernel; this process uses {here}, which rounds differently. Set \
                 MERGAN_SIMD={there} to go on, or start a new run"
            )));
        }
        Ok(())
    }

    /// Refuses a checkpoint unless it stands at the end of a first task that `config` would have trained in the same
    /// way. The strategies may differ, and so may the options that affect later tasks only, provided that both
    /// strategies condition the generator on the same classes in the first task.
    pub(crate) fn require_same_first_task(
        &self,
        config: &Config,
        asks_for_the_same: impl Fn(&Config) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let saved = self.config()?;
        if self.position() != (1, 0) || saved.tasks != 1 {
            return Err(self.fault("it does not stand at the end of a run of one task".into()));
        }
        let first_task = |config: &Config| {
            let TrainingOptions { first_iterations, batch, critic_steps, rate, final_rate, .. } = config.training;
            let TrainingOptions { penalty, class_weight, average, grouping, mirror, augment, .. } = config.training;
            let common = (config.seed, config.sequence.clone(), config.model.clone());
            // With one class per task, the grouping does not change the batches.
            let grouping = (config.sequence.classes_per_task > 1).then_some(grouping);
            let steps = (first_iterations, batch, critic_steps, grouping, mirror, augment);
            (common, config.adam(), steps, (rate, final_rate, penalty, class_weight, average))
        };
        // Data with a fingerprint are compared by it, because they may have been moved.
        let same_data = match (&saved.data, &config.data) {
            (Some(saved), Some(wanted)) => saved == wanted,
            _ => saved.dataset == config.dataset,
        };
        if !same_data {
            return Err(self.fault("its first task was trained on other data".into()));
        }
        if first_task(&saved) != first_task(config) || !asks_for_the_same(&saved)? {
            return Err(self.fault("its first task was trained with another configuration".into()));
        }
        Ok(())
    }

    /// Refuses a checkpoint that does not stand at the end of a training on this many tasks.
    pub(crate) fn require_end_of(&self, tasks: usize) -> Result<(), Error> {
        if self.position() == (tasks, 0) {
            return Ok(());
        }
        Err(self.fault(format!("it does not stand at the end of its {tasks} tasks; train the run to its end first")))
    }

    /// Returns the number of classes of the networks.
    pub(crate) fn classes(&self) -> Result<usize, Error> {
        let name = format!("{CRITIC}k.bias");
        let classes = self.weights.get(&name).and_then(|biases| biases.shape().axes().first().copied());
        let missing = WeightsError::Missing { path: self.path.clone(), name };
        Ok(classes.ok_or(missing)?)
    }

    /// Returns the configuration of the training.
    pub(crate) fn config(&self) -> Result<Config, Error> {
        Config::parse(&self.note.config, &self.path.display().to_string())
    }

    /// Returns the same network with the optimiser state of the checkpoint, after this many steps.
    fn begun<N: Network>(&self, prefix: &str, steps: u32, trainee: Trainee<N>) -> Result<Trainee<N>, Error> {
        if steps == 0 {
            return Ok(trainee);
        }
        let Trainee { mut network, adam } = trainee;
        let moments = network.variables_mut().into_iter().enumerate().map(|(i, value)| {
            let shaped = |name: String| self.weights.require(&self.path, &name, value.shape());
            Ok(Moments { first: shaped(format!("{prefix}{i}.first"))?, second: shaped(format!("{prefix}{i}.second"))? })
        });
        let adam = adam.with(steps, moments.collect::<Result<_, WeightsError>>()?);
        Ok(Trainee { network, adam })
    }

    fn fault(&self, reason: String) -> Error {
        Error::Checkpoint { path: self.path.clone(), reason }
    }
}
