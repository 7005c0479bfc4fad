#![doc = include_str!("../README.md")]

mod holder;
mod lock;
mod write;

pub use lock::LockFile;
pub use write::{create_anew, open_in_place, rename_durably, write_whole};
