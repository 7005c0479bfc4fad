//! Scores images by a classifier of real ones: the accuracy of each class, and their mean as a matrix of one task.
use mergan_datasets::{FetchOptions, load};
use mergan_metrics::{AccuracyMatrix, class_accuracy};
use mergan_models::{Classifier, FitOptions};
use mergan_tensor::Random;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shapes = load("shapes", &FetchOptions::default())?;
    let options = FitOptions { epochs: 10, batch: 40, ..FitOptions::default() };
    let (images, labels) = (shapes.train.images()?, shapes.train.labels());
    let classifier = Classifier::fit(images.view(), labels, 10, options, Random::new(0), |_| ());
    let mut scores = Vec::new();
    for class in 0..10 {
        let real = shapes.test.of_class(class);
        scores.extend(class_accuracy(&classifier.predict(real.images()?.view()), class));
    }
    let mut matrix = AccuracyMatrix::new(1);
    matrix.set(0, 0, scores.iter().sum::<f64>() / 10.0);
    assert!(scores.len() == 10 && matrix.average_accuracy()? > 0.8, "{scores:?}");
    Ok(())
}
