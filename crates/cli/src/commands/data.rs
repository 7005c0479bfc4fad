//! `mergan data`: which datasets there are, and getting one.

use anyhow::Result;
use mergan_datasets::{Manifest, inception_weights, info, names};
use serde_json::json;

use crate::args::{DataCommand, DataQuestion};
use crate::console::Console;
use crate::data::megabytes;

/// Answers `mergan data`.
pub fn run(command: &DataCommand, console: &Console) -> Result<()> {
    match &command.question {
        DataQuestion::List { data, json } => {
            let manifests = names().map(info).collect::<Result<Vec<_>, _>>()?;
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
            let manifest = if *name == weights.name { weights } else { info(name)? };
            let files = data.fetch(&manifest, console)?;
            let paths = manifest.files.iter().map(|file| files.path(&file.name)).collect::<Result<Vec<_>, _>>()?;
            if *json {
                console.print(format!("{:#}", json!(paths)))?;
            } else {
                paths.iter().try_for_each(|path| console.print(path.display()))?;
            }
            console.note(format!("{name} is here and verified ({})", megabytes(manifest.size())));
            Ok(())
        }
        DataQuestion::Info { name, data, json } => {
            let manifest = info(name)?;
            let cached = manifest.is_cached(&data.cache());
            if *json {
                return console.print(format!("{:#}", describe(&manifest, cached)));
            }
            let [channels, height, width] = manifest.shape;
            let splits = manifest.splits;
            let here = if cached { "here" } else { "not fetched" };
            console.print(format!(
                "{}\nlicence   {}\nhomepage  {}\nimages    {channels} x {height} x {width}; {} train, {} validation, {} \
                 test\nclasses   {}\nfiles     {}, {here} ({})",
                manifest.description,
                manifest.licence,
                manifest.homepage.as_deref().unwrap_or("none"),
                splits.train,
                splits.validation,
                splits.test,
                manifest.classes.join(", "),
                megabytes(manifest.size()),
                data.cache().join(name).display(),
            ))
        }
    }
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
