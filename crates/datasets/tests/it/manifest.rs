//! Tests that manifests altered at random are refused or harmless.

use mergan_datasets::Manifest;
use proptest::prelude::*;
use proptest::sample::Index;

const MNIST: &str = include_str!("../../manifests/mnist.toml");

proptest! {
    #[test]
    fn altered_manifests_never_panic(
        changes in prop::collection::vec((any::<Index>(), any::<Index>(), "[ -~]{0,6}"), 1..5),
    ) {
        let mut text: Vec<char> = MNIST.chars().collect();
        for (start, length, piece) in changes {
            let start = start.index(text.len());
            let end = (start + length.index(20)).min(text.len());
            text.splice(start..end, piece.chars());
        }
        // Any manifest that is accepted stays in its own folder.
        if let Ok(manifest) = Manifest::parse(&text.into_iter().collect::<String>()) {
            let mut names = manifest.files.iter().map(|file| &file.name).chain([&manifest.name]);
            prop_assert!(names.all(|name| !name.contains('/') && name != ".."));
        }
    }
}
