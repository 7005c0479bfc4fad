//! Runs that learned a class after they had ended: what stands in for the data that they go without.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use mergan_datasets::{Dataset, ImageOptions, Labelled, pictures_of};
use mergan_metrics::{ACCURACY, TaskScores, class_accuracy};
use mergan_strategies::{Config, Extension};
use ndarray::{Array4, Axis};
use sha2::{Digest, Sha256};

use crate::args::DataArguments;
use crate::console::Console;
use crate::generator::Trained;
use crate::run_dir::RunDir;
use crate::scorer::Scorer;

/// Of so many images of the new class, one is held out for testing.
const HELD_OUT: usize = 10;

/// The dataset of a run. An extended one has the images of its last class and no others.
pub fn load(run: &RunDir, config: &Config, data: &DataArguments, console: &Console) -> Result<Dataset> {
    let Some(extension) = config.extensions.last() else {
        return data.load(&config.dataset, &config.images, console);
    };
    let before = Trained::load(&run.generator(config.tasks - 1))?;
    let images = images(&before, config, &extension.images, extension.limit)?;
    ensure!(
        sha256(&images) == extension.sha256,
        "the images in {} are not those that this run began to learn; put them back, or extend anew",
        extension.images.display()
    );
    dataset(&before, config, extension, &images)
}

/// The classifier that scores a run: an extended one has its own.
pub fn scorer(
    run: &RunDir,
    config: &Config,
    file: Option<&Path>,
    data: &Dataset,
    cache: &Path,
    console: &Console,
) -> Result<Scorer> {
    match (file, config.extensions.is_empty()) {
        (None, false) => Scorer::open(&run.scorer(), data.train.image_shape()),
        (file, _) => Scorer::obtain(file, data, cache, console),
    }
}

/// The SHA-256 of the classifier that scored a task of a run.
pub fn scored_by(run: &RunDir, task: usize) -> Option<String> {
    let scores: TaskScores = serde_json::from_slice(&fs::read(run.scores(task)).ok()?).ok()?;
    scores.get(ACCURACY, None)?.card.sha256.clone()
}

/// The classifier of this SHA-256: a run's own, or one in the cache.
pub fn find_scorer(sha256: &str, run: &RunDir, shape: [usize; 3], cache: &Path) -> Option<Scorer> {
    let cached = fs::read_dir(cache.join("scorers")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut scorers = [run.scorer()].into_iter().chain(cached).filter_map(|path| Scorer::open(&path, shape).ok());
    scorers.find(|scorer| scorer.sha256() == sha256)
}

/// The images of a folder as a run's networks take them.
pub fn images(before: &Trained, config: &Config, folder: &Path, limit: Option<usize>) -> Result<Array4<u8>> {
    let [channels, side, _] = before.generator.config().image_shape();
    let options = ImageOptions { side, channels, fit: config.images.fit, limit, skip_bad: false };
    let pictures = pictures_of(folder, &options)?;
    Ok(pictures.images()?.into_owned())
}

/// The SHA-256 of images, in lower-case hexadecimal.
pub fn sha256(images: &Array4<u8>) -> String {
    let bytes: Vec<u8> = images.iter().copied().collect();
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The images of the new class, every tenth held out for testing, among the classes of the networks.
pub fn dataset(before: &Trained, config: &Config, extension: &Extension, images: &Array4<u8>) -> Result<Dataset> {
    let name = |class: usize| match before.usage.classes.iter().position(|&learned| learned == class) {
        Some(position) => before.usage.class_names[position].clone(),
        None if class == extension.class => extension.name.clone(),
        None => class.to_string(),
    };
    let of = |rows: &[usize]| Labelled::new(images.select(Axis(0), rows), vec![extension.class; rows.len()]);
    let rows = 0..images.len_of(Axis(0));
    let (test, train): (Vec<_>, Vec<_>) = rows.partition(|row| row % HELD_OUT == HELD_OUT - 1);
    Ok(Dataset {
        name: config.dataset.clone(),
        class_names: (0..before.generator.config().classes.max(extension.class + 1)).map(name).collect(),
        train: of(&train)?,
        validation: of(&[])?,
        test: of(&test)?,
    })
}

/// Prints what the last extension of a run did to the classes before it.
pub fn print_effect(run: &RunDir, config: &Config, cache: &Path, console: &Console) -> Result<()> {
    let Some(extension) = config.extensions.last() else { return Ok(()) };
    let task = config.tasks;
    let [before, after] = [task - 1, task].map(|task| Trained::load(&run.generator(task)));
    let (before, after) = (before?, after?);
    let shape = before.generator.config().image_shape();
    let own = Scorer::open(&run.scorer(), shape)?;
    let former = extension.scorer.as_ref().and_then(|sha256| find_scorer(sha256, run, shape, cache));
    let scorer = former.unwrap_or_else(|| own.clone());
    let (classes, samples) = (&before.usage.classes, config.evaluation.samples);
    let accuracies = |trained: &Trained, scorer: &Scorer, classes: &[usize]| -> Vec<f64> {
        let images = trained.usage.sampling(config.seed).images(trained.source(), classes, samples);
        let share = |(images, &class): (&Array4<u8>, &usize)| {
            100.0 * class_accuracy(&scorer.classifier().predict(images.view()), class).unwrap_or(0.0)
        };
        images.iter().zip(classes).map(share).collect()
    };
    let [then, now] = [&before, &after].map(|trained| accuracies(trained, &scorer, classes));
    let new = accuracies(&after, &own, &[extension.class])[0];

    console.print(format!("{:<16} {:>9} {:>9}", "class", "before, %", "after, %"))?;
    for (name, (then, now)) in before.usage.class_names.iter().zip(then.iter().zip(&now)) {
        console.print(format!("{name:<16} {then:>9.2} {now:>9.2}"))?;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    console.print(format!("{:<16} {:>9.2} {:>9.2}", "mean", mean(&then), mean(&now)))?;
    console.print(format!("{:<16} {:>9} {new:>9.2}\n", extension.name, "–"))?;
    console.print(format!(
        "The earlier classes are recognised by {}, {} by {}; {samples} images of each class.",
        scorer.description(),
        extension.name,
        if scorer.sha256() == own.sha256() { "the same".into() } else { own.description() },
    ))
}
