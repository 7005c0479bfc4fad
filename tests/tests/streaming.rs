//! Tests that images that stay in files train the same networks as images in memory, bit for bit.

use std::path::Path;

use image::{Rgb, RgbImage};
use mergan_datasets::{Dataset, FetchOptions, load, open};
use mergan_models::Network;
use mergan_strategies::{Choice, Config, Strategies, Trainer};

/// Writes two classes of twenty pictures, no two alike.
fn write_pictures(folder: &Path) {
    for class in 0..2_u8 {
        let class_folder = folder.join(class.to_string());
        std::fs::create_dir(&class_folder).unwrap();
        for number in 0..20_u8 {
            let pixel = |x: u32, y: u32| Rgb([3 * x as u8 + number, 5 * y as u8, 100 * class + 4 * number]);
            RgbImage::from_fn(40, 36, pixel).save(class_folder.join(format!("{number:02}.png"))).unwrap();
        }
    }
}

/// Returns all weights after two tasks.
fn trained(data: &Dataset, strategy: &str) -> Vec<f32> {
    let choice = Choice {
        dataset: data.name.clone(),
        strategy: strategy.into(),
        preset: "smoke".into(),
        tasks: Some(2),
        ..Choice::default()
    };
    let strategies = Strategies::built_in();
    let config = Config::resolve(&choice, &strategies, data.class_names.len()).unwrap();
    let mut trainer = Trainer::new(config, &strategies, data.class_names.len(), &data.train).unwrap();
    while trainer.advance().unwrap().is_some() {}
    trainer.generator().values().iter().flat_map(|value| value.to_vec::<f32>()).collect()
}

#[test]
fn training_from_files_gives_the_bits_of_training_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    write_pictures(folder.path());
    let (path, options) = (folder.path().to_str().unwrap(), FetchOptions::default());
    let (files, memory) = (open(path, &options).unwrap(), load(path, &options).unwrap());
    assert!(!files.train.is_in_memory() && memory.train.is_in_memory());
    // The second strategy stores images of its own when a task ends.
    for strategy in ["ra", "exemplars"] {
        assert!(trained(&files, strategy) == trained(&memory, strategy), "{strategy}");
    }
}
