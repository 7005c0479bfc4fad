//! Integration tests: fetching against local servers and folders, the IDX format, and the real MNIST.

mod fetch;
mod fixtures;
mod idx;
mod mnist;
mod npm;
mod server;
