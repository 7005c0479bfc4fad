//! Debian packages. A package is an `ar` archive whose member `data.tar` holds the files; the ending of that member's
//! name tells how it is compressed.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;

use super::package::Client;

pub(super) const CLIENT: Client = Client {
    kind: "Debian",
    arguments: &["download", "--quiet=2"],
    extension: "deb",
    open: |file| open(file),
    advice: |said| said.contains("Unable to locate package").then_some("`apt-get update` as root may find it"),
};

const MAGIC: &[u8; 8] = b"!<arch>\n";

/// Bytes of the header of an `ar` member, all of it text padded with spaces.
const HEADER: usize = 60;

/// Finds the package's files in `package`.
fn open(mut package: impl BufRead + 'static) -> io::Result<Box<dyn Read>> {
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let mut magic = [0; MAGIC.len()];
    package.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(invalid("it does not start as an ar archive does".into()));
    }
    loop {
        let mut header = [0; HEADER];
        match package.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(invalid("it holds no data.tar".into()));
            }
            read => read?,
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_string();
        let (name, size) = (text(&header[..16]), text(&header[48..58]));
        let size: u64 = size.parse().map_err(|_| invalid(format!("the member {name} has the size `{size}`")))?;
        match name.trim_end_matches('/').strip_prefix("data.tar") {
            Some("") => return Ok(Box::new(package.take(size))),
            Some(".gz") => return Ok(Box::new(GzDecoder::new(package.take(size)))),
            Some(".xz") => return Ok(Box::new(XzReader::new(package.take(size), false))),
            Some(other) => return Err(invalid(format!("data.tar is compressed as {other}, expected .xz or .gz"))),
            // Members start at even offsets.
            None => io::copy(&mut (&mut package).take(size + size % 2), &mut io::sink())?,
        };
    }
}
