//! What the command line says of the metrics on Inception's features and of the network, for every command that has them.

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
    /// Weights of Inception: pt_inception-2015-12-05-6726825d.pth, or a safetensors file [default: those in the cache, which
    /// `mergan data fetch inception` gets].
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// The name of another network of the same layers, after which its distances are called: FD-NAME is no FID.
    #[arg(long, value_name = "NAME", value_parser = network_name)]
    pub network: Option<String>,
    /// How images are brought to the network's size and range.
    #[arg(long, value_enum, default_value = "tf1", value_name = "CONVENTION")]
    pub resize: ResizeName,
}

impl InceptionArguments {
    /// The network on this device, with the weights that were given, else with those in the cache.
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

/// Metrics that are measured together, as they are called.
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

/// The conventions of resizing, as they are called.
#[derive(Clone, Copy, ValueEnum)]
pub enum ResizeName {
    /// TensorFlow 1's bilinear grid: Heusel et al. and TTUR.
    Tf1,
    /// Bilinear between the centres of pixels: pytorch-fid.
    Torch,
    /// Bicubic with antialiasing: clean-fid.
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

/// Metrics are named after networks, so their names hold nothing that a table or a file could take for something else.
fn network_name(name: &str) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.');
    if !name.is_empty() && name.chars().all(plain) {
        return Ok(name.to_ascii_lowercase());
    }
    Err("a network's name is made of letters, digits, dots and hyphens".into())
}
