//! The commands, one file each.

pub mod animate;
pub mod compare;
pub mod completions;
pub mod config;
pub mod data;
pub mod demo;
pub mod doctor;
pub mod evaluate;
pub mod export;
pub mod extend;
pub mod fid;
pub mod report;
pub mod reproduce;
pub mod sample;
pub mod selftest;
pub mod train;
pub mod watch;
