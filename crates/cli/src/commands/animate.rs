//! `mergan animate`: how a run learned, as a GIF.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, RgbaImage, imageops};

use crate::args::AnimateArguments;
use crate::console::Console;
use crate::run_dir::RunDir;

/// Milliseconds that a frame is shown, and the last one.
const FRAME: u32 = 120;
const LAST: u32 = 3000;
/// How thoroughly colours are chosen: from 1, the slowest, to 30.
const SPEED: i32 = 10;

/// Answers `mergan animate`.
pub fn run(arguments: &AnimateArguments, console: &Console) -> Result<()> {
    let folder = RunDir::new(&arguments.run).frames();
    let entries = fs::read_dir(&folder).with_context(|| {
        format!("reading {}; give a run directory that `mergan train` of this version wrote", folder.display())
    })?;
    let mut paths: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
    // Names sort as the training went.
    paths.sort();
    ensure!(!paths.is_empty(), "{} holds no frames yet; let the training begin", folder.display());
    let frames = paths.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
    write(&arguments.out, &frames, arguments.columns.get())?;
    console.note(format!("wrote {}: {} frames", arguments.out.display(), frames.len()));
    Ok(())
}

fn open(path: &Path) -> Result<RgbaImage> {
    Ok(image::open(path).with_context(|| format!("reading {}", path.display()))?.to_rgba8())
}

/// Writes an animation of grids, which grow by a row with each class; whole or not at all.
fn write(path: &Path, frames: &[RgbaImage], columns: u32) -> Result<()> {
    let writing = || format!("writing {}", path.display());
    let width = frames.iter().map(RgbaImage::width).max().unwrap_or(0);
    let height = frames.iter().map(RgbaImage::height).max().unwrap_or(0);
    let width = width * columns.min(crate::image_grid::COLUMNS as u32) / crate::image_grid::COLUMNS as u32;
    let unfinished = path.with_extension("gif.part");
    let mut encoder =
        GifEncoder::new_with_speed(BufWriter::new(File::create(&unfinished).with_context(writing)?), SPEED);
    encoder.set_repeat(Repeat::Infinite).with_context(writing)?;
    for (i, frame) in frames.iter().enumerate() {
        let mut canvas = RgbaImage::from_pixel(width, height, image::Rgba([0, 0, 0, 255]));
        imageops::replace(&mut canvas, frame, 0, 0);
        let milliseconds = if i + 1 == frames.len() { LAST } else { FRAME };
        let frame = Frame::from_parts(canvas, 0, 0, Delay::from_numer_denom_ms(milliseconds, 1));
        encoder.encode_frame(frame).with_context(writing)?;
    }
    drop(encoder);
    fs::rename(&unfinished, path).with_context(writing)
}
