//! Computes the FID of two sets of images, each a folder of pictures, an array `.npy` or `.npz`, or pytorch-fid's
//! statistics:
//!
//! ```sh
//! cargo run --release -p mergan-metrics --example fid -- photos/ samples/
//! ```
//!
//! The weights of FID's network are fetched into the cache the first time. Without arguments, noise images go through
//! a network with random weights. That needs no file and shows how the parts fit together, but its distance is no
//! FID.

use std::error::Error;

use mergan_metrics::datasets::{Event, FetchOptions};
use mergan_metrics::models::{Inception, Resize};
use mergan_metrics::ndarray::Array4;
use mergan_metrics::tensor::{Device, Random};
use mergan_metrics::{Distance, FeatureNetwork, Input};

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let distance = match paths.as_slice() {
        [real, generated] => of_files(real, generated)?,
        [] => of_noise()?,
        _ => return Err("give two folders or files of images, or nothing".into()),
    };
    println!("{distance}");
    Ok(())
}

fn of_files(real: &str, generated: &str) -> Result<Distance, Box<dyn Error>> {
    let observer = |event: Event<'_>| {
        if let Event::Trying { from } = event {
            eprintln!("fetching the weights of Inception from {from}");
        }
    };
    let options = FetchOptions { observer: &observer, ..FetchOptions::default() };
    let network = FeatureNetwork::obtain(&options, Resize::Tf1, Device::Cpu)?;
    Ok(network.fid(Input::open(real)?, Input::open(generated)?)?)
}

fn of_noise() -> Result<Distance, Box<dyn Error>> {
    println!("The weights of the network are noise, so this distance is no FID and its name says so.");
    let path = std::env::temp_dir().join(format!("mergan-fid-{}.safetensors", std::process::id()));
    Inception::noise(Random::new(0), Device::Cpu).save(&path)?;
    let network = FeatureNetwork::open_as("noise", &path, Resize::Tf1, Device::Cpu);
    std::fs::remove_file(&path)?;
    let [dark, bright] = [0, 100].map(|shift| {
        Array4::from_shape_fn((8, 3, 32, 32), |(n, c, y, x)| ((n * 37 + c * 11 + y * 5 + x * 7) % 150 + shift) as u8)
    });
    Ok(network?.fid(dark, bright)?)
}
