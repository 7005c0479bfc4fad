//! FID's network on an emulated device.

use std::path::Path;

use mergan_emulator::ledger::Tier;
use mergan_models::{Inception, Tap, Weights};
use mergan_tensor::cuda::Precision;
use mergan_tensor::{Address, Device, Random, Shape};

use crate::driver::whole_device;

/// Weights of noise, of a size that keeps the size of what goes through the network.
fn weights(device: Device) -> Weights {
    let mut weights = Weights::default();
    let classifier = ("fc.weight".to_string(), vec![1008, 2048]);
    for ((name, axes), stream) in Inception::tensors().into_iter().chain([classifier]).zip(0..) {
        let len: usize = axes.iter().product();
        let noise = Random::new(1).uniform(Address { stream, ..Address::default() }, Shape::vector(len), Device::Cpu);
        let tensor = match axes.len() {
            4 => noise.shift(-0.5).scale((24.0 / (len / axes[0]) as f64).sqrt()),
            _ => noise.shift(0.5),
        };
        weights.insert_as(name, &axes, &tensor.to_device(device));
    }
    weights
}

#[test]
fn features_are_those_of_the_processor_at_every_tap() {
    // The smallest images of which the last pooling leaves something.
    let images = Random::new(2).uniform(Address::default(), [1, 3, 75, 75], Device::Cpu).scale(2.0).shift(-1.0);
    let features = |device| {
        let network = Inception::new(&weights(device), Path::new("noise")).expect("weights of Inception");
        let features = network.features(&images.to_device(device), &Tap::ALL);
        features.iter().map(|tap| tap.to_vec::<f32>()).collect::<Vec<_>>()
    };
    let (expected, found) = (features(Device::Cpu), features(whole_device(Tier::Fast, Precision::F32)));
    for ((expected, found), tap) in expected.iter().zip(&found).zip(Tap::ALL) {
        let largest = expected.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        let difference = expected.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(expected.len() == tap.features() && largest > 0.0);
        assert!(difference <= 1e-4 * largest, "{tap:?}: {difference} of {largest}");
    }
}
