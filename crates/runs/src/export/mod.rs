//! Formats that other programs read: ONNX models, NumPy arrays, image grids, folders of pictures, animations and
//! TensorBoard's event files.

pub mod animation;
pub mod folder;
pub mod image_grid;
pub mod npy;
pub mod onnx;
pub mod panels;
mod protobuf;
pub mod tensorboard;
