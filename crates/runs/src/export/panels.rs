//! One PNG of several sample grids with captions, so that runs can be seen side by side.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts};
use image::{ImageFormat, Rgb, RgbImage, imageops};
use mergan_record::write_whole;

use crate::error::{At, Error};
use crate::export::image_grid::{self, COLUMNS};

/// A sample grid with its caption.
pub struct Panel {
    /// The lines above the grid.
    pub caption: Vec<String>,
    /// The grid, as a run leaves it: [`COLUMNS`] images in a row.
    pub grid: PathBuf,
}

const BACKGROUND: Rgb<u8> = Rgb([24, 24, 27]);
const INK: Rgb<u8> = Rgb([244, 244, 245]);
/// The enlargement of the images and of the letters.
const SCALE: u32 = 2;
/// The side of a letter, the height of a line of text, and the space around a panel, in pixels.
const LETTER: u32 = 8 * SCALE;
const LINE: u32 = 11 * SCALE;
const SPACE: u32 = 8 * SCALE;

/// Writes the panels row by row, with the first `columns` images of each row of a grid. The file never appears
/// incomplete.
///
/// # Errors
/// When a grid cannot be read, or the file cannot be written.
pub fn write(path: &Path, rows: &[Vec<Panel>], columns: u32) -> Result<(), Error> {
    let draw = |row: &Vec<Panel>| row.iter().map(|panel| draw(panel, columns)).collect::<Result<Vec<_>, _>>();
    let rows = rows.iter().map(draw).collect::<Result<Vec<_>, _>>()?;
    let longest = |of: fn(&RgbImage) -> u32, images: &[RgbImage]| images.iter().map(of).max().unwrap_or(0) + SPACE;
    let heights: Vec<_> = rows.iter().map(|row| longest(RgbImage::height, row)).collect();
    let width = rows.iter().flatten().map(RgbImage::width).max().unwrap_or(0) + SPACE;
    let most = rows.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let mut canvas = RgbImage::from_pixel(most * width + SPACE, heights.iter().sum::<u32>() + SPACE, BACKGROUND);
    let mut top = SPACE;
    for (row, height) in rows.iter().zip(heights) {
        for (column, panel) in row.iter().enumerate() {
            imageops::replace(&mut canvas, panel, i64::from(SPACE + column as u32 * width), i64::from(top));
        }
        top += height;
    }
    let mut png = Cursor::new(Vec::new());
    let made = canvas.write_to(&mut png, ImageFormat::Png);
    made.map_err(|error| Error::file_for(path, format!("making {}", path.display()), error))?;
    write_whole(path, png.get_ref()).at("writing", path)
}

fn draw(Panel { caption, grid }: &Panel, columns: u32) -> Result<RgbImage, Error> {
    let images = image_grid::open(grid)?.into_rgb8();
    let (width, height) = (images.width() * columns / COLUMNS as u32, images.height());
    let images = imageops::crop_imm(&images, 0, 0, width, height);
    let (width, height) = (width * SCALE, height * SCALE);
    let images = imageops::resize(&*images, width, height, imageops::FilterType::Nearest);
    let top = LINE * caption.len() as u32;
    let text = caption.iter().map(|line| line.chars().count() as u32 * LETTER).max().unwrap_or(0);
    let mut panel = RgbImage::from_pixel(width.max(text), top + height, BACKGROUND);
    for (line, text) in (0..).zip(caption) {
        for (column, letter) in (0..).zip(text.chars()) {
            write_letter(&mut panel, letter, column * LETTER, line * LINE);
        }
    }
    imageops::replace(&mut panel, &images, 0, i64::from(top));
    Ok(panel)
}

/// Draws a letter of eight rows of bits, the leftmost pixel first.
fn write_letter(to: &mut RgbImage, letter: char, left: u32, top: u32) {
    let known = BASIC_FONTS.get(letter).or_else(|| LATIN_FONTS.get(letter));
    let rows = known.unwrap_or_else(|| BASIC_FONTS.get('?').expect("the font has ASCII"));
    for (y, x) in (0..LETTER).flat_map(|y| (0..LETTER).map(move |x| (y, x))) {
        if rows[(y / SCALE) as usize] >> (x / SCALE) & 1 == 1 {
            to.put_pixel(left + x, top + y, INK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_stand_side_by_side_below_their_captions() {
        let folder = tempfile::tempdir().unwrap();
        let grid = |name: &str, rows: u32, value: u8| {
            let path = folder.path().join(name);
            RgbImage::from_pixel(10 * 4, rows * 4, Rgb([value; 3])).save(&path).unwrap();
            path
        };
        let panel = |caption: &str, grid| Panel { caption: vec![caption.into()], grid };
        let rows = [vec![panel("I", grid("a.png", 1, 100)), panel("é→", grid("b.png", 3, 200))]];
        let path = folder.path().join("panels.png");
        write(&path, &rows, 5).unwrap();
        let drawn = image::open(&path).unwrap().to_rgb8();
        let (width, height) = (5 * 4 * SCALE, 3 * 4 * SCALE);
        assert_eq!(drawn.dimensions(), (2 * (width + SPACE) + SPACE, LINE + height + 2 * SPACE));
        let value = |x: u32, y: u32| drawn.get_pixel(x, y).0[0];
        let (top, second) = (SPACE + LINE, SPACE + width + SPACE);
        assert_eq!([value(SPACE, top), value(second, top), value(second + width, top)], [100, 200, BACKGROUND.0[0]]);
        assert_eq!([value(SPACE, top + 4 * SCALE), value(second, top + height - 1)], [BACKGROUND.0[0], 200]);
        // Each letter has ink, also the one that the font does not know.
        for left in [SPACE, second, second + LETTER] {
            let mut letter = (0..LETTER).flat_map(|y| (0..LETTER).map(move |x| (x, y)));
            assert!(letter.any(|(x, y)| value(left + x, SPACE + y) == INK.0[0]), "{left}");
        }
    }

    #[test]
    fn a_grid_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let rows = [vec![Panel { caption: Vec::new(), grid: folder.path().join("no-grid.png") }]];
        let error = write(&folder.path().join("panels.png"), &rows, 5).unwrap_err().to_string();
        assert!(error.contains("no-grid.png"), "{error}");
        assert!(!folder.path().join("panels.png").exists());
    }
}
