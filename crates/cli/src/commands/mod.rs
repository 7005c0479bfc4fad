//! The commands, one file each.

pub mod compare;
pub mod data;
pub mod evaluate;
pub mod report;
pub mod sample;
pub mod train;
