//! Turns pictures of any size and kind into bytes of one shape.

use std::fmt;
use std::io::{self, BufRead, ErrorKind, Seek};
use std::path::Path;

use documented::DocumentedFieldsOpt;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader};
use ndarray::{Array3, ArrayView3, s};
use serde::{Deserialize, Serialize};

use crate::{Error, resample};

/// The file name endings that mark a picture.
pub const PICTURE_ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// Returns whether a path counts as a picture: a file with one of the [`PICTURE_ENDINGS`].
pub fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    PICTURE_ENDINGS.contains(&ending.as_str()) && path.is_file()
}

/// Reads the colour pixels of a picture, [3, H, W], as they lie in the file: at its own size and without applying the
/// camera's orientation, because the tools behind published distances read pictures that way.
///
/// # Errors
/// When the file cannot be read. The kind is [`InvalidData`](ErrorKind::InvalidData) when it is no PNG, JPEG or WebP,
/// is damaged, or takes more than half a gigabyte.
pub fn read_picture(path: &Path) -> io::Result<Array3<u8>> {
    let reader = ImageReader::open(path)?.with_guessed_format()?;
    // The reader itself limits the memory.
    let picture = reader.decode().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    Ok(channels_first(pixels(picture)))
}

/// The most bytes that a picture may take, in its file and decoded: 89 million pixels in colour. A small file can
/// promise far more.
pub(crate) const MOST_BYTES: u64 = 256 << 20;

/// How pictures of any size and kind become images of one shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, DocumentedFieldsOpt)]
#[serde(default, deny_unknown_fields)]
pub struct ImageOptions {
    /// The height and width in pixels; the networks take 32 and 64.
    pub side: usize,
    /// 3 for colour, 1 for grey.
    pub channels: usize,
    /// How a picture that is not square becomes square.
    pub fit: Fit,
    /// At most this many images of each class, taken from the start; by default all.
    pub limit: Option<usize>,
    /// Leaves out pictures that cannot be read instead of refusing the dataset.
    pub skip_bad: bool,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self { side: 32, channels: 3, fit: Fit::Crop, limit: None, skip_bad: false }
    }
}

/// How a picture that is not square becomes square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The largest square in the middle is cut out.
    Crop,
    /// The whole picture is squeezed into a square, as in the paper's code.
    Resize,
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fit::Crop => "crop",
            Fit::Resize => "resize",
        })
    }
}

impl ImageOptions {
    /// Returns the channels, height and width of the images.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.side, self.side]
    }

    /// Refuses options that no network takes.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let fault = |option, rule| Err(Error::ImageOptions { option, rule });
        match self {
            Self { side, .. } if ![32, 64].contains(side) => fault("side", "32 or 64"),
            Self { channels, .. } if ![1, 3].contains(channels) => fault("channels", "1 (grey) or 3 (colour)"),
            Self { limit: Some(0), .. } => fault("limit", "at least 1"),
            _ => Ok(()),
        }
    }

    /// Decodes a PNG, JPEG or WebP; the error says why it cannot.
    pub(crate) fn decode(&self, file: impl BufRead + Seek) -> Result<Array3<u8>, String> {
        let picture = pixels(read(file).map_err(|error| error.to_string())?);
        let picture = if self.channels == 1 { grey(picture.view()) } else { picture };
        let part = match self.fit {
            Fit::Crop => middle(picture.view()),
            Fit::Resize => picture.view(),
        };
        Ok(channels_first(resample::resize(part, [self.side, self.side])))
    }
}

/// Decodes a picture, applying the camera's orientation, if it takes no more than [`MOST_BYTES`] of memory.
fn read(file: impl BufRead + Seek) -> image::ImageResult<DynamicImage> {
    let mut decoder = ImageReader::new(file).with_guessed_format()?.into_decoder()?;
    let ((width, height), bytes) = (decoder.dimensions(), decoder.total_bytes());
    if bytes > MOST_BYTES {
        let reason = format!("{width} x {height} pixels take {bytes} bytes, more than {MOST_BYTES}");
        return Err(std::io::Error::other(reason).into());
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Returns the pixels in colour, [H, W, 3].
fn pixels(picture: DynamicImage) -> Array3<u8> {
    let picture = picture.into_rgb8();
    let (width, height) = picture.dimensions();
    let pixels = Array3::from_shape_vec((height as usize, width as usize, 3), picture.into_raw());
    pixels.expect("three bytes a pixel")
}

/// Rearranges [H, W, C] to [C, H, W].
fn channels_first(picture: Array3<u8>) -> Array3<u8> {
    picture.permuted_axes([2, 0, 1]).as_standard_layout().into_owned()
}

/// Converts to grey by the luma of ITU-R 601, in Pillow's arithmetic.
fn grey(picture: ArrayView3<u8>) -> Array3<u8> {
    let (height, width, _) = picture.dim();
    Array3::from_shape_fn((height, width, 1), |(y, x, _)| {
        let [red, green, blue] = [0, 1, 2].map(|channel| u32::from(picture[[y, x, channel]]));
        ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16) as u8
    })
}

/// Returns the largest square in the middle.
fn middle(picture: ArrayView3<u8>) -> ArrayView3<u8> {
    let (height, width, _) = picture.dim();
    let side = height.min(width);
    let (top, left) = ((height - side) / 2, (width - side) / 2);
    picture.slice_move(s![top..top + side, left..left + side, ..])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use image::codecs::png::PngEncoder;
    use image::{ExtendedColorType, ImageEncoder};
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::hex::hex;

    #[test]
    fn a_picture_is_turned_for_training_and_not_at_its_own_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("held upright.png");
        let mut encoder = PngEncoder::new(fs::File::create(&path).unwrap());
        // A TIFF directory with one entry: orientation 6, a quarter turn.
        let orientation =
            [b"II*\0\x08\0\0\0\x01\0".as_slice(), b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0", &[0; 4]].concat();
        encoder.set_exif_metadata(orientation).unwrap();
        encoder.write_image(&[10, 20, 30, 40, 50, 60], 2, 1, ExtendedColorType::Rgb8).unwrap();
        let found = read_picture(&path).unwrap();
        assert_eq!((found.dim(), found.into_raw_vec_and_offset().0), ((3, 1, 2), vec![10, 40, 20, 50, 30, 60]));
        let turned = read(io::BufReader::new(fs::File::open(&path).unwrap())).unwrap();
        assert_eq!((turned.width(), turned.height()), (1, 2));

        fs::write(&path, "no picture").unwrap();
        assert_eq!(read_picture(&path).unwrap_err().kind(), ErrorKind::InvalidData);
        assert!(is_picture(&path) && !is_picture(folder.path()));
        fs::remove_file(&path).unwrap();
        assert_eq!(read_picture(&path).unwrap_err().kind(), ErrorKind::NotFound);
    }

    /// Checks decoding alone, before anything is resized.
    #[test]
    fn pixels_are_pillows() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("tests/golden/datasets");
        let text = fs::read_to_string(folder.join("expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (name, sums) in expected["pictures"].as_object().unwrap() {
            let file = fs::read(folder.join("pictures").join(name)).unwrap();
            let picture = read(std::io::Cursor::new(file)).unwrap().into_rgb8();
            assert_eq!(sums["decoded"], hex(Sha256::digest(picture.as_raw())), "{name}");
        }
    }
}
