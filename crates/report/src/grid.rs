//! Image grids: PNGs of square cells without gaps, one row per class.

use crate::Error;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, RgbImage, imageops};
use std::fs;
use std::io::Cursor;
use std::path::Path;

/// A PNG of square cells without gaps, checked to decode.
#[derive(Clone, Debug)]
pub struct Grid {
    png: Vec<u8>,
    /// The side of a cell in pixels.
    pub cell: u32,
    /// The number of rows, one per class.
    pub rows: u32,
    /// The number of columns: fixed latents, or real images.
    pub columns: u32,
}

impl Grid {
    /// Reads and decodes the PNG at `path`; `cell` computes the side of a cell from the height of the image.
    pub(crate) fn read(path: &Path, cell: impl FnOnce(u32) -> u32) -> Result<Self, Error> {
        let png = fs::read(path).map_err(mergan_record::Error::reading(path))?;
        let bad = |reason: String| Error::Image { path: path.into(), reason };

        let image = image::load_from_memory_with_format(&png, ImageFormat::Png)
            .map_err(|error| bad(format!("not a whole PNG ({error})")))?;
        let (width, height) = (image.width(), image.height());
        let cell = cell(height);
        if cell == 0 || !width.is_multiple_of(cell) || !height.is_multiple_of(cell) {
            return Err(bad(format!("{width}x{height} pixels do not divide into cells of {cell}x{cell}")));
        }
        Ok(Self { png, cell, rows: height / cell, columns: width / cell })
    }

    /// Interleaves the rows of two grids: each row of `old` is followed by the matching row of `new`. Only rows that
    /// both have and the first `columns` columns are used.
    ///
    /// # Errors
    /// When the cells are of different sizes.
    pub(crate) fn interleaved(old: &Grid, new: &Grid, columns: u32) -> Result<Self, Error> {
        let chart = |reason: String| Error::Chart { chart: "old and new images".into(), reason };
        if old.cell != new.cell {
            return Err(chart(format!("cells of {} and {} pixels", old.cell, new.cell)));
        }
        let (cell, rows) = (old.cell, old.rows.min(new.rows));
        let columns = columns.min(old.columns).min(new.columns);
        let decode = |grid: &Grid| {
            let image = image::load_from_memory_with_format(&grid.png, ImageFormat::Png);
            image.map(|image| image.to_rgb8()).map_err(|error| chart(error.to_string()))
        };
        let mut canvas = RgbImage::new(columns * cell, 2 * rows * cell);
        for (offset, grid) in [(0, old), (1, new)] {
            let image = decode(grid)?;
            for row in 0..rows {
                let strip = imageops::crop_imm(&image, 0, row * cell, columns * cell, cell).to_image();
                imageops::replace(&mut canvas, &strip, 0, i64::from((2 * row + offset) * cell));
            }
        }
        let mut png = Cursor::new(Vec::new());
        canvas.write_to(&mut png, ImageFormat::Png).map_err(|error| chart(error.to_string()))?;
        Ok(Self { png: png.into_inner(), cell, rows: 2 * rows, columns })
    }

    /// Returns the image as a `data:` URI, so that a page needs no other file.
    pub fn data_uri(&self) -> String {
        format!("data:image/png;base64,{}", STANDARD.encode(&self.png))
    }
}
