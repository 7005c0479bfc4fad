//! Image grids: PNGs of square cells without gaps, one row a class.

use crate::Error;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::path::Path;

/// A PNG of square cells without gaps, checked to decode.
#[derive(Clone, Debug)]
pub struct Grid {
    png: Vec<u8>,
    /// The side of a cell in pixels.
    pub cell: u32,
    /// The number of rows, one a class.
    pub rows: u32,
    /// The number of columns: fixed latents, or real images.
    pub columns: u32,
}

impl Grid {
    /// Reads and decodes the PNG at `path`; `cell` gives the side of a cell from the height of the image.
    pub(crate) fn read(path: &Path, cell: impl FnOnce(u32) -> u32) -> Result<Self, Error> {
        let png = fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let bad = |reason: String| Error::Image { path: path.into(), reason };

        let image = image::load_from_memory_with_format(&png, image::ImageFormat::Png)
            .map_err(|error| bad(format!("not a whole PNG ({error})")))?;
        let (width, height) = (image.width(), image.height());
        let cell = cell(height);
        if cell == 0 || !width.is_multiple_of(cell) || !height.is_multiple_of(cell) {
            return Err(bad(format!("{width}x{height} pixels do not divide into cells of {cell}x{cell}")));
        }
        Ok(Self { png, cell, rows: height / cell, columns: width / cell })
    }

    /// The image as a `data:` URI, so that a page needs no file beside it.
    pub fn data_uri(&self) -> String {
        format!("data:image/png;base64,{}", STANDARD.encode(&self.png))
    }
}
