//! A custom dataset: gratings of four directions, drawn here and used as the classes of a task sequence.
//!
//! ```sh
//! cargo run --example own_dataset
//! ```

use std::error::Error;

use mergan_datasets::{Dataset, Labelled, TaskOptions, TaskSequence};
use ndarray::Array4;

const SIDE: usize = 32;

/// Draws `count` images of each class (N x 1 x 32 x 32 bytes). The class sets the direction of the waves, and the
/// image's number, counted from `first`, sets their shift.
fn gratings(classes: usize, count: usize, first: usize) -> Result<Labelled, mergan_datasets::Error> {
    let labels: Vec<usize> = (0..classes * count).map(|image| image / count).collect();
    let images = Array4::from_shape_fn((labels.len(), 1, SIDE, SIDE), |(image, _, y, x)| {
        let (sine, cosine) = (std::f64::consts::PI * labels[image] as f64 / classes as f64).sin_cos();
        let shift = (first + image % count) as f64;
        let wave = (0.8 * (x as f64 * cosine + y as f64 * sine) + shift).sin();
        (127.5 + 127.5 * wave) as u8
    });
    Labelled::new(images, labels)
}

fn main() -> Result<(), Box<dyn Error>> {
    let class_names = ["horizontal", "rising", "vertical", "falling"].map(String::from).to_vec();
    let [train, test] = [(100, 0), (20, 100)].map(|(count, first)| gratings(class_names.len(), count, first));
    let data = Dataset::new("gratings", class_names, train?, Some(test?))?;

    // The sequence says which classes each task learns: here two per task, the last two classes first.
    let options = TaskOptions { classes_per_task: 2, order: Some(vec![2, 3, 0, 1]), ..TaskOptions::default() };
    let sequence = TaskSequence::new(data.class_names.len(), &options)?;
    for (task, classes) in sequence.tasks().iter().enumerate() {
        let images = sequence.images_of(classes, &data.train);
        let names: Vec<&str> = classes.iter().map(|&class| data.class_names[class].as_str()).collect();
        println!("task {} learns {} from {} images", task + 1, names.join(" and "), images.len());
    }
    let batch = data.train.of_class(1).select(&[0, 1, 2]);
    println!("a batch of {} is {:?} bytes", data.class_names[1], batch.images()?.dim());
    Ok(())
}
