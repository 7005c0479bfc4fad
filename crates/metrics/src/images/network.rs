//! The network whose features are compared, and its name: only one network yields FID.

use std::fs;
use std::path::{Path, PathBuf};

use mergan_datasets::{FetchOptions, fetch, hex, inception_weights};
use mergan_models::{Inception, Resize, Tap, Weights};
use mergan_tensor::Device;
use ndarray::{Array2, ArrayView4, Axis, concatenate};
use sha2::{Digest, Sha256};

use super::{BATCH, Distance, Family, FeatureSet, ImagesError, Input, Subsets, distances, metric_name};
use crate::FeatureError;

/// Inception with its weights, the way images are resized for it, and the name of its distances.
pub struct FeatureNetwork {
    network: Inception,
    /// The name of a network other than FID's.
    name: Option<String>,
    sha256: String,
    resize: Resize,
}

impl FeatureNetwork {
    /// Opens the network that defines FID, with the weights in this file: `pt_inception-2015-12-05-6726825d.pth`, as
    /// pytorch-fid publishes them.
    ///
    /// # Errors
    /// When the file cannot be read or holds the weights of another network.
    pub fn open(weights: &Path, resize: Resize, device: Device) -> Result<Self, ImagesError> {
        Self::read_file(weights, None, resize, device)
    }

    /// Opens another network of the same layers, from a PyTorch or safetensors file. Its distances carry its name, as
    /// in `fd_dino`, because they are not FID.
    ///
    /// # Errors
    /// When the file cannot be read or holds other layers.
    pub fn open_as(name: &str, weights: &Path, resize: Resize, device: Device) -> Result<Self, ImagesError> {
        Self::read_file(weights, Some(name), resize, device)
    }

    /// Opens the network that defines FID, fetching its weights (95.6 MB) into the cache if they are missing.
    ///
    /// # Errors
    /// When the weights cannot be fetched.
    pub fn obtain(options: &FetchOptions<'_>, resize: Resize, device: Device) -> Result<Self, ImagesError> {
        let manifest = inception_weights();
        let files = fetch(&manifest, options)?;
        Self::open(files.path(&manifest.files[0].name)?, resize, device)
    }

    fn read_file(path: &Path, name: Option<&str>, resize: Resize, device: Device) -> Result<Self, ImagesError> {
        let bytes = fs::read(path).map_err(ImagesError::reading(path))?;
        let sha256 = hex(Sha256::digest(&bytes));
        let expected = &inception_weights().files[0].sha256;
        if name.is_none() && sha256 != *expected {
            return Err(ImagesError::OtherNetwork { path: path.into(), found: sha256, expected: expected.clone() });
        }
        let network = Inception::new(&Weights::from_bytes(path, &bytes, device)?, path)?;
        Ok(FeatureNetwork { network, name: name.map(String::from), sha256, resize })
    }

    /// Computes the FID of two sets of images: the Frechet distance of their features, 0 for equal sets. It carries
    /// the network's name if the network is not FID's, and a warning if there are too few images.
    ///
    /// # Errors
    /// When images cannot be read, are fewer than two, or are not of a kind that the network takes.
    pub fn fid(&self, real: impl Into<Input>, generated: impl Into<Input>) -> Result<Distance, ImagesError> {
        let mut found = self.distances(&[Family::Fid], real, generated)?;
        Ok(found.remove(0))
    }

    /// Computes the distances of generated from real images. To compare several sets with one, or to follow the
    /// progress, gather their [`features`](Self::features) and take the [`distances`] of those.
    ///
    /// # Errors
    /// The errors of [`fid`](Self::fid), and when the features themselves are needed but only statistics are given.
    pub fn distances(
        &self,
        families: &[Family],
        real: impl Into<Input>,
        generated: impl Into<Input>,
    ) -> Result<Vec<Distance>, ImagesError> {
        let real = self.features(real, families, |_, _| ())?;
        let generated = self.features(generated, families, |_, _| ())?;
        let mut found = distances(families, &real, &generated, Subsets::default())?;
        found.iter_mut().for_each(|distance| distance.metric = self.metric(&distance.metric));
        Ok(found)
    }

    /// Computes the features of images, as far as these metrics need them. `progress` is called with the number of
    /// images done and their total, first with none done; it is not called if statistics are given.
    ///
    /// # Errors
    /// When images cannot be read, are fewer than two, or are not of a kind that the network takes.
    pub fn features(
        &self,
        images: impl Into<Input>,
        families: &[Family],
        mut progress: impl FnMut(usize, usize),
    ) -> Result<FeatureSet, ImagesError> {
        let images = match images.into() {
            Input::Statistics(statistics) => return Ok(statistics.into()),
            Input::Images(images) => images,
        };
        let count = images.count();
        if count < 2 {
            return Err(FeatureError::TooFewSamples { count, least: 2 }.into());
        }
        let mut done = 0;
        progress(done, count);
        let features = images.into_iter().map(|batch| {
            let batch = batch?;
            let (n, channels, height, width) = batch.dim();
            if !matches!(channels, 1 | 3) || height * width == 0 {
                let takes = "1 or 3 channels of any size".into();
                return Err(ImagesError::Shape { shape: [channels, height, width], takes });
            }
            let features = self.read(batch.view());
            done += n;
            progress(done, count);
            Ok(features)
        });
        FeatureSet::gather(self.dimension(), families, features)
    }

    /// Returns the number of features of an image.
    pub fn dimension(&self) -> usize {
        Tap::Last.features()
    }

    /// Computes the features of images (N, C, H, W), one row per image.
    ///
    /// # Panics
    /// When the images have neither one nor three channels, or no pixel.
    pub fn read(&self, images: ArrayView4<u8>) -> Array2<f32> {
        let batches = images.axis_chunks_iter(Axis(0), BATCH);
        let features: Vec<_> = batches.map(|batch| self.network.read(batch, self.resize, Tap::Last)).collect();
        let views: Vec<_> = features.iter().map(|features| features.view()).collect();
        if views.is_empty() {
            return Array2::zeros((0, self.dimension()));
        }
        concatenate(Axis(0), &views).expect("all images have as many features")
    }

    /// Returns the network's name on cards.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("inception-2015-12-05")
    }

    /// Returns the SHA-256 of its weights, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Returns the name of the convention by which images are resized for it.
    pub fn resize(&self) -> &'static str {
        self.resize.name()
    }

    /// Returns the name that a metric of FID's network has for this network.
    pub fn metric(&self, metric: &str) -> String {
        metric_name(metric, self.name.as_deref())
    }
}

/// Returns the path of the weights of FID's network in a cache, if they were fetched before. Nothing is fetched or
/// verified.
///
/// # Errors
/// When they are missing.
pub fn cached_weights(cache: &Path) -> Result<PathBuf, ImagesError> {
    let manifest = inception_weights();
    let file = &manifest.files[0].name;
    let path = cache.join(&manifest.name).join(file);
    if path.is_file() {
        return Ok(path);
    }
    Err(ImagesError::NoWeights { file: file.clone(), mirror: manifest.mirrors[0].clone(), path })
}
