//! Integration tests: fetching against local servers and folders, files that other software wrote, bad ones, fingerprints,
//! and the real datasets.

mod arrays;
mod fetch;
mod fingerprint;
mod fixtures;
mod folder;
mod idx;
mod manifest;
mod mat;
mod others;
mod packages;
#[cfg(feature = "hdf5")]
mod prepared;
mod real;
mod server;
