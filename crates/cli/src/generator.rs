//! `generator.safetensors`: the weights that a finished task leaves, with what is needed to use them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use mergan_models::{Classifier, Generator, ModelConfig, Network, Standing, Weights};
use mergan_strategies::{Grouping, Sampling, Solver, Source};
use mergan_tensor::{Device, Random};
use serde::{Deserialize, Serialize};

/// What the names of a solver's tensors begin with.
const SOLVER: &str = "solver.";

/// A generator that has learned some classes.
pub struct Trained {
    /// The network.
    pub generator: Generator,
    /// The classifier that names its images, where it cannot be asked for a class.
    pub solver: Option<Solver>,
    /// What normalises its images where their batch does not.
    pub standing: Standing,
    /// How to use it.
    pub usage: Usage,
}

/// What the file says beside its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The classes it has learned, in the order it learned them.
    pub classes: Vec<usize>,
    /// Their names, in the same order.
    pub class_names: Vec<String>,
    /// Images that are normalised together.
    pub batch: usize,
    /// Whether they are of one class.
    pub grouping: Grouping,
}

impl Trained {
    /// Writes the file, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut weights = Weights::default();
        weights.insert_network("", &self.generator);
        self.standing.save(&mut weights);
        if let Some(solver) = &self.solver {
            weights.insert_network(SOLVER, &solver.classifier);
        }
        weights.note = serde_json::to_string(&self.usage).expect("names and numbers can be written as JSON");
        Ok(weights.save(path)?)
    }

    /// Reads a file. One without our note, as PyTorch would write it, is taken to know all its classes, to name them by
    /// number and to have been trained in class-pure batches of 64; standing statistics that it lacks are measured.
    pub fn load(path: &Path) -> Result<Self> {
        let weights = Weights::load(path, Device::Cpu)?;
        let sizes = ModelConfig::of(&weights).with_context(|| {
            format!("{} holds no generator; give a generator.safetensors or a run directory", path.display())
        })?;
        let generator = weights.network(path, "", &Generator::new(sizes, Random::new(0), Device::Cpu))?;
        let usage = if weights.note.is_empty() {
            Usage {
                classes: (0..sizes.classes).collect(),
                class_names: (0..sizes.classes).map(|class| class.to_string()).collect(),
                batch: 64,
                grouping: Grouping::Pure,
            }
        } else {
            serde_json::from_str(&weights.note)
                .with_context(|| format!("{} is no trained generator: its note is of another kind", path.display()))?
        };
        let known = usage.classes.iter().all(|&class| class < sizes.classes);
        if !known || usage.classes.is_empty() || usage.classes.len() != usage.class_names.len() || usage.batch < 2 {
            bail!("the note of {} does not fit its weights; restore the file from a copy", path.display());
        }
        let solver = if weights.names().any(|name| name.starts_with(SOLVER)) {
            let like = Classifier::new(sizes.image_shape(), sizes.classes, Random::new(0), Device::Cpu);
            // Solvers name the classes that have been learned.
            Some(Solver { classifier: weights.network(path, SOLVER, &like)?, classes: usage.classes.clone() })
        } else {
            None
        };
        let source = Source { solver: solver.as_ref(), ..Source::from(&generator) };
        let standing = match Standing::restore(path, &weights, &generator)? {
            Some(standing) => standing,
            None => usage.sampling(0).standing(source, &usage.classes),
        };
        Ok(Trained { generator, solver, standing, usage })
    }

    /// The same on another device. The solver stays: it looks at bytes.
    pub fn on(self, device: Device) -> Self {
        Trained { generator: self.generator.on(device), standing: self.standing.on(device), ..self }
    }

    /// What to draw images from that are normalised with their batch, as in training.
    pub fn source(&self) -> Source<'_> {
        Source { solver: self.solver.as_ref(), ..Source::from(&self.generator) }
    }

    /// What to draw images from that do not depend on each other.
    pub fn standing_source(&self) -> Source<'_> {
        Source { standing: Some(&self.standing), ..self.source() }
    }
}

impl Usage {
    /// How the generator is sampled, with latents of a seed.
    pub fn sampling(&self, seed: u64) -> Sampling {
        Sampling { batch: self.batch, grouping: self.grouping, seed }
    }

    /// Where among the learned classes the one of this name, or else of this number, is.
    pub fn position(&self, class: &str) -> Result<usize> {
        let by_name = self.class_names.iter().position(|name| name == class);
        let by_number = || self.classes.iter().position(|number| number.to_string() == class);
        by_name.or_else(by_number).with_context(|| {
            format!("the generator has learned no class `{class}`; choose one of: {}", self.class_names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_found_by_name_then_by_number() {
        let names = ["ring", "4"].map(String::from).to_vec();
        let usage = Usage { classes: vec![4, 7], class_names: names, batch: 64, grouping: Grouping::Pure };
        assert_eq!(usage.position("ring").unwrap(), 0);
        assert_eq!(usage.position("4").unwrap(), 1, "the name goes before the number");
        assert_eq!(usage.position("7").unwrap(), 1);
        let error = usage.position("disc").unwrap_err().to_string();
        assert_eq!(error, "the generator has learned no class `disc`; choose one of: ring, 4");
    }
}
