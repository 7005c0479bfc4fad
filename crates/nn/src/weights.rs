//! Files of named tensors: safetensors files, which store networks and exchange them with PyTorch, and PyTorch's own
//! files, which are only read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mergan_files::write_whole;
use mergan_tensor::{Device, Shape, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};

use crate::network::Network;
use crate::torch_file::{self, Numbers};

/// The reason why weights could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file system returned an error.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// The action that failed.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file has another format, or is damaged.
    #[error("{} is not a readable {format} file ({reason}); restore it from a copy or train again", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format that was expected.
        format: &'static str,
        /// The problem that was found.
        reason: String,
    },
    /// The file has no tensor of this name.
    #[error("{} holds no tensor `{name}`; it was written for another network", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
    },
    /// The tensor's shape differs from that of the network's parameter.
    #[error("tensor `{name}` of {} has the axes {found:?}, the network needs {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// The axes in the file.
        found: Vec<usize>,
        /// The axes of the network's parameter.
        expected: Vec<usize>,
    },
    /// The file lacks the tensors that the caller needs. The error message is the file's path followed by the reason.
    #[error("{} {reason}", path.display())]
    Unsuitable {
        /// The file.
        path: PathBuf,
        /// The problem and its remedy, such as `holds no generator; give a generator.safetensors`.
        reason: String,
    },
}

/// Named tensors, and one line of text.
///
/// ```
/// use mergan_nn::{Linear, Network, Scope, Weights};
/// use mergan_tensor::{Device, Random};
///
/// let network = Linear::new(&Scope::new(Random::new(0), Device::Cpu), 8, 4);
/// # let folder = tempfile::tempdir()?;
/// # let path = &folder.path().join("network.safetensors");
/// let mut weights = Weights::default();
/// weights.insert_network("", &network);
/// weights.save(path)?;
///
/// // A network of the same layers says which tensors there must be, and of what shapes.
/// let read = Weights::load(path, Device::Cpu)?.network(path, "", &network)?;
/// assert_eq!(read.weight.value.to_vec::<f32>(), network.weight.value.to_vec::<f32>());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
    /// Free text kept in the file's metadata, or an empty string. There is only one metadata entry because safetensors
    /// writes several in an order that changes from run to run, and equal runs must give equal files.
    pub note: String,
}

const NOTE: &str = "mergan";

impl Weights {
    /// Adds a tensor.
    pub fn insert(&mut self, name: impl Into<String>, tensor: &Tensor) {
        self.tensors.insert(name.into(), tensor.detach());
    }

    /// Adds every parameter of a network, with `prefix` before its name.
    pub fn insert_network(&mut self, prefix: &str, network: &impl Network) {
        for parameter in network.parameters() {
            self.insert(format!("{prefix}{}", parameter.name), &parameter.value);
        }
    }

    /// Returns the tensor of this name, if there is one.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Returns the length of an axis of the tensor of this name, if the tensor exists, has such an axis and is not
    /// empty. Thus no length exceeds the size of the file, whatever the file says, and a network whose sizes are read
    /// from a file cannot use more memory than the file justifies.
    pub fn length(&self, name: &str, axis: usize) -> Option<usize> {
        let shape = self.get(name)?.shape();
        shape.axes().get(axis).copied().filter(|_| !shape.is_empty())
    }

    /// Returns all names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Returns a network with the parameters that are stored under `prefix`. `network` gives the sizes, and `path`
    /// names the file in errors.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn network<N: Network>(&self, path: &Path, prefix: &str, network: &N) -> Result<N, WeightsError> {
        let mut network = network.clone();
        for parameter in network.parameters_mut() {
            let name = format!("{prefix}{}", parameter.name);
            parameter.value = self.require(path, &name, parameter.value.shape())?;
        }
        Ok(network)
    }

    /// Returns the SHA-256 of the note and of all tensors with their names and axes, in lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.note);
        for (name, tensor) in &self.tensors {
            hash.update(name);
            tensor.shape().axes().iter().for_each(|&axis| hash.update((axis as u64).to_le_bytes()));
            hash.update(encoded(tensor).1);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the tensor of this name, which must have this shape. `path` names the file in errors. Axes of length 1
    /// are ignored in the comparison: version 0.1 of this project wrote the means of an optimiser with four axes each.
    ///
    /// # Errors
    /// Returns an error if the tensor is missing or has another shape.
    pub fn require(&self, path: &Path, name: &str, shape: Shape) -> Result<Tensor, WeightsError> {
        let Some(tensor) = self.get(name) else {
            return Err(WeightsError::Missing { path: path.into(), name: name.into() });
        };
        let long = |shape: Shape| shape.axes().iter().copied().filter(|&length| length != 1).collect::<Vec<_>>();
        if long(tensor.shape()) != long(shape) {
            let [found, expected] = [tensor.shape(), shape].map(|shape| shape.axes().to_vec());
            return Err(WeightsError::Shape { path: path.into(), name: name.into(), found, expected });
        }
        Ok(tensor.reshape(shape))
    }

    /// Reads a safetensors file, or a state dictionary written by `torch.save`, of `f32` and `f64` tensors with up to
    /// four axes. Nothing in the file is executed.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or has another format.
    pub fn load(path: &Path, device: Device) -> Result<Weights, WeightsError> {
        let bytes =
            fs::read(path).map_err(|source| WeightsError::File { action: "reading", path: path.into(), source })?;
        Weights::from_bytes(path, &bytes, device)
    }

    /// Reads the contents of a file as [`Weights::load`] does; `path` names the file in errors.
    ///
    /// # Errors
    /// Returns an error if the contents have another format.
    pub fn from_bytes(path: &Path, bytes: &[u8], device: Device) -> Result<Weights, WeightsError> {
        if torch_file::recognises(bytes) {
            Weights::from_torch_file(path, bytes, device)
        } else {
            Weights::from_safetensors(path, bytes, device)
        }
    }

    fn from_torch_file(path: &Path, bytes: &[u8], device: Device) -> Result<Weights, WeightsError> {
        let bad = |reason: String| WeightsError::Format { path: path.into(), format: "PyTorch", reason };
        let mut weights = Weights::default();
        for (name, (axes, numbers)) in torch_file::read(bytes).map_err(|error| bad(error.to_string()))? {
            let shape = Shape::of(&axes).ok_or_else(|| bad(format!("`{name}` has the axes {axes:?}")))?;
            let tensor = match numbers {
                Numbers::F32(numbers) => Tensor::from_vec(numbers, shape, device),
                Numbers::F64(numbers) => Tensor::from_vec(numbers, shape, device),
            };
            weights.tensors.insert(name, tensor);
        }
        Ok(weights)
    }

    fn from_safetensors(path: &Path, bytes: &[u8], device: Device) -> Result<Weights, WeightsError> {
        let format = |reason: String| WeightsError::Format { path: path.into(), format: "safetensors", reason };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| format(error.to_string()))?;
        let note = header.metadata().as_ref().and_then(|metadata| metadata.get(NOTE)).cloned().unwrap_or_default();
        let file = SafeTensors::deserialize(bytes).map_err(|error| format(error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let axes = view.shape().to_vec();
            let shape = Shape::of(&axes).ok_or_else(|| format(format!("`{name}` has the axes {axes:?}")))?;
            let tensor = match view.dtype() {
                Dtype::F32 => Tensor::from_vec(numbers(view.data(), f32::from_le_bytes), shape, device),
                Dtype::F64 => Tensor::from_vec(numbers(view.data(), f64::from_le_bytes), shape, device),
                other => return Err(format(format!("`{name}` holds {other:?}, not F32 or F64"))),
            };
            tensors.insert(name, tensor);
        }
        Ok(Weights { tensors, note })
    }

    /// Writes a file: under a temporary name, flushed to disk and then renamed, so that `path` is always complete.
    /// Tensors of the reference device are written as `f64`, others as `f32`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), WeightsError> {
        let encoded: Vec<(&String, Dtype, Shape, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, tensor)| {
                let (dtype, bytes) = encoded(tensor);
                (name, dtype, tensor.shape(), bytes)
            })
            .collect();
        let views = encoded.iter().map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.axes().to_vec(), bytes)
                .expect("a tensor holds as many numbers as its axes say");
            (name.as_str(), view)
        });
        let metadata = (!self.note.is_empty()).then(|| [(NOTE.to_string(), self.note.clone())].into());
        let file = safetensors::serialize(views, metadata).expect("tensors with distinct names can be serialised");
        write_whole(path, &file).map_err(|source| WeightsError::File { action: "writing", path: path.into(), source })
    }
}

/// Returns a tensor's data type and bytes as they are stored in a file.
fn encoded(tensor: &Tensor) -> (Dtype, Vec<u8>) {
    match tensor.device() {
        Device::Cpu | Device::Cuda(_) => (Dtype::F32, bytes(tensor.to_vec::<f32>(), f32::to_le_bytes)),
        Device::Reference => (Dtype::F64, bytes(tensor.to_vec::<f64>(), f64::to_le_bytes)),
    }
}

fn numbers<T, const SIZE: usize>(bytes: &[u8], decode: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|chunk| decode(*chunk)).collect()
}

fn bytes<T, const SIZE: usize>(numbers: Vec<T>, encode: impl Fn(T) -> [u8; SIZE]) -> Vec<u8> {
    numbers.into_iter().flat_map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchNorm2d, Conv2d, ConvTranspose2d, Layer, Linear, Scope, Sequential, SpectralNorm};
    use mergan_tensor::Random;

    fn network(latent: usize, device: Device) -> Sequential {
        let at = &Scope::new(Random::new(3), device);
        Sequential::new(at)
            .then(Linear::new(at, latent, 8 * 4 * 4))
            .then(|x: &Tensor| x.reshape([x.shape()[0], 8, 4, 4]))
            .then(BatchNorm2d::new(at, 8))
            .then(ConvTranspose2d::new(at, 8, 4, 4).stride(2).padding(1))
            .then(Tensor::relu)
            .then(SpectralNorm::new(at, Conv2d::new(at, 4, 1, 3).padding(1)))
    }

    fn saved(device: Device) -> (tempfile::TempDir, PathBuf, Sequential) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generator.safetensors");
        let network = network(4, device);
        // The state that the layers keep from a pass is saved too.
        network.forward(&Tensor::full(0.5, [3, 4], device));
        let mut weights = Weights { note: "a note".into(), ..Weights::default() };
        weights.insert_network("", &network);
        weights.save(&path).unwrap();
        (folder, path, network)
    }

    #[test]
    fn a_network_survives_the_round_trip_in_its_own_precision() {
        for device in [Device::Cpu, Device::Reference] {
            let (_folder, path, network) = saved(device);
            let weights = Weights::load(&path, device).unwrap();
            assert_eq!(weights.note, "a note");
            let read = weights.network(&path, "", &self::network(4, device)).unwrap();
            for (here, there) in network.parameters().iter().zip(read.parameters()) {
                assert_eq!((&here.name, here.buffer), (&there.name, there.buffer));
                assert_eq!(here.value.to_vec::<f64>(), there.value.to_vec::<f64>(), "{}", here.name);
            }
        }
    }

    #[test]
    fn names_and_axes_are_those_of_a_pytorch_state_dict() {
        let (_folder, path, _) = saved(Device::Cpu);
        let weights = Weights::load(&path, Device::Cpu).unwrap();
        let named = weights.names().map(|name| (name, weights.get(name).unwrap().shape().axes().to_vec()));
        let expected: [(&str, &[usize]); 12] = [
            ("0.bias", &[128]),
            ("0.weight", &[128, 4]),
            ("2.bias", &[8]),
            ("2.running_mean", &[8]),
            ("2.running_var", &[8]),
            ("2.weight", &[8]),
            ("3.bias", &[4]),
            ("3.weight", &[8, 4, 4, 4]),
            ("5.bias", &[1]),
            ("5.weight_orig", &[1, 4, 3, 3]),
            ("5.weight_u", &[1]),
            ("5.weight_v", &[36]),
        ];
        assert_eq!(named.collect::<Vec<_>>(), expected.map(|(name, axes)| (name, axes.to_vec())));
    }

    #[test]
    fn equal_networks_give_equal_files() {
        let [(_a, first, _), (_b, second, _)] = [saved(Device::Cpu), saved(Device::Cpu)];
        assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap());
    }

    #[test]
    fn damaged_files_are_errors_that_name_the_file() {
        let (_folder, path, _) = saved(Device::Cpu);
        let whole = fs::read(&path).unwrap();
        for length in (0..200).chain((200..whole.len()).step_by(997)) {
            fs::write(&path, &whole[..length]).unwrap();
            let error = Weights::load(&path, Device::Cpu).unwrap_err();
            assert!(matches!(error, WeightsError::Format { .. }), "{error}");
            assert!(error.to_string().contains("generator.safetensors"), "{error}");
        }
        let absent = path.with_file_name("absent");
        assert!(matches!(Weights::load(&absent, Device::Cpu), Err(WeightsError::File { .. })));
    }

    #[test]
    fn another_network_is_refused_with_the_tensor_and_its_axes() {
        let (_folder, path, _) = saved(Device::Cpu);
        let weights = Weights::load(&path, Device::Cpu).unwrap();
        let refused =
            |prefix: &str| weights.network(&path, prefix, &network(6, Device::Cpu)).err().unwrap().to_string();
        let error = refused("");
        assert!(error.contains("`0.weight`") && error.contains("[128, 4]") && error.contains("[128, 6]"), "{error}");
        let error = refused("old.");
        assert!(error.contains("holds no tensor `old.0.weight`"), "{error}");
    }
}
