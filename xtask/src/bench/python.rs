//! Finds a Python with PyTorch, or makes one.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::Peer;
use crate::python::{Environment, TORCH};

/// Returns the Python to use, which has torch.
pub fn python(peer: &Peer) -> Result<PathBuf> {
    if let Some(python) = &peer.python {
        return Ok(python.clone());
    }
    let environment = Environment::new("bench-venv", &format!("{TORCH}\nnumpy\n"))?;
    if !environment.is_ready() && !peer.install {
        let folder = environment.folder().display();
        bail!("no PyTorch to compare with; give --python FILE, or --install to put one into {folder}");
    }
    environment.install()
}
