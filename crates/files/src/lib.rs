//! Files that never appear incomplete under their final names, renames that last, and locks that keep other processes
//! out of a folder.

mod holder;
mod lock;
mod write;

pub use lock::LockFile;
pub use write::{create_anew, open_in_place, rename_durably, write_whole};
