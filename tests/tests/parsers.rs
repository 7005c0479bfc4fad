//! Alters files of users and of other programs at random: every reader must return a value or an error.
//!
//! `PROPTEST_CASES=100000 cargo nextest run -p mergan-tests -p mergan-datasets never_panic unchecked` runs these
//! tests for minutes instead of a moment.

use std::fs;

use mergan_models::{Generator, ModelConfig, Weights};
use mergan_strategies::{Choice, Config, Strategies};
use mergan_tensor::{Device, Random};
use proptest::prelude::*;
use proptest::sample::Index;

/// Generates `bytes` with a few of them changed, removed or inserted.
fn altered(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), 0..4, any::<u8>());
    prop::collection::vec(change, 1..6).prop_map(move |changes| {
        let mut bytes = bytes.clone();
        for (index, kind, value) in changes {
            let at = index.index(bytes.len());
            match kind {
                0 if bytes.len() > 1 => drop(bytes.remove(at)),
                1 => bytes.insert(at, value),
                2 => bytes.truncate(at.max(1)),
                _ => bytes[at] = value,
            }
        }
        bytes
    })
}

fn configuration() -> Vec<u8> {
    let choice = Choice { dataset: "mnist".into(), strategy: "ra".into(), preset: "smoke".into(), ..Choice::default() };
    Config::resolve(&choice, &Strategies::built_in(), 10).unwrap().to_toml().into_bytes()
}

/// Writes a safetensors file and returns its content.
fn weights() -> (tempfile::TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole.safetensors");
    let mut weights = Weights::default();
    let sizes = ModelConfig { width: 1, latent: 2, classes: 2, ..ModelConfig::default() };
    weights.insert_network("", &Generator::new(sizes, Random::new(0), Device::Cpu));
    weights.note = "a note".into();
    weights.save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    (folder, bytes)
}

proptest! {
    #[test]
    fn parsers_of_configurations_never_panic(bytes in altered(configuration())) {
        let _ = Config::parse(&String::from_utf8_lossy(&bytes), "config.toml");
    }

    #[test]
    fn parsers_of_weights_never_panic(bytes in altered(weights().1)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("altered.safetensors");
        fs::write(&path, bytes).unwrap();
        if let Ok(weights) = Weights::load(&path, Device::Cpu) {
            let _ = Generator::from_weights(&path, &weights);
        }
    }

    /// The lengths in the header are where memory could be reserved unchecked.
    #[test]
    fn parsers_of_weights_take_no_memory_unchecked(length in any::<u64>(), header in "[{}\\[\\]\":,a-z0-9]{0,80}") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("header.safetensors");
        fs::write(&path, [&length.to_le_bytes(), header.as_bytes()].concat()).unwrap();
        prop_assert!(Weights::load(&path, Device::Cpu).is_err());
    }
}
