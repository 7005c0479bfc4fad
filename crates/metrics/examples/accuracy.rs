//! Measures how many images a classifier recognises as a class. The classifier is one that `mergan train` left in the
//! cache, in `scorers`. The images are an array `.npy` or `.npz` of the size that it was trained on, and the class is
//! a number from 0:
//!
//! ```sh
//! cargo run --release -p mergan-metrics --example accuracy -- data/cache/scorers/mnist-mlp-*.safetensors sevens.npy 7
//! ```
//!
//! Without arguments, a classifier is trained on drawn shapes and scores shapes that it has not seen.

use std::error::Error;
use std::path::Path;

use mergan_metrics::datasets::{FetchOptions, load};
use mergan_metrics::models::{Classifier, FitOptions};
use mergan_metrics::tensor::Random;
use mergan_metrics::{Images, accuracy};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [classifier, images, class] => {
            let classifier = Classifier::load(Path::new(classifier))?;
            println!("{:.4}", accuracy(&classifier, Images::open(images)?, class.parse()?)?);
        }
        [] => of_shapes()?,
        _ => return Err("give a classifier, images and the number of a class, or nothing".into()),
    }
    Ok(())
}

fn of_shapes() -> Result<(), Box<dyn Error>> {
    let shapes = load("shapes", &FetchOptions::default())?;
    let (images, labels) = (shapes.train.images()?, shapes.train.labels());
    let options = FitOptions { epochs: 10, batch: 40, ..FitOptions::default() };
    let classes = shapes.class_names.len();
    let classifier = Classifier::fit(images.view(), labels, classes, options, Random::new(0), |_| ());
    for (class, name) in shapes.class_names.iter().enumerate() {
        println!("{name:<12} {:.4}", accuracy(&classifier, shapes.test.of_class(class), class)?);
    }
    Ok(())
}
