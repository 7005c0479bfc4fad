//! The classifier that scores generated images. It is trained on real ones once for each dataset and kept in the cache,
//! so that all runs on a machine are scored by the same network.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use mergan_datasets::Dataset;
use mergan_metrics::Card;
use mergan_models::{Classifier, FitOptions, FitProgress, Weights};
use mergan_strategies::{Config, Sampling, Source};
use mergan_tensor::{Device, Random};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::console::Console;

/// A classifier and what its cards say of it.
pub struct Scorer {
    classifier: Classifier,
    note: Note,
    sha256: String,
}

/// How a classifier was made, and how good it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    dataset: String,
    /// Numbers of an image, C x H x W.
    pixels: usize,
    classes: usize,
    epochs: usize,
    batch: usize,
    rate: f64,
    /// From 0 to 1, on the dataset's test images.
    test_accuracy: f64,
}

impl Scorer {
    /// The classifier in `file`, where one is given; else the cached one of the dataset, which is trained where there is
    /// none.
    pub fn obtain(file: Option<&Path>, data: &Dataset, cache: &Path, console: &Console) -> Result<Self> {
        let Dataset { name, class_names, train, .. } = data;
        let load = |path: &Path| Scorer::load(path, name, train.image_shape(), class_names.len());
        if let Some(file) = file {
            return load(file);
        }
        let path = Scorer::path(cache, name, train.image_shape());
        if let Ok(scorer) = load(&path) {
            return Ok(scorer);
        }
        // Runs that start side by side train it once.
        let folder = path.parent().expect("the cache has a folder of scorers");
        fs::create_dir_all(folder).with_context(|| format!("making the directory {}", folder.display()))?;
        let lock: PathBuf = folder.join(".lock");
        let lock = File::create(&lock).with_context(|| format!("writing {}", lock.display()))?;
        lock.lock().context("waiting for another process that trains the scoring classifier")?;
        match load(&path) {
            Ok(scorer) => Ok(scorer),
            Err(reason) => {
                console.detail(format!("{reason:#}"));
                Scorer::train(&path, data, console)?;
                load(&path)
            }
        }
    }

    /// The share of real test images that it recognises, from 0 to 1.
    pub fn test_accuracy(&self) -> f64 {
        self.note.test_accuracy
    }

    /// The network.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// The SHA-256 of its weights, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The card of numbers that this network gives, of so many images of each class of a run's generator.
    pub fn card(&self, config: &Config, sampling: &Sampling, source: Source, samples: usize) -> Card {
        Card {
            network: self.classifier.name().into(),
            sha256: Some(self.sha256.clone()),
            test_accuracy: Some(self.note.test_accuracy),
            samples_per_class: Some(samples),
            real_images: None,
            resize: None,
            estimator: None,
            statistics: sampling.statistics(source),
            grouping: sampling.grouping.to_string(),
            preset: config.preset.clone(),
            seed: config.seed,
            commit: option_env!("MERGAN_COMMIT").map(String::from),
        }
    }

    /// Where the classifier of a dataset is kept whose images have this shape.
    pub fn path(cache: &Path, dataset: &str, shape: [usize; 3]) -> PathBuf {
        let network = Classifier::name_for(shape);
        let kind = network.split('-').next().unwrap_or(network);
        cache.join("scorers").join(format!("{dataset}-{kind}.safetensors"))
    }

    /// The classifier in a file, of a dataset with images of this shape and so many classes.
    pub fn load(path: &Path, dataset: &str, shape: [usize; 3], classes: usize) -> Result<Self> {
        let weights = Weights::load(path, Device::Cpu)?;
        let note: Note = serde_json::from_str(&weights.note)
            .with_context(|| format!("{} is no scoring classifier; choose another file, or none", path.display()))?;
        if note.dataset != dataset {
            bail!(
                "{} scores images of {}, not of {dataset}; choose another file, or none",
                path.display(),
                note.dataset
            );
        }
        ensure!(
            (note.pixels, note.classes) == (shape.iter().product(), classes),
            "{} scores images of other sizes or classes than {dataset} has; choose another file, or none",
            path.display()
        );
        let like = Classifier::new(shape, note.classes, Random::new(0), Device::Cpu);
        let classifier = weights.network(path, "", &like)?;
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Scorer { classifier, note, sha256 })
    }

    /// Trains the classifier of a dataset; always with the same seed, so that it does not depend on the run.
    fn train(path: &Path, data: &Dataset, console: &Console) -> Result<()> {
        let options = FitOptions::default();
        let (train, classes) = (&data.train, data.class_names.len());
        let mut progress = console.progress(format!("training the classifier that scores {}", data.name), 0);
        let report = |fit: FitProgress| {
            progress.set_total(fit.steps as u64);
            progress.update(fit.step as u64, || format!("step {} of {}, loss {:.3}", fit.step, fit.steps, fit.loss));
        };
        let read = |chosen: &[usize]| Ok::<_, anyhow::Error>(train.select(chosen).images()?.into_owned());
        let random = Random::new(0);
        let classifier =
            Classifier::fit_from(read, train.image_shape(), train.labels(), classes, options, random, report)?;
        drop(progress);
        let note = Note {
            dataset: data.name.clone(),
            pixels: train.image_shape().iter().product(),
            classes,
            epochs: options.epochs,
            batch: options.batch,
            rate: options.rate,
            test_accuracy: classifier.accuracy(data.test.images()?.view(), data.test.labels()),
        };
        console.note(format!("it recognises {:.2} % of the test images", 100.0 * note.test_accuracy));
        let mut weights = Weights::default();
        weights.insert_network("", &classifier);
        weights.note = serde_json::to_string(&note).expect("names and numbers can be written as JSON");
        Ok(weights.save(path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_of_other_sizes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scorer.safetensors");
        let note = |pixels, classes| Note {
            dataset: "shapes".into(),
            pixels,
            classes,
            epochs: 1,
            batch: 1,
            rate: 1.0,
            test_accuracy: 1.0,
        };
        let message = |note: &Note| {
            let mut weights = Weights::default();
            weights.note = serde_json::to_string(note).unwrap();
            weights.save(&path).unwrap();
            Scorer::load(&path, "shapes", [1, 32, 32], 10).err().unwrap().to_string()
        };
        for strange in [note(usize::MAX, 10), note(1024, 1_000_000_000_000)] {
            assert!(message(&strange).contains("other sizes or classes than shapes has"));
        }
        assert!(message(&note(1024, 10)).contains("holds no tensor"));
    }
}
