//! pytorch-fid's statistics files: an archive `.npz` of the mean `mu` and the covariance `sigma`. Files written here
//! also state the number of samples, which pytorch-fid ignores.

use std::io::{Cursor, Read, Seek, Write};
use std::path::Path;

use mergan_datasets::npy::{Element, Npy, header};
use mergan_models::write_whole;
use ndarray::{Array1, ArrayD, Ix1, Ix2};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::ImagesError;
use super::error::Cause;
use crate::FeatureStatistics;

/// Reads the statistics in an archive; returns `None` if it holds something else.
pub(super) fn read<R: Read + Seek>(
    path: &Path,
    archive: &mut ZipArchive<R>,
) -> Result<Option<FeatureStatistics>, ImagesError> {
    let mut array = |name: &str| -> Result<Option<ArrayD<f64>>, ImagesError> {
        let bad = |source: Cause| ImagesError::Entry { path: path.into(), name: name.into(), source };
        match archive.by_name(&format!("{name}.npy")) {
            Ok(entry) => Npy::open(entry).and_then(Npy::numbers).map(Some).map_err(|error| bad(error.into())),
            Err(ZipError::FileNotFound) => Ok(None),
            Err(error) => Err(bad(error.into())),
        }
    };
    let (Some(mean), Some(covariance)) = (array("mu")?, array("sigma")?) else { return Ok(None) };
    let count = array("count")?.and_then(|count| count.first().map(|&count| count as usize));
    let bad = |reason: String| ImagesError::Statistics { path: path.into(), reason };
    let mean: Array1<f64> = mean.into_dimensionality::<Ix1>().map_err(|error| bad(error.to_string()))?;
    let covariance = covariance.into_dimensionality::<Ix2>().map_err(|error| bad(error.to_string()))?;
    let covariance = covariance.as_standard_layout().into_owned();
    let d = mean.len();
    if covariance.dim() != (d, d) {
        return Err(bad(format!("mu has {d} numbers, sigma {:?}", covariance.dim())));
    }
    Ok(Some(FeatureStatistics { count, mean, covariance }))
}

impl FeatureStatistics {
    /// Writes a file `.npz` that pytorch-fid and [`Input::open`](crate::Input::open) read. The file never appears
    /// incomplete.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ImagesError> {
        let failed = |action, source| ImagesError::File { action, path: path.into(), source };
        let file = encode(self).map_err(|error| failed("making", error.into()))?;
        write_whole(path, &file).map_err(|error| failed("writing", error.into()))
    }
}

fn encode(FeatureStatistics { count, mean, covariance }: &FeatureStatistics) -> Result<Vec<u8>, ZipError> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut add = |name: &str, shape: &[usize], numbers: &mut dyn Iterator<Item = f64>| -> Result<(), ZipError> {
        archive.start_file(name, options)?;
        archive.write_all(&header(Element::F64, shape))?;
        Ok(archive.write_all(&numbers.flat_map(f64::to_le_bytes).collect::<Vec<_>>())?)
    };
    add("mu.npy", mean.shape(), &mut mean.iter().copied())?;
    add("sigma.npy", covariance.shape(), &mut covariance.iter().copied())?;
    if let Some(count) = count {
        add("count.npy", &[], &mut [*count as f64].into_iter())?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn archive(file: Vec<u8>) -> ZipArchive<Cursor<Vec<u8>>> {
        ZipArchive::new(Cursor::new(file)).unwrap()
    }

    #[test]
    fn statistics_survive_the_round_trip() {
        for count in [Some(60), None] {
            let statistics =
                FeatureStatistics { count, mean: array![1.0, -2.5], covariance: array![[2.0, 0.5], [0.5, 1.0]] };
            let mut archive = archive(encode(&statistics).unwrap());
            assert_eq!(read(Path::new("statistics.npz"), &mut archive).unwrap(), Some(statistics));
        }
    }

    #[test]
    fn other_archives_hold_none_and_odd_ones_are_refused() {
        let mut empty = archive(ZipWriter::new(Cursor::new(Vec::new())).finish().unwrap().into_inner());
        assert!(read(Path::new("images.npz"), &mut empty).unwrap().is_none());
        let odd = FeatureStatistics { count: None, mean: array![1.0], covariance: array![[1.0, 2.0], [2.0, 5.0]] };
        let error = read(Path::new("odd.npz"), &mut archive(encode(&odd).unwrap())).unwrap_err().to_string();
        assert!(error.contains("odd.npz") && error.contains("mu has 1 numbers"), "{error}");
    }
}
