//! Turns pictures of any size and kind into bytes of one shape.

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use documented::DocumentedFieldsOpt;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use ndarray::{Array3, ArrayView3, s};
use serde::{Deserialize, Serialize};

use crate::{Error, resample};

/// The file name endings that mark a picture. What the file holds is decided by its content.
pub const PICTURE_ENDINGS: [&str; 15] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "dib", "gif", "tif", "tiff", "pnm", "pbm", "pgm", "ppm"];

/// The kinds of pictures, for messages.
pub const PICTURE_KINDS: &str = "PNG, JPEG, WebP, BMP, GIF, TIFF or PNM";

/// How [`read_picture`] reads what pictures have besides colours, for the card of a number measured on them.
pub const PICTURE_CONVENTION: &str =
    "stored orientation (EXIF ignored), transparency over white, first picture of an animation";

/// The most bytes that a file of a picture may have.
const MOST_FILE_BYTES: u64 = 256 << 20;
/// The most bytes of memory that a picture may take, decoded and converted to colour: 178 million pixels in colour. A
/// small file can promise far more.
const MOST_BYTES: u64 = 512 << 20;
/// Pictures that take more bytes than this are decoded one at a time, whatever the number of threads.
const MANY_BYTES: u64 = 128 << 20;

/// The width and height of a picture as it is stored, in pixels; nothing is decoded.
///
/// # Errors
/// Those of [`read_picture`].
pub fn picture_size(path: &Path) -> Result<[usize; 2], Error> {
    with_bytes(path, |bytes| {
        let (width, height) = decoder(bytes)?.dimensions();
        Ok([width as usize, height as usize])
    })
}

/// Reads the colour pixels of a picture, [3, H, W], as they lie in the file: at its own size and without applying the
/// camera's orientation, because the tools behind published distances read pictures that way. Transparent pixels are
/// shown over white ([`PICTURE_CONVENTION`]).
///
/// # Errors
/// [`Error::Picture`] when the file cannot be read, is none of the formats of [`PICTURE_ENDINGS`], ends early or is
/// damaged, or takes more than half a gigabyte.
pub fn read_picture(path: &Path) -> Result<Array3<u8>, Error> {
    with_bytes(path, |bytes| Ok(channels_first(read(bytes, false)?)))
}

fn with_bytes<T>(path: &Path, read: impl FnOnce(&[u8]) -> Result<T, String>) -> Result<T, Error> {
    let bytes = File::open(path).and_then(bounded).map_err(|error| error.to_string());
    let read = bytes.and_then(|bytes| read(&bytes));
    read.map_err(|reason| Error::Picture { picture: path.display().to_string(), reason })
}

/// Reads the bytes of a picture's file.
pub(crate) fn bounded(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MOST_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        0 => Err(io::Error::other("the file is empty")),
        1..=MOST_FILE_BYTES => Ok(bytes),
        _ => Err(io::Error::other(format!("it has more than {MOST_FILE_BYTES} bytes"))),
    }
}

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
    /// Follows links that lead out of the folder of pictures.
    pub follow_links: bool,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self { side: 32, channels: 3, fit: Fit::Crop, limit: None, skip_bad: false, follow_links: false }
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

    /// Refuses options that have no effect on a dataset: all that are given but those named in `taken`.
    pub(crate) fn require_effect(&self, taken: &[&str], dataset: &str) -> Result<(), Error> {
        let default = Self::default();
        let given = [
            ("side", "--side", self.side != default.side),
            ("channels", "--grey", self.channels != default.channels),
            ("fit", "--fit", self.fit != default.fit),
            ("limit", "--limit", self.limit.is_some()),
            ("skip_bad", "--skip-bad", self.skip_bad),
            ("follow_links", "--follow-links", self.follow_links),
        ];
        match given.into_iter().find(|(option, _, given)| *given && !taken.contains(option)) {
            Some((option, flag, _)) => Err(Error::NoEffect { option, flag, dataset: dataset.into() }),
            None => Ok(()),
        }
    }

    /// Decodes the file of a picture; the error says why it cannot.
    pub(crate) fn decode(&self, file: &[u8]) -> Result<Array3<u8>, String> {
        let picture = read(file, true)?;
        Ok(self.image(picture.view().permuted_axes([2, 0, 1])))
    }

    /// Brings a picture [C, H, W], which has at least as many channels, to the shape of the images.
    pub(crate) fn image(&self, picture: ArrayView3<u8>) -> Array3<u8> {
        let picture = picture.permuted_axes([1, 2, 0]);
        let grey = (self.channels < picture.dim().2).then(|| grey(picture));
        let picture = grey.as_ref().map_or(picture, |grey| grey.view());
        let part = match self.fit {
            Fit::Crop => middle(picture),
            Fit::Resize => picture,
        };
        channels_first(resample::resize(part, [self.side, self.side]))
    }
}

/// Reads the header of a picture.
fn decoder(file: &[u8]) -> Result<impl ImageDecoder, String> {
    let reader = ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|error| error.to_string())?;
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg_ends(file) {
        return Err("the file ends early: it has no end marker, as after an interrupted download".into());
    }
    reader.into_decoder().map_err(|error| error.to_string())
}

/// Decodes a picture in colour, [H, W, 3], if it takes no more than [`MOST_BYTES`] of memory. `upright` applies the
/// camera's orientation.
fn read(file: &[u8], upright: bool) -> Result<Array3<u8>, String> {
    static LARGE: Mutex<()> = Mutex::new(());
    let mut decoder = decoder(file)?;
    let orientation = match upright {
        true => decoder.orientation().unwrap_or(Orientation::NoTransforms),
        false => Orientation::NoTransforms,
    };
    let ((width, height), decoded) = (decoder.dimensions(), decoder.total_bytes());
    // A turned picture is a copy, and one of another kind is converted by way of four bytes a pixel.
    let turned = if orientation == Orientation::NoTransforms { 0 } else { decoded };
    let converted = if decoder.color_type() == ColorType::Rgb8 { 0 } else { 4 * u64::from(width) * u64::from(height) };
    let bytes = decoded.saturating_add(turned).saturating_add(converted);
    if bytes > MOST_BYTES {
        return Err(format!("{width} x {height} pixels take {bytes} bytes, more than {MOST_BYTES}"));
    }
    let _alone = (bytes > MANY_BYTES).then(|| LARGE.lock().unwrap_or_else(PoisonError::into_inner));
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    picture.apply_orientation(orientation);
    Ok(pixels(picture))
}

/// Returns whether a JPEG has the marker of its end. Its decoder fills whatever is missing with grey.
fn jpeg_ends(file: &[u8]) -> bool {
    let mut at = 0;
    while let Some(next) = file.get(at..).and_then(|rest| rest.windows(2).position(is_marker)) {
        at += next + 2;
        match file[at - 1] {
            // The start of the image, and those inside the compressed data, have no length.
            0x01 | 0xd0..=0xd8 => {}
            0xd9 => return true,
            _ => match file.get(at..at + 2) {
                Some(&[high, low]) => at += usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        }
    }
    false
}

/// Returns whether two bytes of a JPEG are a marker: neither compressed data nor padding.
fn is_marker(pair: &[u8]) -> bool {
    pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xff)
}

/// Returns the pixels in colour over white, [H, W, 3].
fn pixels(picture: DynamicImage) -> Array3<u8> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let bytes = match picture.color().has_alpha() {
        false => picture.into_rgb8().into_raw(),
        true => {
            let over_white = |&[red, green, blue, alpha]: &[u8; 4]| [red, green, blue].map(|value| over(value, alpha));
            picture.into_rgba8().into_raw().as_chunks().0.iter().flat_map(over_white).collect()
        }
    };
    Array3::from_shape_vec((height, width, 3), bytes).expect("three bytes a pixel")
}

/// Returns a value shown over white, rounded.
fn over(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
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
        assert_eq!(picture_size(&path).unwrap(), [2, 1]);
        assert_eq!(read(&fs::read(&path).unwrap(), true).unwrap().dim(), (2, 1, 3));
    }

    /// Checks decoding alone, before anything is resized.
    #[test]
    fn pixels_are_pillows() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("tests/golden/datasets");
        let text = fs::read_to_string(folder.join("expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (name, sums) in expected["pictures"].as_object().unwrap() {
            let file = fs::read(folder.join("pictures").join(name)).unwrap();
            let picture = read(&file, true).unwrap();
            assert_eq!(sums["decoded"], hex(Sha256::digest(picture.as_slice().unwrap())), "{name}");
        }
    }
}
