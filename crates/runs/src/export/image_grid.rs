//! PNGs of images side by side in square cells without gaps, for reports and for people.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use mergan_record::write_whole;
use ndarray::{Array3, Array4, ArrayView4, Axis, s};

use crate::error::{At, Error};
use crate::memory;

/// The number of images in a row of a run's grids.
pub const COLUMNS: usize = 10;

/// Writes a PNG with one row for each of `rows` (N x C x H x W, all of one size). A row has `columns` cells; cells
/// without an image stay black.
pub fn write(path: &Path, rows: &[ArrayView4<u8>], columns: usize) -> Result<(), Error> {
    let png =
        encode(rows, columns).map_err(|error| Error::file_for(path, format!("making {}", path.display()), error))?;
    write_whole(path, &png).at("writing", path)
}

/// Writes the images of each class, N x C x H x W. Those of a single class form a roughly square grid; of several
/// classes each begins a row, which has at least up to [`COLUMNS`] images.
pub fn write_classes(path: &Path, classes: &[Array4<u8>]) -> Result<(), Error> {
    let counts = classes.iter().map(|images| images.len_of(Axis(0)));
    let most = counts.clone().max().unwrap_or(0);
    let least = if classes.len() == 1 { 1 } else { most.min(COLUMNS) };
    let square = (counts.sum::<usize>() as f64).sqrt().ceil() as usize;
    let columns = square.clamp(least, most.max(1));
    let rows: Vec<_> = classes.iter().flat_map(|images| images.axis_chunks_iter(Axis(0), columns)).collect();
    write(path, &rows, columns)
}

/// Returns the images of each class, N x C x H x W, with each pixel as a square of `scale` x `scale`.
///
/// # Errors
/// When the machine has too little memory for a picture of them.
pub fn enlarged(classes: &[Array4<u8>], scale: usize) -> Result<Vec<Array4<u8>>, Error> {
    memory::require_for_picture(classes.iter().map(|images| images.len()).sum::<usize>() * scale * scale)?;
    let enlarged = |images: &Array4<u8>| {
        let (count, channels, height, width) = images.dim();
        Array4::from_shape_fn((count, channels, height * scale, width * scale), |(image, channel, y, x)| {
            images[[image, channel, y / scale, x / scale]]
        })
    };
    Ok(classes.iter().map(enlarged).collect())
}

/// Reads a grid as a picture.
///
/// # Errors
/// When the file cannot be read.
pub fn open(path: &Path) -> Result<DynamicImage, Error> {
    image::open(path).map_err(|error| Error::file_for(path, format!("reading {}", path.display()), error))
}

/// Reads the rows of a grid of images of this shape (C, H, W), as they were written.
pub fn read(path: &Path, [channels, height, width]: [usize; 3]) -> Result<Vec<Array4<u8>>, Error> {
    let grid = open(path)?;
    let (columns, rows) = (grid.width() as usize / width, grid.height() as usize / height);
    let pixels = if channels == 1 { grid.into_luma8().into_raw() } else { grid.into_rgb8().into_raw() };
    let canvas = Array3::from_shape_vec((rows * height, columns * width, channels), pixels).map_err(|error| {
        Error::file_for(path, format!("{} is no grid of {height} x {width} images", path.display()), error)
    })?;
    let row = |row: usize| {
        Array4::from_shape_fn((columns, channels, height, width), |(column, channel, y, x)| {
            canvas[[row * height + y, column * width + x, channel]]
        })
    };
    Ok((0..rows).map(row).collect())
}

fn encode(rows: &[ArrayView4<u8>], columns: usize) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let (_, channels, height, width) = rows.first().ok_or("there are no images")?.dim();
    let colour = match channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => return Err(format!("images of {channels} channels; a PNG takes 1 or 3").into()),
    };
    // The channels come last in a PNG.
    let mut canvas = Array3::<u8>::zeros((rows.len() * height, columns * width, channels));
    for (row, images) in rows.iter().enumerate() {
        for (column, image) in images.outer_iter().take(columns).enumerate() {
            let (top, left) = (row * height, column * width);
            let mut cell = canvas.slice_mut(s![top..top + height, left..left + width, ..]);
            cell.assign(&image.permuted_axes([1, 2, 0]));
        }
    }
    let (height, width, _) = canvas.dim();
    let pixels = canvas.as_slice().expect("the canvas is contiguous");
    let mut png = Cursor::new(Vec::new());
    PngEncoder::new(&mut png).write_image(pixels, width.try_into()?, height.try_into()?, colour)?;
    Ok(png.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_in_their_cells_and_missing_ones_are_black() {
        let images = Array4::from_shape_fn((3, 1, 2, 2), |(n, ..)| 10 * (n as u8 + 1));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        write_classes(&path, &[images]).unwrap();
        let grid = image::open(&path).unwrap().to_luma8();
        assert_eq!(grid.dimensions(), (4, 4));
        let pixel = |x, y| grid.get_pixel(x, y).0[0];
        assert_eq!([pixel(1, 1), pixel(2, 0), pixel(0, 3), pixel(3, 3)], [10, 20, 30, 0]);
    }

    #[test]
    fn no_column_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        for (classes, images, columns) in [(10, 8, 8), (10, 64, 26), (1, 8, 3), (1, 1, 1), (3, 12, 10)] {
            write_classes(&path, &vec![Array4::from_elem((images, 1, 2, 2), 9); classes]).unwrap();
            assert_eq!(image::image_dimensions(&path).unwrap().0, 2 * columns, "{images} images of {classes}");
        }
    }

    #[test]
    fn every_class_begins_a_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        let class = |value| Array4::from_elem((3, 1, 2, 2), value);
        write_classes(&path, &enlarged(&[class(10), class(20)], 2).unwrap()).unwrap();
        let grid = image::open(&path).unwrap().to_luma8();
        assert_eq!(grid.dimensions(), (3 * 4, 2 * 4));
        assert_eq!([(11, 3), (0, 4)].map(|(x, y)| grid.get_pixel(x, y).0[0]), [10, 20]);
        let pixels = Array4::from_shape_fn((1, 1, 1, 2), |(.., x)| x as u8);
        let [pixels] = &enlarged(&[pixels], 2).unwrap()[..] else { panic!("one class") };
        assert_eq!(pixels.as_slice().unwrap(), [0, 0, 1, 1, 0, 0, 1, 1]);
        let huge = enlarged(&[Array4::zeros((1, 1, 2, 2))], 100_000_000).unwrap_err().to_string();
        assert!(huge.contains("of memory are needed") && huge.contains("smaller scale"), "{huge}");
    }

    #[test]
    fn a_grid_is_read_as_it_was_written() {
        for channels in [1, 3] {
            let rows = [5u8, 90].map(|start| {
                Array4::from_shape_fn((3, channels, 4, 4), |(n, c, y, x)| start + (n * 20 + c * 7 + y * 4 + x) as u8)
            });
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("grid.png");
            write(&path, &rows.each_ref().map(|row| row.view()), 3).unwrap();
            assert_eq!(read(&path, [channels, 4, 4]).unwrap(), rows);
        }
    }

    #[test]
    fn colours_keep_their_channels() {
        let image = Array4::from_shape_fn((1, 3, 1, 1), |(_, c, ..)| c as u8);
        let png = image::load_from_memory(&encode(&[image.view()], 1).unwrap()).unwrap();
        assert_eq!(png.to_rgb8().get_pixel(0, 0).0, [0, 1, 2]);
        assert!(encode(&[Array4::zeros((1, 2, 1, 1)).view()], 1).is_err());
    }
}
