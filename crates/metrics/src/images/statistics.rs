//! pytorch-fid's statistics files: an archive `.npz` of the mean `mu` and the covariance `sigma`. Files written here
//! also state the number of samples, which pytorch-fid ignores.

use std::io::{Cursor, Write};
use std::path::Path;

use mergan_datasets::npy::{Element, Npy, header};
use mergan_datasets::npz::Npz;
use mergan_models::write_whole;
use ndarray::{Array1, ArrayD, Ix1, Ix2};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::ImagesError;
use crate::FeatureStatistics;

/// Reads the statistics in an archive; returns `None` if it holds something else.
pub(super) fn read(path: &Path, archive: &mut Npz) -> Result<Option<FeatureStatistics>, ImagesError> {
    let names = archive.names();
    let bad = |reason: String| ImagesError::Statistics { path: path.into(), reason };
    let mut array = |name: &str| -> Result<Option<ArrayD<f64>>, ImagesError> {
        if !names.iter().any(|found| found == name) {
            return Ok(None);
        }
        let numbers = archive.array(name).and_then(Npy::numbers);
        numbers.map(Some).map_err(|error| bad(error.to_string()))
    };
    let (Some(mean), Some(covariance)) = (array("mu")?, array("sigma")?) else { return Ok(None) };
    let count = array("count")?.and_then(|count| count.first().map(|&count| count as usize));
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

    fn archive(file: Vec<u8>) -> Npz {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive.npz");
        std::fs::write(&path, file).unwrap();
        Npz::open(&path).unwrap()
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
