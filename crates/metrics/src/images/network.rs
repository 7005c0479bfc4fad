//! The network whose features are compared, and its name: FID is only what the one network gives.

use std::fs;
use std::path::{Path, PathBuf};

use mergan_datasets::{FetchOptions, fetch, hex, inception_weights};
use mergan_models::{Inception, Resize, Tap, Weights};
use mergan_tensor::Device;
use ndarray::{Array2, ArrayView4, Axis, concatenate};
use sha2::{Digest, Sha256};

use super::{BATCH, Distance, Family, FeatureSet, ImagesError, Input, Subsets, distances, metric_name};
use crate::FeatureError;

/// Inception with its weights, how images come to its size, and what its distances are called.
pub struct FeatureNetwork {
    network: Inception,
    /// Of another network than FID's.
    name: Option<String>,
    sha256: String,
    resize: Resize,
}

impl FeatureNetwork {
    /// The network that FID is defined by, with the weights in this file: `pt_inception-2015-12-05-6726825d.pth`, as
    /// pytorch-fid publishes them.
    ///
    /// # Errors
    /// When the file cannot be read or holds the weights of another network.
    pub fn open(weights: &Path, resize: Resize, device: Device) -> Result<Self, ImagesError> {
        Self::read_file(weights, None, resize, device)
    }

    /// Another network of the same layers, from a PyTorch or safetensors file. Its distances carry its name, as in
    /// `fd_dino`: they are no FID.
    ///
    /// # Errors
    /// When the file cannot be read or holds other layers.
    pub fn open_as(name: &str, weights: &Path, resize: Resize, device: Device) -> Result<Self, ImagesError> {
        Self::read_file(weights, Some(name), resize, device)
    }

    /// The network that FID is defined by, whose weights (95.6 MB) are fetched into the cache where they are not at hand.
    ///
    /// # Errors
    /// When the weights cannot be had.
    pub fn obtain(options: &FetchOptions<'_>, resize: Resize, device: Device) -> Result<Self, ImagesError> {
        let manifest = inception_weights();
        let files = fetch(&manifest, options)?;
        Self::open(files.path(&manifest.files[0].name)?, resize, device)
    }

    fn read_file(path: &Path, name: Option<&str>, resize: Resize, device: Device) -> Result<Self, ImagesError> {
        let bytes = fs::read(path).map_err(ImagesError::reading(path))?;
        let sha256 = hex(Sha256::digest(&bytes));
        drop(bytes);
        let expected = &inception_weights().files[0].sha256;
        if name.is_none() && sha256 != *expected {
            return Err(ImagesError::OtherNetwork { path: path.into(), found: sha256, expected: expected.clone() });
        }
        let network = Inception::new(&Weights::load(path, device)?, path)?;
        Ok(FeatureNetwork { network, name: name.map(String::from), sha256, resize })
    }

    /// The FID of two sets of images: the Frechet distance of their features, 0 for equal sets. Under the name of another
    /// network where it is not FID's, and with a warning where the images are too few.
    ///
    /// # Errors
    /// When images cannot be read, are fewer than two or of another kind than the network takes.
    pub fn fid(&self, real: impl Into<Input>, generated: impl Into<Input>) -> Result<Distance, ImagesError> {
        let mut found = self.distances(&[Family::Fid], real, generated)?;
        Ok(found.remove(0))
    }

    /// The distances of generated from real images. To compare several sets with one, or to see how far it is, gather their
    /// [`features`](Self::features) and take the [`distances`] of those.
    ///
    /// # Errors
    /// As [`fid`](Self::fid), and when the features themselves are needed of which only statistics are given.
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

    /// The features of images, as far as these metrics need them. `progress` hears how many of how many images are done,
    /// first of none; where statistics are given it hears nothing.
    ///
    /// # Errors
    /// When images cannot be read, are fewer than two or of another kind than the network takes.
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

    /// How many features an image has.
    pub fn dimension(&self) -> usize {
        Tap::Last.features()
    }

    /// The features of images (N, C, H, W), one row an image.
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

    /// The network's name on cards.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("inception-2015-12-05")
    }

    /// The SHA-256 of its weights, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The name of the convention by which images are brought to its size.
    pub fn resize(&self) -> &'static str {
        self.resize.name()
    }

    /// What a metric of FID's network is called when it is this network's.
    pub fn metric(&self, metric: &str) -> String {
        metric_name(metric, self.name.as_deref())
    }
}

/// The weights of FID's network in a cache, where they were fetched before. Nothing is fetched and nothing verified.
///
/// # Errors
/// When they are not there.
pub fn cached_weights(cache: &Path) -> Result<PathBuf, ImagesError> {
    let manifest = inception_weights();
    let file = &manifest.files[0].name;
    let path = cache.join(&manifest.name).join(file);
    if path.is_file() {
        return Ok(path);
    }
    Err(ImagesError::NoWeights { file: file.clone(), mirror: manifest.mirrors[0].clone(), path })
}
