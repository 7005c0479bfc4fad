//! Formats that other programs read: ONNX models, NumPy arrays, image grids, animations and TensorBoard's event
//! files.

pub mod animation;
pub mod image_grid;
pub mod npy;
pub mod onnx;
mod protobuf;
pub mod tensorboard;
