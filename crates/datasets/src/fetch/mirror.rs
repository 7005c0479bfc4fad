//! Files on a web server. An interrupted download is resumed where it stopped, even by a later process.

use std::fs::{self, File};
use std::io::{BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use mergan_files::open_in_place;
use ureq::Agent;
use ureq::http::{HeaderMap, header};

use super::store::{Store, cache_error};
use super::verify::for_each_chunk;
use super::{Failure, Source};
use crate::manifest::DataFile;

/// The time limit for the name lookup and for the connection, each. It is short so that a machine without a network
/// soon moves on to the next source.
const CONNECT: Duration = Duration::from_secs(5);

/// The maximum number of bytes by which a compressed file may exceed the original.
const COMPRESSION_SLACK: u64 = 64 * 1024;

/// A folder on a web server.
pub(super) struct Mirror<'a> {
    base: &'a str,
    agent: Agent,
}

impl<'a> Mirror<'a> {
    pub(super) fn new(base: &'a str, patience: Duration) -> Self {
        let agent = Agent::config_builder()
            .user_agent(concat!("mergan-datasets/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(patience))
            .timeout_recv_body(Some(patience))
            .build()
            .into();
        Self { base, agent }
    }
}

impl Source for Mirror<'_> {
    fn name(&self) -> String {
        self.base.into()
    }

    /// Stops at the first file that fails, so that a server that is down is not asked again for every file.
    fn fetch(&self, missing: &[&DataFile], store: &mut Store<'_>) -> Result<(), Failure> {
        for file in missing {
            self.fetch_file(file, store).map_err(|failure| failure.about(&file.remote))?;
        }
        Ok(())
    }
}

impl Mirror<'_> {
    fn fetch_file(&self, file: &DataFile, store: &mut Store<'_>) -> Result<(), Failure> {
        let url = format!("{}/{}", self.base.trim_end_matches('/'), file.remote);
        let partial = store.partial(file);
        if fs::symlink_metadata(&partial).is_ok_and(|found| !found.is_file()) {
            // Whoever can write in the folder could put a link to another's file here.
            fs::remove_file(&partial).map_err(cache_error("remove", &partial))?;
        }
        let mut resumed = length(&partial) > 0;
        loop {
            self.download(&url, &partial, file, store)?;
            let downloaded = File::open(&partial).map_err(cache_error("open", &partial))?;
            match store.install(file, BufReader::new(downloaded)) {
                Err(Failure::Source(reason)) => {
                    fs::remove_file(&partial).map_err(cache_error("remove", &partial))?;
                    if !resumed {
                        return Err(Failure::Source(reason));
                    }
                    // The bytes left by another mirror or an earlier process may not match this server's file, so the
                    // download starts over once.
                    resumed = false;
                }
                done => return done,
            }
        }
    }

    /// Downloads until `partial` holds the whole file. Gives up at the first request that yields nothing new.
    fn download(&self, url: &str, partial: &Path, file: &DataFile, store: &Store<'_>) -> Result<(), Failure> {
        loop {
            let before = length(partial);
            match self.request(url, partial, before, file, store) {
                Err(Failure::Source(_)) if length(partial) > before => {}
                done => return done,
            }
        }
    }

    /// Asks for the bytes after the first `have` and appends them to `partial`.
    fn request(&self, url: &str, partial: &Path, have: u64, file: &DataFile, store: &Store<'_>) -> Result<(), Failure> {
        // The server must send the bytes uncompressed: offsets would be meaningless if it compressed them on the way.
        let mut request = self.agent.get(url).header(header::ACCEPT_ENCODING, "identity");
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let response = request.call().map_err(|error| Failure::Source(error.to_string()))?;
        let start = match response.status().as_u16() {
            200 => 0,
            206 => match range_start(response.headers()) {
                Some(start) if start <= have => start,
                _ => {
                    return Err(Failure::Source("the server answered with another part of the file".into()));
                }
            },
            // The server has nothing beyond these bytes; the checksum decides whether they are the file.
            416 if have > 0 => return Ok(()),
            status => {
                return Err(Failure::Source(format!("the server answered with HTTP status {status}")));
            }
        };
        let total = response.body().content_length().map(|rest| start + rest);

        let mut out = open_in_place(partial).map_err(cache_error("create", partial))?;
        let write_error = cache_error("write", partial);
        out.set_len(start).and_then(|()| out.seek(SeekFrom::Start(start))).map_err(&write_error)?;
        let mut done = start;
        for_each_chunk(
            response.into_body().into_reader(),
            |chunk| {
                done += chunk.len() as u64;
                if done > file.size + COMPRESSION_SLACK {
                    out.set_len(0).map_err(&write_error)?;
                    return Err(Failure::Source(format!("more than the expected {} bytes", file.size)));
                }
                out.write_all(chunk).map_err(&write_error)?;
                store.progress(self.base, file, done, total);
                Ok(())
            },
            |error| Failure::Source(format!("the transfer broke off: {error}")),
        )?;
        match total {
            Some(total) if done < total => {
                Err(Failure::Source(format!("the transfer broke off after {done} of {total} bytes")))
            }
            _ => Ok(()),
        }
    }
}

/// Returns the first byte of a partial answer, from `Content-Range: bytes START-END/TOTAL`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// Returns the length in bytes of the file at `path`, or 0 if there is no file.
fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}
