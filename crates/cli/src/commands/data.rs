//! `mergan data`: lists, fetches, converts and describes datasets.

use anyhow::{Context, Result};
use mergan_datasets::{FetchOptions, ImageOptions, Manifest, inception_weights, names};
use serde_json::json;

use crate::args::{DataCommand, DataQuestion};
use crate::config::ImageArguments;
use crate::console::Console;
use crate::data::size;

/// Runs `mergan data`.
pub fn run(command: &DataCommand, console: &Console) -> Result<()> {
    match &command.question {
        DataQuestion::List { data, json } => {
            let known = |name| data.info(name, &ImageOptions::default(), console);
            let manifests = names().map(known).collect::<Result<Vec<_>>>()?;
            let cached = |manifest: &Manifest| manifest.is_cached(&data.cache());
            if *json {
                let list: Vec<_> = manifests.iter().map(|manifest| describe(manifest, cached(manifest))).collect();
                return console.print(format!("{:#}", json!(list)));
            }
            manifests.iter().try_for_each(|manifest| {
                let here = if cached(manifest) { "here" } else { "not fetched" };
                console.print(format!("{:<8} {:<12} {}", manifest.name, here, manifest.description))
            })
        }
        DataQuestion::Fetch { name, data, json } => {
            let weights = inception_weights();
            let manifest = match *name == weights.name {
                true => weights,
                false => data.info(name, &ImageOptions::default(), console)?,
            };
            let files = data.fetch(&manifest, console)?;
            let paths = manifest.files.iter().map(|file| files.path(&file.name)).collect::<Result<Vec<_>, _>>()?;
            if *json {
                console.print(format!("{:#}", json!(paths)))?;
            } else {
                paths.iter().try_for_each(|path| console.print(path.display()))?;
            }
            console.note(format!("{name} is here and verified ({})", size(manifest.size())));
            Ok(())
        }
        DataQuestion::Convert { name, out, images, data } => {
            let dataset = data.convert(name, out, &options(images)?, console)?;
            let counts = dataset.train.class_counts(dataset.class_names.len());
            let counts = dataset.class_names.iter().zip(counts).map(|(name, count)| format!("{name}: {count}"));
            console.note(format!("training images of each class: {}", counts.collect::<Vec<_>>().join(", ")));
            console.print(out.display())
        }
        DataQuestion::Look { path } => {
            let dataset = mergan_datasets::open(&path.to_string_lossy(), &FetchOptions::default())?;
            for split in [&dataset.train, &dataset.validation, &dataset.test] {
                let ends: Vec<_> = [0, split.len().saturating_sub(1)].into_iter().take(split.len()).collect();
                split.select(&ends).images()?;
            }
            Ok(())
        }
        DataQuestion::Info { name, images, data, json } => {
            let images = options(images)?;
            let manifest = data.info(name, &images, console)?;
            let cached = manifest.is_cached(&data.cache());
            if *json {
                return console.print(format!("{:#}", describe(&manifest, cached)));
            }
            let [channels, height, width] = manifest.shape;
            let splits = manifest.splits;
            let here = if cached { "here" } else { "not fetched" };
            // A user's own images and drawn ones have no files to fetch.
            let files = (manifest.size() > 0).then(|| {
                format!("\nfiles     {}, {here} ({})", size(manifest.size()), data.cache().join(name).display())
            });
            console.print(format!(
                "{}\nlicence   {}\nhomepage  {}\nimages    {channels} x {height} x {width}; {} train, {} validation, {} \
                 test\nclasses   {}{}",
                manifest.description,
                manifest.licence,
                manifest.homepage.as_deref().unwrap_or("none"),
                splits.train,
                splits.validation,
                splits.test,
                manifest.classes.join(", "),
                files.unwrap_or_default(),
            ))
        }
    }
}

fn options(images: &ImageArguments) -> Result<ImageOptions> {
    images.table().try_into().context("how pictures become images")
}

fn describe(manifest: &Manifest, cached: bool) -> serde_json::Value {
    let splits = manifest.splits;
    json!({
        "name": manifest.name,
        "description": manifest.description,
        "licence": manifest.licence,
        "homepage": manifest.homepage,
        "shape": manifest.shape,
        "classes": manifest.classes,
        "splits": { "train": splits.train, "validation": splits.validation, "test": splits.test },
        "bytes": manifest.size(),
        "cached": cached,
    })
}
