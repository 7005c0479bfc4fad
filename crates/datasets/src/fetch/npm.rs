//! Packages of the npm registry: gzipped tar archives.

use flate2::bufread::GzDecoder;

use super::package::Client;

pub(super) const CLIENT: Client = Client {
    kind: "npm",
    arguments: &[
        "pack",
        "--ignore-scripts",
        "--loglevel=error",
        // By default the client retries for minutes; one retry is enough to tell that the network is down.
        "--fetch-retries=1",
        "--fetch-retry-mintimeout=1000",
        "--fetch-timeout=60000",
        "--pack-destination=.",
    ],
    extension: "tgz",
    open: |file| Ok(Box::new(GzDecoder::new(file))),
    advice: |_| None,
};
