//! Weights of networks trained by others, fetched and verified like datasets.

use crate::Manifest;

/// Describes the weights of the InceptionV3 that defines FID: one file, which [`fetch`](crate::fetch) gets.
pub fn inception_weights() -> Manifest {
    Manifest::parse(include_str!("../manifests/inception.toml")).expect("the manifest is a part of this crate")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_manifest_names_the_file_by_its_checksum() {
        let manifest = super::inception_weights();
        let file = &manifest.files[0];
        assert!(file.name.contains(&file.sha256[..8]) && manifest.size() == file.size);
    }
}
