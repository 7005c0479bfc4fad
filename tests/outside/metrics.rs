//! Measures images with a single dependency: the distance of two sets in a network's feature space, and how many of
//! them a classifier in a file recognises, as the accuracies of a matrix of two tasks.
use mergan_metrics::models::{Classifier, FitOptions, Inception, Resize, Weights};
use mergan_metrics::ndarray::{Array4, Axis, concatenate};
use mergan_metrics::tensor::{Device, Random};
use mergan_metrics::{AccuracyMatrix, FeatureNetwork, accuracy};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = |name: &str| std::env::temp_dir().join(format!("mergan-outside-{}-{name}", std::process::id()));
    let [dark, bright] = [0, 100].map(|shift| {
        Array4::from_shape_fn((8, 1, 32, 32), |(n, _, y, x)| ((n * 37 + y * 5 + x * 7) % 100 + shift) as u8)
    });

    // The real weights are too large for a test, and a random network does not yield FID.
    let weights = path("inception");
    Inception::noise(Random::new(0), Device::Cpu).save(&weights)?;
    assert!(FeatureNetwork::open(&weights, Resize::Tf1, Device::Cpu).is_err());
    let network = FeatureNetwork::open_as("noise", &weights, Resize::Tf1, Device::Cpu)?;
    std::fs::remove_file(&weights)?;
    let [same, apart] = [&dark, &bright].map(|images| network.fid(dark.clone(), images.clone()));
    let (same, apart) = (same?, apart?);
    assert!(apart.metric == "fd_noise" && same.value < 1e-3 * apart.value, "{same}, {apart}");

    let (images, labels) = (concatenate(Axis(0), &[dark.view(), bright.view()])?, [[0; 8], [1; 8]].concat());
    let options = FitOptions { epochs: 20, batch: 8, ..FitOptions::default() };
    let mut weights = Weights::default();
    weights.insert_network("", &Classifier::fit(images.view(), &labels, 2, options, Random::new(0), |_| ()));
    let file = path("classifier");
    weights.save(&file)?;
    let classifier = Classifier::load(&file)?;
    std::fs::remove_file(&file)?;
    let mut matrix = AccuracyMatrix::new(2);
    matrix.set(0, 0, accuracy(&classifier, dark.clone(), 0)?);
    matrix.set(1, 0, accuracy(&classifier, dark, 0)?);
    matrix.set(1, 1, accuracy(&classifier, bright, 1)?);
    assert!(matrix.average_accuracy()? > 0.9 && matrix.forgetting()? == 0.0, "{matrix:?}");
    Ok(())
}
