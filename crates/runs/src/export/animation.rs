//! A GIF of a run's sample grids that shows how it learned.

use std::path::{Path, PathBuf};

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, ImageError, RgbaImage, imageops};
use mergan_record::write_whole;

use crate::dir::RunDir;
use crate::error::{At, Error};
use crate::export::image_grid::{self, COLUMNS};

/// The durations of each frame and of the last frame, in milliseconds.
const FRAME: u32 = 120;
const LAST: u32 = 3000;
/// The trade-off between quality and speed in choosing colours: 1 is the slowest and best, 30 the fastest.
const SPEED: i32 = 10;

/// Writes the animation of a run, which never appears incomplete. It shows `columns` of the ten latents in the run's
/// grids, with each pixel as a square of `scale` x `scale`. Returns the number of frames.
///
/// # Errors
/// When the run has no sample grids yet, or one of them cannot be read, or the file cannot be written.
pub fn write(path: &Path, run: &RunDir, columns: u32, scale: usize) -> Result<usize, Error> {
    let folder = run.frames();
    let paths = run.frame_grids().map_err(|error| {
        let folder_ = folder.display();
        let reason = format!("reading {folder_}; give a run directory that `mergan train` of this version wrote");
        Error::file_for(&folder, reason, error)
    })?;
    if paths.is_empty() {
        let reason = format!("{} holds no frames yet; let the training begin", folder.display());
        return Err(Error::run(run.root(), reason));
    }
    let open = |path: &PathBuf| Ok(image_grid::open(path)?.into_rgba8());
    let frames = paths.iter().map(open).collect::<Result<Vec<_>, Error>>()?;
    let encoded = encode(&frames, columns, scale as u32)
        .map_err(|error| Error::file_for(path, format!("writing {}", path.display()), error))?;
    write_whole(path, &encoded).at("writing", path)?;
    Ok(frames.len())
}

/// Encodes the frames as a GIF. Grids grow by a row with each class, so the canvas is as large as the last one.
fn encode(frames: &[RgbaImage], columns: u32, scale: u32) -> Result<Vec<u8>, ImageError> {
    let width = frames.iter().map(RgbaImage::width).max().unwrap_or(0);
    let height = frames.iter().map(RgbaImage::height).max().unwrap_or(0);
    let width = width * columns.min(COLUMNS as u32) / COLUMNS as u32;
    let mut encoded = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut encoded, SPEED);
    encoder.set_repeat(Repeat::Infinite)?;
    for (i, frame) in frames.iter().enumerate() {
        let mut canvas = RgbaImage::from_pixel(width, height, image::Rgba([0, 0, 0, 255]));
        imageops::replace(&mut canvas, frame, 0, 0);
        let canvas = imageops::resize(&canvas, width * scale, height * scale, imageops::FilterType::Nearest);
        let milliseconds = if i + 1 == frames.len() { LAST } else { FRAME };
        encoder.encode_frame(Frame::from_parts(canvas, 0, 0, Delay::from_numer_denom_ms(milliseconds, 1)))?;
    }
    drop(encoder);
    Ok(encoded)
}
