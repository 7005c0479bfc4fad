//! A folder of pictures, one PNG per image, as programs that measure FID read it.

use std::fs;
use std::path::Path;

use ndarray::{Array4, Axis};

use super::image_grid;
use crate::dir::make_folder;
use crate::error::{At, Error};

/// Checks that pictures can be written to a folder: it is new or empty, for other pictures would be mixed with them.
///
/// # Errors
/// When the folder holds something, or cannot be read.
pub fn require_empty(folder: &Path) -> Result<(), Error> {
    if !folder.exists() {
        return Ok(());
    }
    match fs::read_dir(folder).at("reading", folder)?.next() {
        None => Ok(()),
        Some(_) => {
            let folder_ = folder.display();
            let reason = format!(
                "{folder_} is not empty, and the new pictures would be mixed with what it holds; choose another folder, or \
                 remove this one"
            );
            Err(Error::file(folder, reason))
        }
    }
}

/// Writes each image (N x C x H x W) to a PNG of its own, `0000.png` and so on, and makes the folder if it does not
/// exist. Each file is whole or absent.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn write(folder: &Path, images: &Array4<u8>) -> Result<(), Error> {
    make_folder(folder)?;
    for (number, image) in images.axis_chunks_iter(Axis(0), 1).enumerate() {
        image_grid::write(&folder.join(name(number, images.len_of(Axis(0)))), &[image], 1)?;
    }
    Ok(())
}

/// Returns the name of one of `count` pictures. The names sort in the order of their numbers.
fn name(number: usize, count: usize) -> String {
    let digits = count.saturating_sub(1).to_string().len().max(4);
    format!("{number:0digits$}.png")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_sort_in_the_order_of_the_images_and_nothing_is_mixed() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("ring");
        require_empty(&folder).unwrap();
        write(&folder, &Array4::from_shape_fn((3, 1, 1, 1), |(image, ..)| image as u8)).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
        assert_eq!(image::open(folder.join("0002.png")).unwrap().to_luma8().into_raw(), [2]);
        assert_eq!([name(7, 10_000), name(7, 10_001)], ["0007.png", "00007.png"]);
        let refusal = require_empty(&folder).unwrap_err().to_string();
        assert!(refusal.contains("ring is not empty"), "{refusal}");
    }
}
