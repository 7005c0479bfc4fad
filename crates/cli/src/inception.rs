//! The options for the metrics on Inception's features and for the network, shared by all commands that have them.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use mergan_metrics::{Family, FeatureNetwork, cached_weights};
use mergan_models::Resize;
use mergan_tensor::Device;

use crate::console::Console;
use crate::data::DataArguments;

/// The network whose features are compared.
#[derive(Args)]
#[command(next_help_heading = "Network")]
pub struct InceptionArguments {
    /// Weights of Inception: pt_inception-2015-12-05-6726825d.pth, or a safetensors file [default: those in the
    /// cache, which `mergan data fetch inception` gets].
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// The name of another network with the same layers. Its distances are called FD-NAME, because they are not FID.
    #[arg(long, value_name = "NAME", value_parser = network_name)]
    pub network: Option<String>,
    /// How images are converted to the network's size and range.
    #[arg(long, value_enum, default_value = "tf1", value_name = "CONVENTION")]
    pub resize: ResizeName,
}

impl InceptionArguments {
    /// Opens the network on this device, with the given weights or else those in the cache.
    pub fn open(&self, data: &DataArguments, device: Device, console: &Console) -> Result<FeatureNetwork> {
        let weights = self.weights.clone().map_or_else(|| cached_weights(&data.cache()), Ok)?;
        console.detail(format!("loading {}", weights.display()));
        let resize = self.resize.into();
        Ok(match &self.network {
            Some(name) => FeatureNetwork::open_as(name, &weights, resize, device)?,
            None => FeatureNetwork::open(&weights, resize, device)?,
        })
    }
}

/// The names of the metrics that are measured together.
#[derive(Clone, Copy, ValueEnum)]
pub enum FamilyName {
    /// The Frechet distance.
    Fid,
    /// The kernel distance.
    Kid,
    /// Precision, recall, density and coverage.
    Prdc,
}

impl From<FamilyName> for Family {
    fn from(name: FamilyName) -> Self {
        match name {
            FamilyName::Fid => Family::Fid,
            FamilyName::Kid => Family::Kid,
            FamilyName::Prdc => Family::Prdc,
        }
    }
}

/// The names of the resizing conventions.
#[derive(Clone, Copy, ValueEnum)]
pub enum ResizeName {
    /// TensorFlow 1's bilinear grid, as in Heusel et al. and TTUR.
    Tf1,
    /// Bilinear between pixel centres, as in pytorch-fid.
    Torch,
    /// Bicubic with antialiasing, as in clean-fid.
    Clean,
}

impl From<ResizeName> for Resize {
    fn from(name: ResizeName) -> Self {
        match name {
            ResizeName::Tf1 => Resize::Tf1,
            ResizeName::Torch => Resize::Torch,
            ResizeName::Clean => Resize::Clean,
        }
    }
}

/// Accepts only plain names: metrics are named after networks, and other characters could be misread in tables and
/// files. Returns the name in lower case.
///
/// # Errors
/// Says which characters are plain.
pub fn network_name(name: &str) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.');
    if !name.is_empty() && name.chars().all(plain) {
        return Ok(name.to_ascii_lowercase());
    }
    Err("a network's name is made of letters, digits, dots and hyphens".into())
}
