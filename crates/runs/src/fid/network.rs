//! The network whose features are compared, and its name: FID is only what the one network gives.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mergan_datasets::{Manifest, inception_weights};
use mergan_models::{Inception, Resize, Tap, Weights};
use mergan_tensor::Device;
use ndarray::{Array2, ArrayView4, Axis, concatenate};
use sha2::{Digest, Sha256};

use super::InceptionArguments;
use crate::observer::{Happening, Observer};

/// Images that go through the network at a time. Results do not depend on it.
pub const BATCH: usize = 16;

/// Inception with its weights, and what cards say of it.
pub struct FeatureNetwork {
    network: Inception,
    /// Of another network than FID's.
    name: Option<String>,
    sha256: String,
    resize: Resize,
}

impl FeatureNetwork {
    /// The network on `device` with the weights in the file that was given, else with those in the cache.
    ///
    /// # Errors
    /// When there are none, or they are those of another network that was not given a name.
    pub fn obtain(
        arguments: &InceptionArguments,
        cache: &Path,
        device: Device,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let manifest = inception_weights();
        let path = match &arguments.weights {
            Some(path) => path.clone(),
            None => cached(&manifest, cache)?,
        };
        observer.happened(&Happening::Detail(&format!("loading {}", path.display())));
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        drop(bytes);
        let expected = &manifest.files[0].sha256;
        if arguments.network.is_none() && sha256 != *expected {
            bail!(
                "{} is not the network that FID is defined by: its SHA-256 begins with {}, not with {}; get that one with \
                 `mergan data fetch inception`, or give this one a name with --network, and its distances are called \
                 FD-NAME",
                path.display(),
                &sha256[..8],
                &expected[..8]
            );
        }
        let network = Inception::new(&Weights::load(&path, device)?, &path)?;
        Ok(FeatureNetwork { network, name: arguments.network.clone(), sha256, resize: arguments.resize.into() })
    }

    /// How many features an image has.
    pub fn dimension(&self) -> usize {
        Tap::Last.features()
    }

    /// The features of images (N, C, H, W), one row an image.
    pub fn read(&self, images: ArrayView4<u8>) -> Array2<f32> {
        let batches = images.axis_chunks_iter(Axis(0), BATCH);
        let features: Vec<_> = batches.map(|batch| self.network.read(batch, self.resize, Tap::Last)).collect();
        let views: Vec<_> = features.iter().map(|features| features.view()).collect();
        if views.is_empty() {
            return Array2::zeros((0, self.dimension()));
        }
        concatenate(Axis(0), &views).expect("all images have as many features")
    }

    /// The network's name on cards.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("inception-2015-12-05")
    }

    /// The SHA-256 of its weights, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The name of the convention by which images were brought to its size.
    pub fn resize(&self) -> &'static str {
        self.resize.name()
    }

    /// What a metric of FID's network is called when it is this network's.
    pub fn metric(&self, metric: &str) -> String {
        named(metric, self.name.as_deref())
    }
}

/// A metric's name, `fid` or `kid` for example, for the features of the network that FID is defined by, or of another one.
pub fn named(metric: &str, network: Option<&str>) -> String {
    match (network, metric.strip_prefix("fid")) {
        (None, _) => metric.into(),
        (Some(network), Some(rest)) => format!("fd{rest}_{network}"),
        (Some(network), None) => format!("{metric}_{network}"),
    }
}

/// The weights in the cache.
fn cached(manifest: &Manifest, cache: &Path) -> Result<PathBuf> {
    let file = &manifest.files[0].name;
    let path = cache.join(&manifest.name).join(file);
    if !path.is_file() {
        bail!(
            "there are no weights of Inception on this machine; get them with `mergan data fetch inception` where there is \
             a network, or else put {file} (from {}) at {} or give it with --weights",
            manifest.mirrors[0],
            path.display()
        );
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_network_of_fid_gives_a_fid() {
        assert_eq!(named("fid", None), "fid");
        assert_eq!(named("fid", Some("dino")), "fd_dino");
        assert_eq!(named("fid_pooled", Some("dino")), "fd_pooled_dino");
        assert_eq!(named("precision", Some("dino")), "precision_dino");
    }
}
