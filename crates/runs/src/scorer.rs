//! The classifier that scores generated images. It is trained on real images once per dataset and kept in the cache,
//! so that the same network scores all runs on a machine.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use mergan_datasets::{Dataset, Error as DataError, Labelled, hex};
use mergan_files::LockFile;
use mergan_models::{Classifier, FitOptions, FitProgress, Reading, Weights};
use mergan_record::Card;
use mergan_strategies::{Config, Sampling, Source};
use mergan_tensor::{Device, Random};
use ndarray::{Axis, concatenate};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dir::{RunDir, make_folder};
use crate::error::{At, Error};
use crate::observer::{Happening, Observer, Progress, Work};
use crate::trained::Trained;

/// The most images of each class that stand in for real ones when a classifier is trained.
const MOST_STAND_INS: usize = 2000;
/// The number of images read at a time.
const SLAB: usize = 1024;
/// The folder of classifiers in a cache.
const FOLDER: &str = "scorers";
/// The number of digits of the data's fingerprint in a file's name.
const DIGITS: usize = 16;

/// A classifier and the information that its cards contain.
#[derive(Clone)]
pub struct Scorer {
    classifier: Classifier,
    note: Note,
    sha256: String,
    file: PathBuf,
}

/// The origin of a classifier and its accuracy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    dataset: String,
    /// The SHA-256 of the data's fingerprint, in lower-case hexadecimal; with stand-ins, that of the data before the
    /// extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    /// The number of values in an image, C x H x W.
    pixels: usize,
    classes: usize,
    epochs: usize,
    batch: usize,
    rate: f64,
    /// The accuracy on the dataset's test images, from 0 to 1, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    test_accuracy: Option<f64>,
    /// The data that it was trained on, if not a dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stand_ins: Option<String>,
}

impl Scorer {
    /// Returns the classifier in `file`, if one is given; else the cached one for the data, which is trained if it
    /// does not exist.
    ///
    /// # Errors
    /// When a given file holds no classifier for these classes, or none can be trained or stored.
    pub fn obtain(file: Option<&Path>, data: &Dataset, cache: &Path, observer: &dyn Observer) -> Result<Self, Error> {
        if let Some(file) = file {
            return Scorer::given(file, data, observer);
        }
        let path = Scorer::path(cache, data)?;
        if let Ok(scorer) = Scorer::of_data(&path, data) {
            return Ok(scorer);
        }
        // The lock makes runs that start simultaneously train it only once.
        let folder = path.parent().expect("the cache has a folder of scorers");
        make_folder(folder)?;
        let path_of_lock = folder.join(".lock");
        let lock = LockFile::lock(&path_of_lock, || {
            observer.happened(&Happening::Detail("waiting for another process that trains the scoring classifier"));
        })
        .at("locking", &path_of_lock)?;
        if let Some(notice) = lock.notice() {
            observer.happened(&Happening::Warning(notice));
        }
        match Scorer::of_data(&path, data) {
            Ok(scorer) => Ok(scorer),
            Err(reason) => {
                observer.happened(&Happening::Detail(&reason.to_string()));
                // The seed is always the same, so that the classifier does not depend on the run.
                Scorer::train_on(&path, data, Some(data.fingerprint()?.sha256), None, observer)?;
                Scorer::of_data(&path, data)
            }
        }
    }

    /// Returns the share of test images that it recognises, from 0 to 1, or `None` if its dataset has none.
    pub fn test_accuracy(&self) -> Option<f64> {
        self.note.test_accuracy
    }

    /// Returns the file it was read from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns whether it was trained on images of this class.
    pub fn knows(&self, class: usize) -> bool {
        class < self.note.classes
    }

    /// Returns the name of its layers and what is special about its training.
    fn network(&self) -> String {
        let name = self.classifier.name();
        self.note.stand_ins.as_ref().map_or_else(|| name.into(), |stand_ins| format!("{name} trained on {stand_ins}"))
    }

    /// Describes it and its accuracy, for a sentence.
    pub fn description(&self) -> String {
        let kind = if self.note.stand_ins.is_some() { "such test images" } else { "real test images" };
        match self.note.test_accuracy {
            Some(share) => format!("{} (which recognises {:.2} % of {kind})", self.network(), 100.0 * share),
            None => format!("{} (which was not tested: there are no test images)", self.network()),
        }
    }

    /// Returns the network.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// Returns the SHA-256 of its weights, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Returns the card of numbers measured by this network on `samples` images of each class from a run's generator.
    pub fn card(&self, config: &Config, sampling: &Sampling, source: Source, samples: usize) -> Card {
        Card {
            network: self.network(),
            sha256: Some(self.sha256.clone()),
            test_accuracy: self.note.test_accuracy,
            samples_per_class: Some(samples),
            real_images: None,
            resize: None,
            estimator: None,
            statistics: sampling.statistics(source),
            grouping: sampling.grouping_of(source).to_string(),
            preset: config.preset.clone(),
            seed: config.seed,
            data: None,
            commit: option_env!("MERGAN_COMMIT").map(String::from),
        }
    }

    /// Returns where the classifier for these data is stored. The file name begins with the dataset's name and ends
    /// with the fingerprint, so that different images have different classifiers, whatever they are called.
    fn path(cache: &Path, data: &Dataset) -> Result<PathBuf, Error> {
        let network = Classifier::name_for(data.train.image_shape());
        let kind = network.split('-').next().unwrap_or(network);
        let print = &data.fingerprint()?.sha256[..DIGITS];
        Ok(cache.join(FOLDER).join(format!("{}-{kind}-{print}.safetensors", data.name)))
    }

    /// Returns the files of all classifiers in a cache, by name; each name begins with that of its dataset.
    pub fn files(cache: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(cache.join(FOLDER)).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<_> =
            entries.filter(|path| path.extension().is_some_and(|end| end == "safetensors")).collect();
        files.sort();
        files
    }

    /// Finds the classifier with this SHA-256 that scored a run: the run's own, or one in the cache.
    pub(crate) fn find(sha256: &str, run: &RunDir, shape: [usize; 3], cache: &Path) -> Option<Self> {
        let files = [run.scorer()].into_iter().chain(Scorer::files(cache));
        let mut found = files.filter(|path| fs::read(path).is_ok_and(|bytes| sha256_of(&bytes) == sha256));
        found.find_map(|path| Scorer::open(&path, shape).ok())
    }

    /// Opens the classifier in a file that the user gave. It may have learned from other images of the same dataset,
    /// or know more classes, like that of an extended run.
    fn given(path: &Path, data: &Dataset, observer: &dyn Observer) -> Result<Self, Error> {
        let scorer = Scorer::open(path, data.train.image_shape())?;
        let print = data.fingerprint()?.sha256;
        let same_data = scorer.note.data.as_ref().map(|theirs| *theirs == print);
        if scorer.note.dataset != data.name && same_data != Some(true) {
            return no_scorer(path, format!("scores images of {}, not of {}", scorer.note.dataset, data.name));
        }
        if scorer.note.classes < data.class_names.len() {
            return no_scorer(path, format!("scores images of other classes than {} has", data.name));
        }
        if same_data == Some(false) {
            let text = format!("{} learned from other images of {} than these", path.display(), data.name);
            observer.happened(&Happening::Warning(&text));
        }
        Ok(scorer)
    }

    /// Opens the classifier that was trained on these data, in a file of the cache.
    fn of_data(path: &Path, data: &Dataset) -> Result<Self, Error> {
        let scorer = Scorer::open(path, data.train.image_shape())?;
        if scorer.note.data != Some(data.fingerprint()?.sha256) || scorer.note.classes != data.class_names.len() {
            return no_scorer(path, format!("scores other images than those of {}", data.name));
        }
        Ok(scorer)
    }

    /// Opens the classifier in a file, whatever it was made for, if it takes images of this shape (C, H, W).
    ///
    /// # Errors
    /// When the file holds no classifier for such images.
    pub fn open(path: &Path, shape: [usize; 3]) -> Result<Self, Error> {
        let bytes = fs::read(path).at("reading", path)?;
        let weights = Weights::from_bytes(path, &bytes, Device::Cpu)?;
        let note: Note = serde_json::from_str(&weights.note).map_err(|error| {
            let reason = format!("{} is no scoring classifier; choose another file, or none", path.display());
            Error::file_for(path, reason, error)
        })?;
        let classifier = Classifier::from_weights(path, &weights)?;
        let as_noted = note.pixels == shape.iter().product::<usize>() && note.classes == classifier.classes();
        if !as_noted || !classifier.takes(shape) {
            return no_scorer(path, "scores images of other sizes or classes than these");
        }
        Ok(Scorer { classifier, note, sha256: sha256_of(&bytes), file: path.into() })
    }

    /// Trains a classifier for a run that learns a class without the earlier data. Images that the run's generator
    /// made of the other classes, before it learned this one, stand in for real ones.
    pub fn train_on_stand_ins(
        path: &Path,
        before: &Trained,
        data: &Dataset,
        config: &Config,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let new = config.extensions.last().map_or("", |extension| &extension.name);
        let (classes, train) = (&before.usage.classes, data.train.len().min(MOST_STAND_INS));
        let made = before.usage.sampling(config.seed).images(before.source(), classes, train + train.div_ceil(10));
        let with_made = |real: &Labelled, rows: std::ops::Range<usize>| -> Result<Labelled, Error> {
            let real = real.select(&(0..real.len().min(rows.len())).collect::<Vec<_>>());
            let (mut images, mut labels) = (vec![real.images()?.into_owned()], real.labels().to_vec());
            for (made, &class) in made.iter().zip(classes) {
                let rows = rows.start.min(made.len_of(Axis(0)))..rows.end.min(made.len_of(Axis(0)));
                labels.extend(vec![class; rows.len()]);
                images.push(made.slice_axis(Axis(0), rows.into()).to_owned());
            }
            let views: Vec<_> = images.iter().map(|images| images.view()).collect();
            Ok(Labelled::new(concatenate(Axis(0), &views).expect("images of one size"), labels)?)
        };
        let both = Dataset {
            train: with_made(&data.train, 0..train)?,
            test: with_made(&data.test, train..train + train.div_ceil(10))?,
            ..data.clone()
        };
        let stand_ins = format!("real images of {new} and on what the generator before it made of the other classes");
        Scorer::train_on(path, &both, config.data.clone(), Some(stand_ins), observer)
    }

    fn train_on(
        path: &Path,
        data: &Dataset,
        print: Option<String>,
        stand_ins: Option<String>,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let (train, classes) = (&data.train, data.class_names.len());
        let options = FitOptions::of_images(train.image_shape(), train.len());
        let mut progress = Progress::begin(observer, Work::TrainingScorer(data.name.clone()), 0);
        let report = |fit: FitProgress| {
            progress.set_total(fit.steps as u64);
            progress.update(fit.step as u64, || format!("step {} of {}, loss {:.3}", fit.step, fit.steps, fit.loss));
        };
        let read = |chosen: &[usize]| Ok::<_, Error>(train.select(chosen).images()?.into_owned());
        let random = Random::new(0);
        let classifier =
            Classifier::fit_from(read, train.image_shape(), train.labels(), classes, options, random, report)?;
        drop(progress);
        let test_accuracy = match data.test.is_empty() {
            true => None,
            false => Some(read_all(&classifier, &data.test)?.accuracy(data.test.labels())),
        };
        let note = Note {
            dataset: data.name.clone(),
            data: print,
            pixels: train.image_shape().iter().product(),
            classes,
            epochs: options.epochs,
            batch: options.batch,
            rate: options.rate,
            test_accuracy,
            stand_ins,
        };
        observer.happened(&Happening::ScorerTrained { test_accuracy: note.test_accuracy });
        let mut weights = Weights::default();
        weights.insert_network("", &classifier);
        weights.note = serde_json::to_string(&note).expect("names and numbers can be written as JSON");
        Ok(weights.save(path)?)
    }
}

/// Applies a classifier to images that need not be in memory at once.
pub fn read_all(classifier: &Classifier, images: &Labelled) -> Result<Reading, Error> {
    Ok(classifier.read_from(images.slabs(SLAB).map(|slab| Ok::<_, DataError>(slab.images()?.into_owned())))?)
}

/// Returns the SHA-256 of a file's contents, in lower-case hexadecimal.
fn sha256_of(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
}

fn no_scorer(path: &Path, fault: impl Display) -> Result<Scorer, Error> {
    Err(Error::file(path, format!("{} {fault}; choose another file, or none", path.display())))
}

#[cfg(test)]
mod tests {
    use mergan_record::metric::ACCURACY;
    use mergan_strategies::{Choice, Strategies};

    use super::*;
    use crate::observer::Unobserved;
    use crate::run::Run;

    #[test]
    fn a_note_of_other_sizes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scorer.safetensors");
        let note = |pixels, classes| Note {
            dataset: "shapes".into(),
            data: None,
            pixels,
            classes,
            epochs: 1,
            batch: 1,
            rate: 1.0,
            test_accuracy: Some(1.0),
            stand_ins: None,
        };
        let mut weights = Weights::default();
        weights.insert_network("", &Classifier::new([1, 32, 32], 9, Random::new(0), Device::Cpu));
        let mut message = |note: &Note| {
            weights.note = serde_json::to_string(note).unwrap();
            weights.save(&path).unwrap();
            Scorer::open(&path, [1, 32, 32]).err().unwrap().to_string()
        };
        for strange in [note(usize::MAX, 10), note(1024, 1_000_000_000_000), note(1024, 10)] {
            assert!(message(&strange).contains("other sizes or classes than these"));
        }
    }

    #[test]
    fn without_test_images_runs_are_scored_by_all_that_needs_none() {
        let folder = tempfile::tempdir().unwrap();
        let shapes = mergan_datasets::load("shapes", &Default::default()).unwrap();
        let data = Dataset { test: shapes.test.select(&[]), ..shapes };
        let scorer = Scorer::obtain(None, &data, folder.path(), &Unobserved).unwrap();
        assert_eq!(scorer.test_accuracy(), None);

        let names = ["shapes", "sft", "smoke"].map(String::from);
        let [dataset, strategy, preset] = names;
        let choice = Choice { dataset, strategy, preset, tasks: Some(2), ..Choice::default() };
        let config = Config::resolve(&choice, &Strategies::built_in(), 10).unwrap();
        let run = Run::start(&folder.path().join("run"), config, &data, &Strategies::built_in()).unwrap();
        let mut run = run.scored_by(scorer);
        run.train(&Unobserved, &|| false).unwrap();
        let scores = fs::read_to_string(run.dir().scores(2)).unwrap();
        assert!(scores.contains(ACCURACY), "{scores}");
        assert!(!scores.contains("\"value\": null") && !scores.contains("test_accuracy"), "{scores}");

        // The cached classifier can be read, so it is not trained again.
        let written = |scorer: &Scorer| fs::metadata(scorer.file()).unwrap().modified().unwrap();
        let before = Scorer::obtain(None, &data, folder.path(), &Unobserved).unwrap();
        let then = written(&before);
        assert_eq!(written(&Scorer::obtain(None, &data, folder.path(), &Unobserved).unwrap()), then);
        // One that cannot be read is.
        fs::write(before.file(), "no weights").unwrap();
        let again = Scorer::obtain(None, &data, folder.path(), &Unobserved).unwrap();
        assert_eq!(again.sha256(), before.sha256());
    }
}
