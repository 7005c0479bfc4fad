//! Tests FID's network on an emulated device.

use std::path::Path;

use mergan_emulator::ledger::Tier;
use mergan_models::{Inception, Tap};
use mergan_tensor::cuda::Precision;
use mergan_tensor::{Address, Device, Random};

use crate::driver::whole_device;

#[test]
fn features_are_those_of_the_processor_at_every_tap() {
    // These are the smallest images that survive the last pooling.
    let images = Random::new(2).uniform(Address::default(), [1, 3, 75, 75], Device::Cpu) * 2.0 - 1.0;
    let features = |device| {
        let network = Inception::new(&Inception::noise(Random::new(1), device), Path::new("noise"))
            .expect("weights of Inception");
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
