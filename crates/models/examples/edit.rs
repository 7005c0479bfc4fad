//! Edits a saved generator: moves one of its classes halfway to another and saves the result.
//!
//!     cargo run --release -p mergan-models --example edit -- generator.safetensors 3 8
//!
//! writes `edited.safetensors` and `edited.png` to the current directory. The picture shows a row of images of class 3,
//! a row of class 8 and a row of class 8 after the edit, all from the same latents. Without arguments the example
//! creates a small generator with new weights, edits it in a temporary folder and discards it.

use std::error::Error;
use std::path::Path;

use image::{Rgb, RgbImage};
use mergan_models::{Conditions, Generator, ModelConfig, Network, Rows, Weights, to_bytes};
use mergan_tensor::{Address, Device, Random, Tensor};
use ndarray::Array4;

/// The number of images that are normalised together, and of those that are shown.
const BATCH: usize = 64;
const SHOWN: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("generator.safetensors");
            save_fresh(&path)?;
            edit(&path, [0, 1], folder.path())
        }
        [path, from, to] => edit(Path::new(path), [from.parse()?, to.parse()?], Path::new("")),
        _ => Err("give a generator.safetensors and the numbers of two classes, or nothing".into()),
    }
}

/// Saves a generator with two classes that differ, as if it had been trained.
fn save_fresh(path: &Path) -> Result<(), Box<dyn Error>> {
    let sizes = ModelConfig { width: 4, classes: 2, latent: 16, ..ModelConfig::default() };
    let mut generator = Generator::new(sizes, Random::new(0), Device::Cpu);
    for (parameter, inner) in generator.parameters_mut().iter_mut().zip(0..) {
        if parameter.rows == Rows::PerClass {
            let address = Address { substep: inner, ..Address::default() };
            parameter.value = Random::new(1).normal(address, parameter.value.shape(), Device::Cpu);
        }
    }
    let mut weights = Weights::default();
    weights.insert_network("", &generator);
    Ok(weights.save(path)?)
}

fn edit(path: &Path, [from, to]: [usize; 2], folder: &Path) -> Result<(), Box<dyn Error>> {
    let generator = Generator::load(path)?;
    let sizes = generator.config();
    if from.max(to) >= sizes.classes {
        return Err(format!("{} has classes 0 to {}", path.display(), sizes.classes - 1).into());
    }
    let mut edited = generator.clone();
    for parameter in edited.parameters_mut() {
        if parameter.rows == Rows::PerClass {
            parameter.value = halfway(&parameter.value, from, to);
        }
    }

    // The rest of the file, its note and its standing statistics, is kept.
    let (weights_file, picture_file) = (folder.join("edited.safetensors"), folder.join("edited.png"));
    let mut weights = Weights::load(path, Device::Cpu)?;
    weights.insert_network("", &edited);
    weights.save(&weights_file)?;

    let latents = Random::new(2).normal(Address::default(), [BATCH, sizes.latent], Device::Cpu);
    let draw = |generator: &Generator, class| to_bytes(&generator.forward(&latents, &Conditions::pure(&[class])));
    let rows = [draw(&generator, from), draw(&generator, to), draw(&Generator::load(&weights_file)?, to)];
    let changed = rows[1].iter().zip(&rows[2]).filter(|(before, after)| before != after).count();
    picture(&rows).save(&picture_file)?;
    println!(
        "{changed} of {} bytes changed; wrote {} and {}",
        rows[1].len(),
        weights_file.display(),
        picture_file.display()
    );
    Ok(())
}

/// Returns a class table in which the row of `to` is the mean of its old value and the row of `from`.
fn halfway(table: &Tensor, from: usize, to: usize) -> Tensor {
    let change = table.index_select(0, &[from]) - table.index_select(0, &[to]);
    table + (change * 0.5).index_add(0, &[to], table.shape()[0])
}

/// Draws the first images of each row, in grey or colour.
fn picture(rows: &[Array4<u8>]) -> RgbImage {
    let (_, channels, side, _) = rows[0].dim();
    RgbImage::from_fn((SHOWN * side) as u32, (rows.len() * side) as u32, |x, y| {
        let [[column, x], [row, y]] = [x, y].map(|at| [at as usize / side, at as usize % side]);
        Rgb([0, 1, 2].map(|channel| rows[row][[column, channel.min(channels - 1), y, x]]))
    })
}
