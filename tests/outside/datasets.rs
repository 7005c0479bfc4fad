//! Loads MNIST and splits it into one task per digit.
use mergan_datasets::{FetchOptions, TaskOptions, TaskSequence, load};

fn main() -> Result<(), mergan_datasets::Error> {
    let mnist = load("mnist", &FetchOptions::default())?;
    let sequence = TaskSequence::new(mnist.class_names.len(), &TaskOptions::default())?;
    let sizes: Vec<usize> =
        sequence.tasks().iter().map(|classes| sequence.images_of(classes, &mnist.train).len()).collect();
    assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (10, 55_000));
    assert_eq!(mnist.test.select(&[0]).images()?.dim(), (1, 1, 32, 32));
    Ok(())
}
